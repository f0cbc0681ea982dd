"""Joining while others trade: no trade lost or doubled, the newest book, and one build for all."""

from __future__ import annotations

import asyncio
import random
import resource

import pytest
from wire import order


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
    last = server.exchange.markets["COIN"].seq
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
    assert server.snapshots.builds == 1
    await maker.ask(order("bid", None, 1, "1"))
    for peer in peers:
        book, opening, live = await peer.take(3)
        assert (book["seq"], opening["trades"], live["seq"]) == (1, [], 2)
    assert server.snapshots.builds == 1
