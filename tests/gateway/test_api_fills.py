"""Fills over HTTP and over the socket: everybody's, and with a token one's own."""

from __future__ import annotations

import asyncio
import gc
import warnings
from unittest import mock

import pytest
from fakes import FakeClock, PastStore
from trading import T0

from fastbook_server.gateway.lookups import LOOKUPS_MAX, Lookups
from fastbook_server.values.events import CommandRefused
from fastbook_wire.commands import GetFills
from peers import order


async def test_fills_are_everybodys_or_with_a_token_ones_own(serve, join, web):
    server = await serve(PastStore())
    ann, bob = await join(server, feed="none"), await join(server, feed="none")
    await ann.ask(order("ask", 10, 2, "1"))
    await ann.ask(order("ask", 11, 2, "2"))
    await bob.ask(order("bid", 11, 3, "3"))
    await bob.ask(order("ask", 11, 1, "4"))
    await bob.ask(order("bid", 11, 1, "5"))  # with ann first
    ask = web(server)
    everybodys = (await ask.get("fills"))["fills"]
    assert [(f["fillId"], f["seq"], f["type"], f["price"], f["amount"]) for f in everybodys] == [
        *((1, 3, "bid", 10.0, 2.0), (2, 3, "bid", 11.0, 1.0), (3, 5, "bid", 11.0, 1.0))
    ]
    page = await ask.get("fills?since=1&limit=1")
    assert (page["fills"], page["more"]) == (everybodys[1:2], True)
    assert (await ask.get("fills?before=3"))["fills"] == everybodys[:2]
    assert (await ask.get(f"fills?start={T0 + 1}"))["fills"] == []
    status, own, _ = await ask.ask("fills", Authorization=f"Bearer {ann.token}")
    assert (status, [(f["fillId"], f["role"], f["type"]) for f in own["fills"]]) == (
        200,
        [(1, "maker", "ask"), (2, "maker", "ask"), (3, "maker", "ask")],
    )
    told = await bob.ask({"op": "fills", "ref": "6", "since": 1})
    assert [(f["fillId"], f["role"], f["type"]) for f in told["fills"]] == [
        *((2, "taker", "bid"), (3, "taker", "bid"))
    ]


async def test_a_page_is_never_split_between_the_two_fills_of_a_self_trade(serve, join, web):
    server = await serve(PastStore())
    ann = await join(server, feed="none")
    for ref, side in enumerate(("ask", "bid", "ask", "bid")):
        await ann.ask(order(side, 10, 1, str(ref)))
    both = [(1, "taker"), (1, "maker")]
    page = await ann.ask({"op": "fills", "ref": "f", "since": 0, "limit": 1})
    assert ([(f["fillId"], f["role"]) for f in page["fills"]], page["more"]) == (both, True)
    bearer = f"Bearer {ann.token}"
    _, page, _ = await web(server).ask("fills?since=0&limit=1", Authorization=bearer)
    assert ([(f["fillId"], f["role"]) for f in page["fills"]], page["more"]) == (both, True)


@pytest.mark.parametrize("bearer", ["Bearer", "Bearer x", "Bearer x.y", "Basic abc", ""])
async def test_a_bearer_that_is_no_token_is_refused(serve, web, bearer):
    status, answer, headers = await web(await serve(PastStore())).ask("fills", Authorization=bearer)
    assert (status, answer["code"], headers["WWW-Authenticate"]) == (401, "unauthorized", "Bearer")


@pytest.mark.one_process("relaxed durability: a cluster has none")
async def test_fills_that_were_told_are_listed_though_nothing_is_stored(serve, join):
    store = PastStore()
    server = await serve(store, durability="relaxed")
    ann = await join(server, feed="none")
    store.hold()
    await ann.ask(order("ask", 10, 2, "1"))
    await ann.ask(order("bid", 10, 1, "2"))
    await ann.send({"op": "fills", "ref": "3"})
    await ann.ask({"op": "ping", "ref": "4"})
    store.release()
    frame = await ann.next()
    assert (frame["ref"], [f["role"] for f in frame["fills"]]) == ("3", ["taker", "maker"])


@pytest.mark.one_process("relaxed durability: a cluster has none")
async def test_an_order_that_was_told_is_found_as_it_ended_though_nothing_is_stored(serve, join):
    store = PastStore()
    server = await serve(store, durability="relaxed")
    ann = await join(server, feed="none")
    placed = await ann.ask(order("ask", 10, 2, "1"))
    store.hold()
    await ann.ask({"op": "delete", "ref": "2", "id": placed["order"]["id"]})
    await ann.send({"op": "order", "ref": "3", "id": placed["order"]["id"]})
    await ann.ask({"op": "ping", "ref": "4"})
    store.release()
    frame = await ann.next()
    assert (frame["ref"], frame["status"]) == ("3", "cancelled")


async def test_only_so_many_questions_of_one_connection_wait(serve, join):
    store = PastStore()
    server = await serve(store)
    ann = await join(server, feed="none")
    store.may_answer.clear()
    for ref in range(LOOKUPS_MAX + 1):
        await ann.send({"op": "fills", "ref": ref})
    refused = await ann.next()
    assert (refused["ref"], refused["code"]) == (LOOKUPS_MAX, "overloaded")
    store.may_answer.set()
    assert {(await ann.next())["ref"] for _ in range(LOOKUPS_MAX)} == set(range(LOOKUPS_MAX))
    assert (await ann.ask({"op": "fills", "ref": "again"}))["event"] == "ownFills"


async def test_a_connection_that_ends_before_its_question_begins_leaves_nothing_behind():
    nobody = mock.Mock()
    lookups = Lookups(nobody, nobody, nobody)
    lookups.list(GetFills(), nobody)
    lookups.order(CommandRefused("u", "1", "unknown_order", "gone", of_order=True, order_id="x"))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        lookups.stop()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        gc.collect()
    assert [str(warning.message) for warning in warned] == []


async def test_a_refused_amend_is_a_rejected_order_whoever_refuses_it(serve, join):
    server = await serve(commands_per_second_max=1)
    server.gateway.door._clock = FakeClock()
    ann = await join(server, feed="none")
    asked = {"op": "amend", "clientOrderId": "x", "amount": 1}
    replies = [await ann.ask(asked | {"ref": n}) for n in range(2)]
    assert [(r["event"], r["status"], r["code"]) for r in replies] == [
        *(("order", "rejected", "unknown_order"), ("order", "rejected", "rate_limited")),
    ]


async def test_a_list_of_fills_of_no_security_is_refused(serve, join):
    ann = await join(await serve(PastStore()), feed="none")
    refused = await ann.ask({"op": "fills", "ref": "1", "security": ""})
    assert refused["code"] == "unknown_security"
