"""The same questions of a day of history and of a thousand: they must take the same time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from benchmarks.database.compression import compress
from benchmarks.database.market import SPEC, Market
from fastbook_server.store.postgres import PostgresStore
from fastbook_server.values.persisted import FillSpan

DAY_MS = 86_400_000
COMMANDS_A_DAY = 400
REPEATS = 25
SECURITY = SPEC.security


async def fill(dsn: str, days: int) -> None:
    """Let a market trade for so many days, the same number of commands on each."""
    store = PostgresStore(dsn, checkpoint_every=1_000)
    market = Market(await store.open([SPEC], 0), live=1_000)
    for _ in range(days):
        midnight_ms = market.time_ms // DAY_MS * DAY_MS
        await store.commit(store.prepare(market.batch(COMMANDS_A_DAY, 60_000)))
        market.time_ms = midnight_ms + DAY_MS
    await store.close()


async def compress_old(sql: asyncpg.Connection[Any]) -> None:
    """Compress all but the last week."""
    newest_ms = await sql.fetchval("SELECT max(time) FROM days")
    await compress(sql, newest_ms - 7 * DAY_MS)


class Asker:
    """Asks the questions of one database; `open` first."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.questions: dict[str, Callable[[], Awaitable[Any]]] = {}

    async def open(self) -> None:
        """Choose what to ask about: the middle of the history."""
        self._sql = sql = await asyncpg.connect(self._dsn)
        await sql.execute("SET search_path = fastbook, public")
        seq, fills = await sql.fetchrow("SELECT seq / 2, fill_id / 2 FROM markets")
        start_ms = await sql.fetchval(
            "SELECT time FROM days WHERE seq <= $1 ORDER BY seq DESC LIMIT 1", seq
        )
        user, order_id = await sql.fetchrow(
            "SELECT taker_user_id, taker_order_id::text FROM fills"
            " WHERE time >= $1 AND time < $2 ORDER BY seq DESC LIMIT 1",
            *(start_ms, start_ms + DAY_MS),
        )
        self._store = store = PostgresStore(self._dsn)
        history = store.history((await store.open([SPEC], 50)).instruments)
        self._history = history
        before, own = FillSpan(before=fills, limit=50), FillSpan(before=fills + 1, limit=5)
        book = "SELECT * FROM book_at($1, $2)"
        self.questions = {
            "a start": lambda: store.open([SPEC], 50),
            "the newest page of trades": lambda: history.trades(
                SECURITY, before_seq=None, limit=50
            ),
            "a page of trades in the middle": lambda: history.trades(
                SECURITY, before_seq=seq, limit=50
            ),
            "a page of fills in the middle": lambda: history.fills(SECURITY, before),
            "a page of a user's fills": lambda: history.own_fills(user, SECURITY, own),
            "an order by its id": lambda: history.order(order_id),
            "`book_at` in the middle": lambda: sql.fetch(book, SECURITY, seq),
        }

    async def close(self) -> None:
        """Close all connections."""
        await self._history.close()
        await self._store.close()
        await self._sql.close()


async def compare(*dsns: str) -> dict[str, list[float]]:
    """Return the median time of each question in each database, in ms; they are asked in turns."""
    askers = [Asker(dsn) for dsn in dsns]
    for asker in askers:
        await asker.open()
    found = {}
    for name in askers[0].questions:
        times: list[list[float]] = [[] for _ in askers]
        for repeat in range(REPEATS + 1):
            for asker, of_one in zip(askers, times, strict=True):
                start_s = time.perf_counter()
                await asker.questions[name]()
                if repeat:  # the first one connects, and fills caches
                    of_one.append((time.perf_counter() - start_s) * 1_000)
        found[name] = [statistics.median(of_one) for of_one in times]
    for asker in askers:
        await asker.close()
    return found
