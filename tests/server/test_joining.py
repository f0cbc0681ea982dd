"""Joining while others trade: no trade lost or doubled, the newest book, and one build for all."""

from __future__ import annotations

import asyncio
import random
import resource

import pytest

from fastbook_wire.checksum import checksum
from peers import order


def follow(opening: dict, live: list[dict]) -> tuple[list[int], list[int]]:
    """Return the numbers of all trades and of all books, after a check of the chain."""
    seqs = [t["seq"] for t in opening["trades"]]
    prev = seqs[-1] if seqs else None
    books = []
    for frame in live:
        if frame["event"] == "aggOrderBook":
            books.append(frame["seq"])
        elif frame["event"] == "trades":
            assert frame["prevSeq"] == prev
            seqs += [t["seq"] for t in frame["trades"]]
            prev = seqs[-1]
            assert frame["seq"] == prev
    return seqs, books


@pytest.mark.parametrize("throttle_ms", [0, 5, 60])
async def test_whoever_joins_whenever_sees_every_trade_once_and_the_last_book(
    serve, join, throttle_ms
):
    server = await serve(throttle_ms=throttle_ms, last_trades=10)
    dice = random.Random(throttle_ms)
    maker, taker = await join(server, feed="none"), await join(server, feed="none")
    await maker.ask(order("ask", 10, 10**6, "0"))
    trading = True

    async def trade() -> None:
        while trading:
            for _ in range(dice.randint(1, 20)):
                await taker.send(order("bid", None, 1))
            await maker.send(order("bid", dice.randint(1, 9), 1))
            await taker.sync()
            await maker.sync()

    async def look(delay_s: float):
        await asyncio.sleep(delay_s)
        return await join(server)

    busy = asyncio.ensure_future(trade())
    peers = await asyncio.gather(*(look(dice.random() * 0.8) for _ in range(60)))
    trading = False
    await busy
    last = server.pipeline.exchange.markets["COIN"].seq
    all_trades = [e.seq for e in server._store.data.events if type(e).__name__ == "Traded"]
    for peer in peers:
        opening_book, opening = await peer.take(2)
        assert (opening["seq"], opening["prevSeq"]) == (opening_book["seq"], None)
        live = [opening_book]
        while live[-1]["event"] != "aggOrderBook" or live[-1]["seq"] < last:
            live.append(await peer.next())
        seqs, books = follow(opening, live)
        assert seqs == all_trades[all_trades.index(seqs[0]) :]
        assert books == sorted(books)


class Kept:
    """A book of COIN kept from depth frames."""

    def __init__(self) -> None:
        self.ask: dict[float, float] = {}
        self.bid: dict[float, float] = {}
        self.seq: int | None = None
        self.checks = 0

    def take(self, frame: dict) -> None:
        if frame["event"] == "checksum":
            assert (frame["seq"], frame["checksum"]) == (self.seq, checksum(*self.levels()))
            self.checks += 1
        elif frame["event"] == "depth":
            assert frame["prevSeq"] == self.seq
            self.seq = frame["seq"]
            for name in ("ask", "bid"):
                side = getattr(self, name)
                side |= {level["price"]: level["amount"] for level in frame[name]}
                for price in [p for p, amount in side.items() if not amount]:
                    del side[price]

    def levels(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return asks and bids in ticks and lots, which are 1 here, best first."""
        asks, bids = sorted(self.ask.items()), sorted(self.bid.items(), reverse=True)
        return tuple([(int(p), int(a)) for p, a in side] for side in (asks, bids))  # type: ignore


async def test_whoever_joins_whenever_keeps_the_servers_book(serve, join):
    server = await serve(throttle_ms=5)
    dice = random.Random(7)
    traders = [await join(server, feed="none") for _ in range(2)]
    trading = True

    async def trade() -> None:
        while trading:
            for trader in traders:
                for _ in range(dice.randint(1, 20)):
                    side, price = dice.choice((("bid", 40), ("ask", 60)))
                    price = dice.choice((None, *(price + dice.randint(-25, 25),) * 3))
                    await trader.send(order(side, price, dice.randint(1, 9)))
                if not dice.randint(0, 9):
                    await trader.send({"op": "deleteAll"})
            for trader in traders:
                await trader.sync()

    async def look(delay_s: float):
        await asyncio.sleep(delay_s)
        peer = await join(server, feed="none")
        await peer.send({"op": "subscribe", "security": "COIN", "channel": "depth"})
        return peer

    busy = asyncio.ensure_future(trade())
    peers = await asyncio.gather(*(look(dice.random() * 1.5) for _ in range(60)))
    trading = False
    await busy
    last = server.gateway.feeds._feeds["COIN", "depth"]._seq
    bids, asks = server.pipeline.exchange.markets["COIN"].book.depth()
    for peer in peers:
        kept = Kept()
        while kept.seq != last or not kept.checks:
            kept.take(await peer.next())
        assert kept.levels() == (asks, bids)


async def test_a_thousand_clients_who_connect_together_cost_one_build(serve, join):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2_300
    if soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            pytest.skip(f"needs {needed} open files, the limit is {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    server = await serve(throttle_ms=60_000)
    maker = await join(server, feed="none")
    await maker.ask(order("ask", 10, 100, "0"))
    peers = await asyncio.gather(*(join(server) for _ in range(1_000)))
    assert server.gateway.snapshots.builds == 1
    await maker.ask(order("bid", None, 1, "1"))
    for peer in peers:
        book, opening, live = await peer.take(3)
        assert (book["seq"], opening["trades"], live["seq"]) == (1, [], 2)
    assert server.gateway.snapshots.builds == 1
