"""Users with more open orders than one frame, or the outbox, could hold."""

from __future__ import annotations

import msgspec
import pytest

from peers import order

COUNT = 3_000
BOUNDS = {"outbox_bytes_soft": 20_000, "outbox_bytes_max": 100_000}  # of a list of some 700 kB


async def with_orders(join, server, count: int = COUNT):
    """Return a connected user with `count` open bids, the best one at the price `count`."""
    ann = await join(server, feed="none")
    for start in range(0, count, 500):
        for n in range(start, start + 500):
            await ann.send(order("bid", n + 1, 2))
        await ann.take(500)
    return ann


async def pages_of(peer) -> list[dict]:
    """Return the next frames up to the last page of a list; nothing else is among them."""
    pages = [await peer.event()]
    while pages[-1].get("more"):
        pages.append(await peer.event())
    assert {p["event"] for p in pages} == {"orders"}
    return pages


def prices(pages) -> list[float]:
    return [o["price"] for page in pages for o in page["orders"]]


async def test_a_user_with_many_orders_resumes(serve, join, raw):
    server = await serve(**BOUNDS)
    ann = await with_orders(join, server)
    again = await raw(server, f"/ws?feed=none&resume={ann.token}", rcvbuf=4_096)
    assert (await again.event())["event"] == "welcome"
    pages = await pages_of(again)
    assert [len(p["orders"]) for p in pages] == [500] * (COUNT // 500)
    assert prices(pages) == list(range(1, COUNT + 1))


async def test_a_list_is_of_one_moment_and_what_came_after_it_follows(serve, join, raw):
    server = await serve(**BOUNDS)
    ann = await with_orders(join, server)
    again = await raw(server, f"/ws?resume={ann.token}", rcvbuf=4_096)
    again.writer.transport.pause_reading()
    bob = await join(server, feed="none")
    for ref in range(3):
        assert (await bob.ask(order("ask", COUNT, 1, ref)))["status"] != "rejected"
    again.text({"op": "orders", "ref": "second"})
    again.writer.transport.resume_reading()
    assert [(await again.event())["event"] for _ in range(3)] == [
        "welcome",
        "aggOrderBook",
        "trades",
    ]
    first = await pages_of(again)
    assert (len(prices(first)), first[-1]["orders"][-1]["remaining"]) == (COUNT, 2.0)
    reports = []
    while (frame := await again.event())["event"] != "orders":
        if frame["event"] == "order":
            reports.append((frame["status"], frame["order"]["price"]))
    assert reports == [("partiallyFilled", COUNT), ("filled", COUNT)]
    assert frame["ref"] == "second"
    second = [frame, *await pages_of(again)]
    assert prices(second) == prices(first)[:-1]


async def test_many_lists_asked_for_at_once_come_one_after_the_other(serve, join, raw):
    server = await serve(**BOUNDS)
    ann = await with_orders(join, server)
    again = await raw(server, f"/ws?feed=none&resume={ann.token}", rcvbuf=4_096)
    await again.event()
    for ref in range(10):
        again.text({"op": "orders", "ref": ref})
    for _ in range(11):
        assert len(prices(await pages_of(again))) == COUNT


async def test_all_of_many_orders_are_deleted_and_each_is_reported(serve, join, raw):
    server = await serve(**BOUNDS)
    ann = await with_orders(join, server)
    again = await raw(server, f"/ws?feed=none&resume={ann.token}", rcvbuf=4_096)
    await again.event()
    await pages_of(again)
    again.text({"op": "deleteAll", "ref": "all"})
    again.text({"op": "ping", "ref": "then"})
    assert await again.event() == {"event": "pong", "ref": "then", "time": server.pipeline._time_ms}
    assert await again.event() == {"event": "deletedAll", "ref": "all", "count": COUNT}
    reports = [await again.event() for _ in range(COUNT)]
    assert {(r["event"], r["status"], r["reason"]) for r in reports} == {
        ("order", "cancelled", "user")
    }
    assert [r["order"]["price"] for r in reports] == list(range(1, COUNT + 1))


@pytest.mark.slow
async def test_eighty_thousand_orders_within_the_bounds_of_the_defaults(serve, join, raw):
    count = 80_000
    server = await serve()
    ann = await with_orders(join, server, count)
    again = await raw(server, f"/ws?resume={ann.token}")
    for _ in range(3):
        await again.event()
    assert len(prices(await pages_of(again))) == count
    again.text({"op": "deleteAll", "ref": "all"})
    assert (await again.reply("all"))["count"] == count
    left = count
    while left:
        opcode, payload = await again.next()
        left -= opcode == 1 and msgspec.json.decode(payload)["event"] == "order"
