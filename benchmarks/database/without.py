"""What an index costs: the same orders through two stores in turn, one of which lacks it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import asyncpg

from benchmarks.database.market import SPEC, Market
from benchmarks.database.volume import BATCH, DAY_ORDERS, SIZE
from fastbook_server.store.postgres import PostgresStore


async def compare_without(
    index: str, dsns: tuple[str, str], orders: int, say: Callable[[str], None]
) -> list[list[str]]:
    """Return rows of (what, with the index, without it, ratio); `dsns` are two empty databases.

    The two take turns, so that what else the machine does is the same for both.
    """
    stores = [PostgresStore(dsn) for dsn in dsns]
    pasts = [await store.open([SPEC], 0) for store in stores]
    market = Market(pasts[0])  # both are new, so one market's batches suit both
    connections = [await asyncpg.connect(dsn) for dsn in dsns]
    for sql in connections:
        await sql.execute("SET search_path = fastbook, public")
    await connections[1].execute(f'DROP INDEX "{index}"')
    spent_s, told = [0.0, 0.0], 0
    step_ms = 86_400_000 / (DAY_ORDERS * 2)
    for turn in range(10**9):
        if market.orders >= orders:
            break
        batch = market.batch(BATCH, step_ms)
        for nth in (0, 1) if turn % 2 else (1, 0):
            prepared = stores[nth].prepare(batch)
            start_s = time.perf_counter()
            await stores[nth].commit(prepared)
            spent_s[nth] += time.perf_counter() - start_s
        if market.orders - told >= orders // 20:
            told = market.orders
            say(f"{told:,} orders, {spent_s[0]:.1f} s with, {spent_s[1]:.1f} s without")
    rates = [market.commands / s for s in spent_s]
    sizes = [await sql.fetchval(SIZE) for sql in connections]
    of_index = await connections[0].fetchval("SELECT pg_relation_size($1::regclass)", index)
    for store, sql in zip(stores, connections, strict=True):
        await store.close()
        await sql.close()
    per_order = [size / market.orders for size in sizes]
    return [
        ["commands/s, in batches of 1,000", *_row(rates)],
        ["bytes per order on disk, all tables and indexes", *_row(per_order)],
        [f"of which `{index}`", f"{of_index / market.orders:,.0f}", "0", ""],
    ]


def _row(values: list[Any]) -> list[str]:
    return [*(f"{value:,.0f}" for value in values), f"{values[0] / values[1]:.2f}"]
