"""Who starts takes SQL as of one message, and the rest from the log."""

from __future__ import annotations

import asyncio

import msgspec
from log_owner import LogOwner, messages_of
from recording import prepared, recorder_of, running
from trading import SPECS

from fastbook_server.cluster.fold import StateFold
from fastbook_server.cluster.history import read_snapshot
from fastbook_server.cluster.memory import MemoryLogData
from fastbook_server.cluster.message import batch_of
from fastbook_server.config import Config
from fastbook_server.gateway.leaderboard import Leaderboard
from fastbook_server.gateway.trade_stats import TradeStats
from fastbook_server.values.events import OrderFilled

CONFIG = Config(port=0, instruments=SPECS, last_candles=1_000_000, last_trades=50, leaderboard=True)


def after(past, batches):
    """Return the state after these messages on top of what was read, all candles and ranks."""
    fold = StateFold(past.parts["main"])
    known = past.parts["main"]
    ranks = Leaderboard(known.instruments, past.holdings, known.last_prices)
    candles = {
        i.security: TradeStats(1_000_000, past.past.candles[i.security])
        for i in past.parts["main"].instruments
    }
    for batch in batches:
        fold.take(batch)
        ranks.on_batch(batch)
        for event in batch.orders:
            if isinstance(event, OrderFilled):
                stats = candles[event.taker.instrument.security]
                stats.add(event.time_ms, event.price, event.quantity, event.n == 0)
    for stats in candles.values():
        stats.flush()
    state = msgspec.structs.asdict(fold.recovered()) | {"epoch": 0, "last_trades": {}}
    kept = {
        (security, interval): list(series.candles)
        for security, stats in candles.items()
        for interval, series in stats.series.items()
    }
    return state, kept, [ranks.leaders(currency, 1_000) for currency in ranks.currencies]


async def test_a_start_from_sql_and_the_rest_of_the_log_counts_nothing_twice(
    make_postgres, make_database
):
    dsn, data = await make_database("postgres"), MemoryLogData()
    reader = make_postgres(dsn)
    owner = LogOwner(data, await prepared(reader), seed=9)
    begin = await read_snapshot(reader, CONFIG)
    await owner.claim()
    known = {i.number: i for i in begin.parts["main"].instruments}
    recorder = recorder_of(data, make_postgres(dsn), joined_bytes_max=2_000, keep_ms=10**9)
    behind = 0

    async def trade():
        while True:
            await owner.write(4)
            await asyncio.sleep(0.003)

    async with running(recorder):
        trading = asyncio.ensure_future(trade())
        for _ in range(20):
            start = await read_snapshot(reader, CONFIG)
            end = data.end
            whole = [m for m in messages_of(data.entries) if m.number <= end]
            batches = [batch_of(m, known) for m in whole]
            tail = [b for b in batches if b.number > start.parts["main"].batch_no]
            behind += len(tail)
            assert after(start, tail) == after(begin, batches)
            fills = [e for b in batches for e in b.orders if isinstance(e, OrderFilled)]
            shown = [f.fill_id for f in start.past.fills["COIN"]]
            last = start.parts["main"].fill_ids["COIN"]
            assert shown == [e.fill_id for e in fills if e.fill_id <= last][-50:]
        trading.cancel()
        await asyncio.gather(trading, return_exceptions=True)
    assert behind > 20, "SQL that is never behind proves nothing"
