"""Streams: trades as they happen, and books that clients keep from differences."""

from __future__ import annotations

import asyncio
import random

from binance_client import followed, until

from fastbook_wire.commands import Add, DeleteAll, NewOrder

CHANGES = 10_000


class LocalBook:
    """A book that a client keeps: a snapshot, and the differences that fit."""

    def __init__(self, snapshot):
        self.update_id = snapshot["lastUpdateId"]
        self.sides = {
            "b": dict(snapshot["bids"]),
            "a": dict(snapshot["asks"]),
        }
        self.applied = 0

    def apply(self, event):
        if event["u"] <= self.update_id:
            return
        assert event["U"] <= self.update_id + 1, "a gap"
        assert not self.applied or event["U"] == self.update_id + 1, "an overlap"
        for name, side in self.sides.items():
            for price, quantity in event[name]:
                if float(quantity):
                    side[price] = quantity
                else:
                    side.pop(price, None)  # it may have gone before the snapshot
        self.update_id = event["u"]
        self.applied += 1


def churn(chance):
    """Return random orders of a native that rest, trade and go."""
    for _ in range(CHANGES // 10):
        commands = []
        for _ in range(10):
            side = chance.choice(("bid", "ask"))
            lean = chance.randint(-3, 30) * (-1 if side == "bid" else 1)
            price = round((10_000 + lean) * 0.01, 2)
            order = NewOrder(
                type=side, exec_type="limit", price=price, amount=chance.randint(1, 9) / 100
            )
            commands.append(Add(order=order))
        if chance.random() < 0.05:
            commands.append(DeleteAll(type=chance.choice(("bid", "ask"))))
        yield commands


async def test_a_book_kept_from_differences_equals_the_snapshot(venue):
    """Also of one who comes while it changes; the snapshot is never older than a difference."""
    pipeline, nobody = venue.server.pipeline, venue.client()
    async with followed(venue, "ws/btcusdt@depth@100ms") as socket:
        book, late = None, None
        for n, commands in enumerate(churn(random.Random(7))):
            pipeline.submit("user#churn", *commands)
            if n % 20 == 0:
                await asyncio.sleep(0.005)
            if n in (100, 700):
                got = (await nobody.ask("GET", "depth", symbol="BTCUSDT", limit=5000)).body
                book, late = (book or LocalBook(got)), LocalBook(got)
        await pipeline.stored()
        final = (await nobody.ask("GET", "depth", symbol="BTCUSDT", limit=5000)).body
        events = await until(socket, lambda f: f["u"] >= final["lastUpdateId"])
    assert len(events) > 2
    assert [e["U"] for e in events[1:]] == [e["u"] + 1 for e in events[:-1]]
    for kept in (book, late):
        for event in events:
            kept.apply(event)
        assert kept.applied
        assert sorted(kept.sides["b"].items()) == sorted(map(tuple, final["bids"]))
        assert sorted(kept.sides["a"].items()) == sorted(map(tuple, final["asks"]))


async def test_each_match_is_a_trade_and_those_of_a_taker_at_a_price_are_one(venue, alice, bob):
    names = "btcusdt@trade/btcusdt@aggTrade/btcusdt@bookTicker/btcusdt@depth5@100ms"
    async with followed(venue, f"stream?streams={names}") as socket:
        await bob.limit("SELL", "100", "0.2")
        await bob.limit("SELL", "100", "0.3")
        await bob.limit("SELL", "101", "0.5")
        await alice.limit("BUY", "101", "0.6")
        frames = await until(
            socket, lambda f: f["stream"].endswith("100ms") and f["data"]["lastUpdateId"] == 4
        )
    told = {name: [] for name in names.split("/")}
    for frame in frames:
        told[frame["stream"]].append(frame["data"])
    trades = [(t["t"], t["p"], t["q"], t["m"]) for t in told["btcusdt@trade"]]
    assert trades == [
        (1, "100.00000000", "0.20000000", False),
        (2, "100.00000000", "0.30000000", False),
        (3, "101.00000000", "0.10000000", False),
    ]
    sums = [(t["a"], t["f"], t["l"], t["q"]) for t in told["btcusdt@aggTrade"]]
    assert sums == [(1, 1, 2, "0.50000000"), (2, 3, 3, "0.10000000")]
    best = told["btcusdt@bookTicker"][-1]
    assert best["u"] == 4
    assert (best["b"], best["a"], best["A"]) == ("0.00000000", "101.00000000", "0.40000000")
    assert told["btcusdt@depth5@100ms"][-1]["asks"] == [["101.00000000", "0.40000000"]]


async def test_streams_are_chosen_by_commands(venue, bob):
    async with followed(venue, "stream/ws/7") as socket:
        await socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@bookTicker"], "id": 1})
        assert await socket.receive_json() == {"result": None, "id": 1}
        await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": "x"})
        assert await socket.receive_json() == {"result": ["btcusdt@bookTicker"], "id": "x"}
        await socket.send_str("nonsense")
        assert (await socket.receive_json())["code"] == 3
        await bob.limit("SELL", "100", "0.2")
        assert (await socket.receive_json())["a"] == "100.00000000"
        await socket.send_json({"method": "UNSUBSCRIBE", "params": ["btcusdt@bookTicker"], "id": 2})
        await until(socket, lambda f: f.get("id") == 2)
        await bob.limit("SELL", "99", "0.2")
        await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 3})
        assert await socket.receive_json() == {"result": [], "id": 3}
