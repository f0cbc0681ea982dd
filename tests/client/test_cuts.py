"""A client on a line that is cut at random while a real market is replayed: no cut shows."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

import pytest
from client_servers import SECURITY, Line, small_server, until
from fakes import PastStore

import fastbook_client
from fastbook_cli.replay.actions import Action
from fastbook_cli.replay.play import Player
from fastbook_client import Backoff, Market, Trades, TradesMissed
from fastbook_server.store.memory import MemoryDatabase

CUTS = 100
PARTS = 3
SEED = 20261123
TRADES = 173
"""Orders of the recording that trade when it is played."""


class Reader:
    """Reads all events of a market and records the trades."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.ids: list[str] = []
        self.kinds: Counter[str] = Counter()
        self.last_seq: int | None = None
        self.unchained = 0
        self.missed: list[TradesMissed] = []

    async def read(self) -> None:
        async for event in self.market:
            self.kinds[type(event).__name__] += 1
            if isinstance(event, Trades):
                self.unchained += event.prev_seq != self.last_seq
                self.ids += [trade.id for trade in event.trades]
                self.last_seq = event.trades[-1].seq if event.trades else self.last_seq
            elif isinstance(event, TradesMissed):
                self.missed.append(event)


async def compare(url: str, reader: Reader, database: MemoryDatabase) -> None:
    """Wait until the reader has received everything; then its book must be the server's."""
    stored = [trade.id for trade in database.trades.get(SECURITY, ())]
    async with fastbook_client.connect(url, feed=False, channels=["depth"]) as direct:
        own, servers = reader.market.book(), direct.book()
        await until(lambda: servers.is_synced and own.is_synced and own.seq == servers.seq)
        for side in ("bid", "ask"):
            assert own.ticks_and_lots(side) == servers.ticks_and_lots(side)
        assert own.checksum() == servers.checksum()
    await until(lambda: len(reader.ids) >= len(stored))
    assert reader.ids == stored


async def play_with_cuts(recorded: list[Action], bytes_mean: float) -> tuple[Reader, Line]:
    """Replay in parts; after each, the client must know what the server knows."""
    database = MemoryDatabase()
    async with small_server(database, last_trades=5) as url:
        line = Line(url, SEED, bytes_mean=bytes_mean)
        async with (
            line.open() as through,
            Player(url.replace("http", "ws") + "/ws", security=SECURITY) as player,
            fastbook_client.connect(
                through, channels=["depth"], reconnect=Backoff(0.005, 0.02)
            ) as market,
        ):
            reader = Reader(market)
            reading = asyncio.create_task(reader.read())
            for part in range(PARTS):
                share = recorded[
                    part * len(recorded) // PARTS : (part + 1) * len(recorded) // PARTS
                ]
                playing = asyncio.create_task(player.play(share))
                while not playing.done():
                    done = player.answered / len(recorded)
                    line.cuts_max = min(CUTS, 1 + int(done * 1.02 * CUTS))
                    await asyncio.wait((playing,), timeout=0.01)
                playing.result()
                await compare(url, reader, database)
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading
    return reader, line


def assert_nothing_shows(reader: Reader, line: Line) -> None:
    assert line.cuts == CUTS
    assert reader.kinds["Disconnected"] == CUTS
    assert 0 < reader.kinds["Resynced"] <= CUTS
    assert (reader.missed, reader.kinds["BookReset"], reader.unchained) == ([], 0, 0)
    assert len(set(reader.ids)) == len(reader.ids) > 1_000


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_hundred_cuts_while_bitstamp_is_played(captured: list[Action]) -> None:
    reader, line = await play_with_cuts(captured, 20_000)
    assert line.cuts == reader.kinds["Disconnected"] == CUTS
    assert 0 < reader.kinds["Resynced"] <= CUTS
    assert (reader.missed, reader.kinds["BookReset"], reader.unchained) == ([], 0, 0)
    assert len(set(reader.ids)) == len(reader.ids) == TRADES
    print(f"\n{line.cuts} cuts, {len(reader.ids):,} trades once each, {dict(reader.kinds)}")


@pytest.mark.one_process("relaxed durability: a cluster has none")
async def test_trades_that_were_missed_before_they_were_committed() -> None:
    """A server that answers before it commits has trades that its history does not contain yet."""
    store = PastStore()
    async with small_server(store=store, durability="relaxed", last_trades=5, throttle_ms=0) as url:
        line = Line(url)
        async with (
            line.open() as through,
            fastbook_client.connect(through, reconnect=Backoff(0.005, 0.01)) as market,
            fastbook_client.connect(url, feed=False) as other,
        ):
            reader = Reader(market)
            reading = asyncio.create_task(reader.read())

            async def trade(count: int) -> None:
                for _ in range(count):
                    await other.limit("ask", 100, 1)
                    await other.limit("bid", 100, 1)

            await trade(3)
            await until(lambda: len(reader.ids) == 3)
            store.hold()
            asked = store.questions
            target, line._target = line._target, ("127.0.0.1", 1)  # nobody answers there
            line.cut()
            await trade(30)
            line._target = target
            await until(lambda: store.questions > asked)
            store.release()
            await until(lambda: len(reader.ids) == 33)
            assert (reader.missed, reader.unchained) == ([], 0)
            reading.cancel()
