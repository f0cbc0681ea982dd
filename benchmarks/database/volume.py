"""Many orders through the store: rate, commits of several sizes, bytes on disk, bloat, restarts."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import asyncpg

from benchmarks.database.compression import compress, has_timescale
from benchmarks.database.market import SPEC, Market
from fastbook_server.store.postgres import PostgresStore
from fastbook_server.store.timescale_policies import COMPRESSED
from fastbook_server.store.verification import snapshot, verify

BATCH = 1_000
DAY_ORDERS = 500_000
SIZES = (1, 64, 1_000)
COMMITS = 300
SIZE = """
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND (n.nspname = 'fastbook' OR n.nspname = '_timescaledb_internal')
"""
ROWS = "SELECT " + " + ".join(f"(SELECT count(*) FROM {table})" for table in COMPRESSED)
BLOAT = """
SELECT pg_relation_size('open_orders') AS bytes, pg_indexes_size('open_orders') AS index_bytes,
       (SELECT count(*) FROM open_orders) AS rows,
       s.n_tup_ins + s.n_tup_upd + s.n_tup_del AS changes, s.autovacuum_count AS vacuums
FROM pg_stat_user_tables AS s WHERE s.relid = 'open_orders'::regclass
"""
CHECKPOINTS = {
    True: "SELECT num_timed + num_requested FROM pg_stat_checkpointer",
    False: "SELECT checkpoints_timed + checkpoints_req FROM pg_stat_bgwriter",
}
MIB = 2**20


async def volume(dsn: str, orders: int, say: Callable[[str], None]) -> list[tuple[str, str]]:
    """Return what was measured while so many orders went through a store, by name."""
    store = PostgresStore(dsn)
    market = Market(await store.open([SPEC], 0))
    sql = await asyncpg.connect(dsn)
    await sql.execute("SET search_path = fastbook, public")
    checkpoints = CHECKPOINTS[sql.get_server_version().major >= 17]
    before = await sql.fetchval(checkpoints)
    step_ms = 86_400_000 / (DAY_ORDERS * 2)
    spent_s, told = 0.0, 0
    while market.orders < orders:
        batch = market.batch(BATCH, step_ms)
        start_s = time.perf_counter()
        await store.commit(store.prepare(batch))
        spent_s += time.perf_counter() - start_s
        if market.orders - told >= orders // 20:
            told = market.orders
            say(f"{told:,} orders, {market.commands / spent_s:,.0f} commands/s")
    rows = await sql.fetchval(ROWS)
    size = await sql.fetchval(SIZE)
    found = [
        ("database", store.database),
        ("orders / commands", f"{market.orders:,} / {market.commands:,}"),
        ("commands/s, in batches of 1,000", f"{market.commands / spent_s:,.0f}"),
        ("rows of history / rows/s", f"{rows:,} / {rows / spent_s:,.0f}"),
        ("bytes per order on disk, all tables and indexes", f"{size / market.orders:,.0f}"),
    ]
    for commands in SIZES:
        found.append(await _commits(store, market, commands, step_ms))
    found += await _bloat(sql)
    found.append(("checkpoints meanwhile", f"{await sql.fetchval(checkpoints) - before}"))
    await store.close()
    found.append(("a restart, with all open orders", await _restarts(dsn)))
    found.append(("`fastbook verify`, all checks", await _verified(dsn)))
    if compressed := await _compressed(sql, market.orders):
        found.append(compressed)
    await sql.close()
    return found


async def _commits(
    store: PostgresStore, market: Market, commands: int, step_ms: float
) -> tuple[str, str]:
    times = []
    for _ in range(COMMITS):
        prepared = store.prepare(market.batch(commands, step_ms))
        start_s = time.perf_counter()
        await store.commit(prepared)
        times.append((time.perf_counter() - start_s) * 1_000)
    p50, p99 = statistics.median(times), sorted(times)[int(len(times) * 0.99)]
    return f"a commit of {commands:,}: p50 / p99", f"{p50:.1f} / {p99:.1f} ms"


async def _bloat(sql: asyncpg.Connection[Any]) -> list[tuple[str, str]]:
    row = await sql.fetchrow(BLOAT)
    assert row is not None
    sizes = f"{row['bytes'] / MIB:.1f} + {row['index_bytes'] / MIB:.1f} MiB"
    return [
        (f"`open_orders` with {row['rows']:,} rows, and its indexes", sizes),
        ("rows of it inserted, updated and deleted until then", f"{row['changes']:,}"),
        ("autovacuums of it meanwhile", str(row["vacuums"])),
    ]


async def _restarts(dsn: str) -> str:
    times = []
    for _ in range(3):
        store = PostgresStore(dsn)
        start_s = time.perf_counter()
        await store.open([SPEC], 50)
        times.append(time.perf_counter() - start_s)
        await store.close()
    return f"{statistics.median(times):.2f} s"


async def _verified(dsn: str) -> str:
    start_s = time.perf_counter()
    async with snapshot(dsn) as moment:
        faults = [found.check.name async for found in verify(moment) if found.faults]
    return f"{time.perf_counter() - start_s:.1f} s, {faults or 'sound'}"


async def _compressed(sql: asyncpg.Connection[Any], orders: int) -> tuple[str, str] | None:
    """Compress all chunks where that is possible; return the bytes per order then."""
    if not await has_timescale(sql):
        return None
    await compress(sql, await sql.fetchval("SELECT exchange_time()"))
    return (
        "bytes per order, all days but the last compressed",
        f"{await sql.fetchval(SIZE) / orders:,.0f}",
    )
