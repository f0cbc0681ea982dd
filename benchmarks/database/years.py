"""The same questions of a day of history and of a thousand: they must take the same time.

The days are alike, and so is what is open at the end, so that only the length of the history
differs. Whatever is asked for is found within a day.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from benchmarks.database.market import SPEC, Market
from fastbook_server.gateway.http.history_queue import recent
from fastbook_server.store.postgres import PostgresStore
from fastbook_server.values.persisted import FillSpan, OrderSpan

DAY_MS = 86_400_000
BATCH = 500
REPEATS = 25
SECURITY = SPEC.security
# Of the user of a fill in the middle of the history: what is asked for must not be rare.
MIDDLE = """
SELECT m.seq / 2 AS seq, m.fill_id / 2 AS fill_id, f.taker_user_id AS user_id,
       f.taker_order_id::text AS order_id, c.seq + 100 AS seq_of_book
FROM markets AS m
JOIN fills AS f ON f.security = m.security AND f.fill_id = m.fill_id / 2,
LATERAL (
    SELECT max(c.seq) AS seq FROM book_checkpoints AS c
    WHERE c.security = m.security AND c.seq <= m.seq / 2
) AS c
"""


async def fill(dsn: str, days: int, commands: int, **market: Any) -> None:
    """Let a market trade until there are so many days, each of so many commands.

    Goes on where the database ends.
    """
    store = PostgresStore(dsn, checkpoint_every=BATCH)
    source = Market(await store.open([SPEC], 1), **market)
    sql = await asyncpg.connect(dsn)
    done = await sql.fetchval("SELECT count(*) FROM fastbook.days")
    await sql.close()
    for _ in range(done, days):
        midnight_ms = -(-source.time_ms // DAY_MS) * DAY_MS
        source.time_ms = midnight_ms
        for _ in range(commands // BATCH):
            await store.commit(store.prepare(source.batch(BATCH, 0.9 * DAY_MS / commands)))
    await store.close()


class Asker:
    """Asks the questions of one database; `open` first."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.questions: dict[str, Callable[[], Awaitable[Any]]] = {}

    async def open(self) -> None:
        """Choose what to ask about: the middle of the history."""
        self._sql = sql = await asyncpg.connect(self._dsn, server_settings={"jit": "off"})
        await sql.execute("SET search_path = fastbook, public")
        row = await sql.fetchrow(MIDDLE)
        assert row is not None, "the market has traded"
        seq, fills, user, order_id, seq_of_book = row
        self._store = store = PostgresStore(self._dsn)
        instruments = (await store.open([SPEC], 50)).instruments
        history = store.history(instruments)
        self._history = history
        page, own = FillSpan(before=fills, limit=50), FillSpan(before=fills + 1, limit=5)
        ended = OrderSpan(before=seq, limit=5)
        book = "SELECT * FROM book_at($1, $2)"
        self.questions = {
            "a start": lambda: store.open([SPEC], 50),
            "the candles and fills that it shows": lambda: recent(
                history, instruments, candles=100, fills=50
            ),
            "the newest page of trades": lambda: history.trades(
                SECURITY, before_seq=None, limit=50
            ),
            "a page of trades in the middle": lambda: history.trades(
                SECURITY, before_seq=seq, limit=50
            ),
            "a page of fills in the middle": lambda: history.fills(SECURITY, page),
            "a page of a user's fills": lambda: history.own_fills(user, SECURITY, own),
            "a page of a user's ended orders": lambda: history.ended_orders(user, SECURITY, ended),
            "the newest page of a user's ended orders": lambda: history.ended_orders(
                user, SECURITY, OrderSpan(limit=5)
            ),
            "an order by its id": lambda: history.order(order_id),
            "what was amended of an order": lambda: history.amendments(order_id),
            "a page of candles": lambda: history.candles(
                SECURITY, "1m", start_ms=None, end_ms=None, limit=100
            ),
            "`book_at` in the middle": lambda: sql.fetch(book, SECURITY, seq_of_book),
        }

    async def close(self) -> None:
        """Close all connections."""
        await self._history.close()
        await self._store.close()
        await self._sql.close()


async def compare(*dsns: str) -> dict[str, list[float]]:
    """Return the least time of each question in each database, in ms; they are asked in turns.

    The least: whatever else the machine does only adds to it.
    """
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
        found[name] = [min(of_one) for of_one in times]
    for asker in askers:
        await asker.close()
    return found
