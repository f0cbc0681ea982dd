"""One's own orders that have ended: over the socket, over HTTP with a token, page by page."""

from __future__ import annotations

import pytest
from fakes import PastStore

from peers import order


@pytest.fixture
async def market(serve, join):
    """A server on which ann has six orders, of which two are open; and bob, who has one."""
    server = await serve(PastStore())
    ann, bob = await join(server, feed="none"), await join(server, feed="none")
    await bob.ask(order("ask", 10, 3, "b"))
    replies = [
        await ann.ask(order("bid", price, amount, str(n), **given))
        for n, (price, amount, given) in enumerate(
            (
                *((10, 1, {}), (5, 1, {}), (10, 4, {"timeInForce": "ioc"})),
                *((6, 1, {}), (7, 1, {"clientOrderId": "mine"}), (8, 1, {})),
            )
        )
    ]
    ids = [reply["order"]["id"] for reply in replies]
    for n in (3, 4):
        await ann.ask({"op": "delete", "ref": f"d{n}", "id": ids[n]})
    return server, ann, bob, ids


def ends(orders):
    return [(o["id"], o["status"], o.get("reason"), o["filled"], o["remaining"]) for o in orders]


async def test_they_are_listed_as_they_ended_and_only_to_their_user(market):
    _, ann, bob, ids = market
    told = await ann.ask({"op": "endedOrders", "ref": "e"})
    assert (told["event"], told["ref"], told["more"]) == ("endedOrders", "e", False)
    assert ends(told["orders"]) == [
        (ids[0], "filled", None, 1.0, 0.0),
        (ids[2], "cancelled", "ioc", 2.0, 2.0),
        (ids[3], "cancelled", "user", 0.0, 1.0),
        (ids[4], "cancelled", "user", 0.0, 1.0),
    ]
    assert told["orders"][3]["clientOrderId"] == "mine"
    assert [o.get("timeInForce") for o in told["orders"]] == [None, "ioc", None, None]
    others = await bob.ask({"op": "endedOrders", "ref": "e"})
    assert [o["status"] for o in others["orders"]] == ["filled"]


async def test_a_page_ends_before_the_order_that_is_named(market, web):
    server, ann, _, ids = market
    ask, bearer = web(server), {"Authorization": f"Bearer {ann.token}"}
    page = await ann.ask({"op": "endedOrders", "ref": "1", "limit": 3})
    assert ([o["id"] for o in page["orders"]], page["more"]) == (ids[2:5], True)
    older = await ann.ask({"op": "endedOrders", "ref": "2", "limit": 3, "before": ids[2]})
    assert ([o["id"] for o in older["orders"]], older["more"]) == (ids[:1], False)
    _, same, _ = await ask.ask("endedOrders?limit=3", **bearer)
    assert same == {name: page[name] for name in ("security", "orders", "more")}
    _, same, _ = await ask.ask(f"endedOrders?limit=3&before={ids[2]}", **bearer)
    assert same["orders"] == older["orders"]


async def test_nobody_elses_and_no_other_ids_are_understood(market, web):
    server, ann, _, ids = market
    assert (await ann.ask({"op": "endedOrders", "ref": "1", "security": "NONE"}))["code"] == (
        "unknown_security"
    )
    trade = (await web(server).get("trades"))["trades"][0]["id"]
    for wrong in ("x", trade, ids[0].replace("-7", "-f")[:35]):
        refused = await ann.ask({"op": "endedOrders", "ref": "2", "before": wrong})
        assert (refused["event"], refused["code"]) == ("error", "unknown_order")
        status, answer, _ = await web(server).ask(
            f"endedOrders?before={wrong}", Authorization=f"Bearer {ann.token}"
        )
        assert (status, answer["parameter"]) == (400, "before")
    status, answer, headers = await web(server).ask("endedOrders")
    assert (status, answer["code"], headers["WWW-Authenticate"]) == (401, "unauthorized", "Bearer")


@pytest.mark.one_process("relaxed durability: a cluster has none")
async def test_they_are_told_once_they_are_stored(serve, join):
    store = PastStore()
    server = await serve(store, durability="relaxed")
    ann = await join(server, feed="none")
    placed = await ann.ask(order("ask", 10, 2, "1"))
    store.hold()
    await ann.ask({"op": "delete", "ref": "2", "id": placed["order"]["id"]})
    await ann.send({"op": "endedOrders", "ref": "3"})
    await ann.ask({"op": "ping", "ref": "4"})
    store.release()
    frame = await ann.next()
    assert (frame["ref"], [o["id"] for o in frame["orders"]]) == ("3", [placed["order"]["id"]])
