"""Several commands in one frame: each answered by itself, and nobody else's between them."""

from __future__ import annotations

import asyncio

import pytest

from fastbook_server.store.memory import MemoryStore
from peers import order


async def test_the_commands_of_an_array_are_answered_one_by_one_in_order(serve, join):
    server = await serve()
    ann = await join(server, feed="none")
    await ann.send(
        [
            order("bid", 10, 1, "1", clientOrderId="a"),
            order("bid", 10.5, 1, "2"),
            {"op": "delete", "ref": "3", "clientOrderId": "a"},
            {"op": "order", "ref": "4", "clientOrderId": "a"},
            order("ask", 11, 1, "5", security="FINE"),
            {"op": "deleteAll", "ref": "6"},
        ]
    )
    replies = await ann.take(7)
    assert [(f.get("ref"), f.get("status"), f.get("code"), f.get("count")) for f in replies] == [
        ("1", "open", None, None),
        ("2", "rejected", "invalid_price", None),
        ("3", "cancelled", None, None),
        ("4", "cancelled", None, None),
        ("5", "open", None, None),
        ("6", None, None, 1),
        (None, "cancelled", None, None),
    ]


async def test_what_is_no_order_command_is_refused_by_itself(serve, join):
    server = await serve()
    ann = await join(server, feed="none")
    await ann.send([order("bid", 10, 1, "1"), {"op": "ping", "ref": "2"}, 7, {"op": "no"}])
    frames = await ann.take(4)
    assert [(f.get("ref"), f.get("code")) for f in frames] == [
        ("2", "bad_frame"),
        (None, "bad_frame"),
        (None, "unknown_op"),
        ("1", None),
    ]
    assert frames[1]["message"] == "Expected `object`, got `int` - at `$[2]`"


async def test_nobody_comes_between_the_commands_of_an_array(serve, join):
    """Two take turns to sell what they have just bought: alone, each buys its own ask."""
    server = await serve()
    traders = [await join(server, feed="none") for _ in range(3)]

    async def trade(peer) -> set[str]:
        replies = set()
        for _ in range(50):
            await peer.send([order("ask", 10, 1), order("bid", 10, 1, "mine")])
            while (frame := await peer.next()).get("ref") != "mine":
                pass
            replies.add(frame["status"])
        return replies

    assert await asyncio.gather(*map(trade, traders)) == [{"filled"}] * 3
    assert server.pipeline.exchange.markets["COIN"].open == {}


@pytest.mark.one_process("what finds no room waits in the gateway")
async def test_an_array_is_taken_whole_or_refused_whole(serve, join):
    store = MemoryStore()
    server = await serve(store, uncommitted_events_max=10)
    ann = await join(server, feed="none")
    store.hold()
    for first in (0, 3, 6):
        await ann.send([order("bid", 10, 1, first + n) for n in range(3)])
    refused = await ann.take(3)
    assert [(f["ref"], f["code"]) for f in refused] == [(n, "unavailable") for n in (6, 7, 8)]
    store.release()
    assert [(f["ref"], f["status"]) for f in await ann.take(6)] == [(n, "open") for n in range(6)]
