"""Read committed history from PostgreSQL over a small pool of read-only connections.

The pool connects on first use. Commits run on a connection of their own, so no query here can
delay them.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

import asyncpg

from fastbook_server.store import (
    Amendment,
    ClientOrder,
    FillSpan,
    OrderSpan,
    OwnFill,
    StoredFill,
    Upkeep,
)
from fastbook_server.store.connection import SESSION_SETTINGS, letting_in, meanings
from fastbook_server.store.days import (
    DAY_MS,
    INT64_MAX,
    PLAN_WITH_VALUES,
    WINDOW_GROWTH,
    days_of_fills,
    fill_ids,
)
from fastbook_server.store.ended_orders import read_ended_orders
from fastbook_server.store.order_rows import read_amendments, read_order, read_trades
from fastbook_server.store.upkeep import read_upkeep
from fastbook_server.values import ids
from fastbook_server.values.candles import Candle
from fastbook_server.values.events import Traded
from fastbook_server.values.holdings import Holding
from fastbook_server.values.instruments import Instrument
from fastbook_wire.words import INTERVALS, Interval, Role

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = (
        asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    )

CONNECTIONS_MAX = 2
TIMEOUT_S = 8.0
CLOSE_TIMEOUT_S = 2.0
TIME_MAX = 2**47
_UUID = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)  # as we write it; SQL takes no other

# Index scans even with stale planner statistics; read only.
SETTINGS = f"""{SESSION_SETTINGS}
SET {PLAN_WITH_VALUES};
SET default_transaction_read_only = on;
SET statement_timeout = {{timeout_ms}};
SET lock_timeout = {{timeout_ms}};
SET idle_in_transaction_session_timeout = {{timeout_ms}};
SET enable_seqscan = off
"""
# Between which days a security has traded. Of what has been dropped, candles alone are left: all of
# them are aggregated, and those of days are few.
BOUNDS = """
SELECT min(time) AS first_ms, max(time) AS last_ms,
       (SELECT time FROM dropped WHERE security = $1) AS dropped_ms
FROM days WHERE security = $1
"""
FIRST_CANDLE = "SELECT min(time) FROM candles_1d WHERE security = $1 AND time < $2"
CANDLES = """
SELECT time, open_ticks, high_ticks, low_ticks, close_ticks, volume_lots, trades FROM {relation}
WHERE security = $1 AND time >= $2 AND time < $3 ORDER BY time {direction} LIMIT $4
"""


FILL_ID_AT = "SELECT fill_id_at($1, $2)"
FILL_ID_OF_AGG_TRADE = "SELECT fill_id_of_agg_trade($1, $2)"
# $2 and $3: between which fill ids, both exclusive; $4: how many, $5 and $6: when.
FILLS = """
SELECT fill_id, agg_trade_id, seq, time, type, price_ticks, quantity_lots FROM fills
WHERE security = $1 AND fill_id > $2 AND fill_id < $3 AND time >= $5 AND time < $6
ORDER BY fill_id {direction} LIMIT $4
"""
# $7: the user. A fill between two orders of one user is found on both sides, and counts once.
OWN_FILLS = """
SELECT fill_id, agg_trade_id, seq, time, type, price_ticks, quantity_lots,
       taker_user_id, taker_order_id::text, maker_user_id, maker_order_id::text
FROM (
    (SELECT * FROM fills
     WHERE taker_user_id = $7 AND security = $1 AND fill_id > $2 AND fill_id < $3
       AND time >= $5 AND time < $6
     ORDER BY fill_id {direction} LIMIT $4)
    UNION
    (SELECT * FROM fills
     WHERE maker_user_id = $7 AND security = $1 AND fill_id > $2 AND fill_id < $3
       AND time >= $5 AND time < $6
     ORDER BY fill_id {direction} LIMIT $4)
) AS f ORDER BY fill_id {direction} LIMIT $4
"""
# Of all fills: no index helps, and the whole of them may take longer than a query of clients may.
HOLDINGS_TIMEOUT_S = 900.0
HOLDINGS_SETTINGS = f"""
SET LOCAL statement_timeout = {int(HOLDINGS_TIMEOUT_S * 1000)};
SET LOCAL enable_seqscan = on
"""
HOLDINGS = """
SELECT user_id, security, sum(lots) AS lots, -sum(lots * price_ticks) AS cash, count(*) AS fills
FROM (
    SELECT taker_user_id AS user_id, security, price_ticks,
           quantity_lots::numeric * CASE type WHEN 'bid' THEN 1 ELSE -1 END AS lots FROM fills
    UNION ALL
    SELECT maker_user_id, security, price_ticks,
           quantity_lots::numeric * CASE type WHEN 'bid' THEN -1 ELSE 1 END FROM fills
) AS f GROUP BY user_id, security
"""
_ROLES: tuple[Role, ...] = ("taker", "maker")


class PostgresHistory:
    """A `History` of the database at `dsn`, once a store has opened it."""

    def __init__(
        self, dsn: str, instruments: Sequence[Instrument], *, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._dsn = dsn
        self._timeout_s = timeout_s
        self._instruments = {instrument.security: instrument for instrument in instruments}
        self._pool: Pool | None = None
        self._opening = asyncio.Lock()

    async def trades(
        self, security: str, *, before_seq: int | None, limit: int
    ) -> Sequence[Traded]:
        """See `History.trades`."""
        before = INT64_MAX if before_seq is None else min(before_seq, INT64_MAX)
        if before <= 0 or limit <= 0:
            return []
        async with self._connection() as connection:
            return await read_trades(connection, security, before, limit, self._instruments)

    async def candles(
        self,
        security: str,
        interval: Interval,
        *,
        start_ms: int | None,
        end_ms: int | None,
        limit: int,
    ) -> Sequence[Candle]:
        """See `History.candles`.

        Searches time windows of growing length until `limit` candles are found. A window is an
        index scan on every kind of database; the newest rows of a continuous aggregate are not.
        """
        if limit <= 0:
            return []
        async with self._connection() as connection:
            low, high = await _bounds_of_candles(connection, security)
            if start_ms is not None:
                low = max(low, start_ms)
            if end_ms is not None:
                high = min(high, end_ms)
            descends = start_ms is None
            query = CANDLES.format(
                relation=f"candles_{interval}", direction="DESC" if descends else "ASC"
            )
            found: list[asyncpg.Record] = []
            width = limit * INTERVALS[interval]
            while low < high and len(found) < limit:
                start, end = (
                    (max(low, high - width), high) if descends else (low, min(high, low + width))
                )
                found += await connection.fetch(query, security, start, end, limit - len(found))
                low, high = (low, start) if descends else (end, high)
                width *= WINDOW_GROWTH
        if descends:
            found.reverse()
        return [_candle(row) for row in found]

    async def fills(self, security: str, span: FillSpan) -> Sequence[StoredFill]:
        """See `History.fills`. Fill ids have no gaps: the first window holds all of a page."""
        rows = await self._fills(FILLS, security, span)
        return [_fill(row) for row in rows]

    async def own_fills(self, user_id: str, security: str, span: FillSpan) -> Sequence[OwnFill]:
        """See `History.own_fills`. Searches windows of growing length."""
        rows = await self._fills(OWN_FILLS, security, span, user_id)
        return [
            OwnFill(_fill(row), role, row[f"{role}_order_id"])
            for row in rows
            for role in _ROLES
            if row[f"{role}_user_id"] == user_id
        ]

    async def _fills(
        self, query: str, security: str, span: FillSpan, *arguments: str
    ) -> list[asyncpg.Record]:
        """Return the rows of a span, oldest first; the first window has ``limit`` fill ids."""
        length = span.limit
        query = query.format(direction="ASC" if span.ascends else "DESC")
        found: list[asyncpg.Record] = []
        async with self._connection() as connection:
            low, high = await _bounds(connection, security, span)
            while low + 1 < high and len(found) < span.limit:
                after, before = (
                    (low, min(high, low + length + 1))
                    if span.ascends
                    else (max(low, high - length - 1), high)
                )
                days = await days_of_fills(connection, security, after + 1, before - 1)
                left = span.limit - len(found)
                found += await connection.fetch(
                    query, security, after, before, left, *days, *arguments
                )
                low, high = (before - 1, high) if span.ascends else (low, after + 1)
                length *= WINDOW_GROWTH
        if not span.ascends:
            found.reverse()
        return found

    async def ended_orders(
        self, user_id: str, security: str, span: OrderSpan
    ) -> Sequence[ClientOrder]:
        """See `History.ended_orders`. Searches windows of growing length."""
        if span.limit <= 0 or security not in self._instruments:
            return []
        async with self._connection() as connection:
            return await read_ended_orders(connection, user_id, security, span, self._instruments)

    async def order(self, order_id: str) -> ClientOrder | None:
        """See `History.order`. The id tells the time of the order, which bounds every query."""
        claim = ids.decode(order_id)
        if claim is None or claim.time_ms > TIME_MAX or not _UUID.fullmatch(order_id):
            return None
        async with self._connection() as connection:
            return await read_order(connection, order_id, claim.time_ms, self._instruments)

    async def amendments(self, order_id: str) -> Sequence[Amendment]:
        """See `History.amendments`. The order's time bounds the query, as in `order`."""
        claim = ids.decode(order_id)
        if claim is None or claim.time_ms > TIME_MAX or not _UUID.fullmatch(order_id):
            return []
        async with self._connection() as connection:
            return await read_amendments(connection, order_id, claim.time_ms, self._instruments)

    async def holdings(self) -> Sequence[Holding]:
        """See `History.holdings`."""
        async with self._connection(HOLDINGS_TIMEOUT_S) as connection, connection.transaction():
            await connection.execute(HOLDINGS_SETTINGS)
            rows = await connection.fetch(HOLDINGS, timeout=HOLDINGS_TIMEOUT_S)
        return [
            Holding(
                user_id=row["user_id"],
                security=row["security"],
                lots=int(row["lots"]),
                cash=int(row["cash"]),
                fills=row["fills"],
            )
            for row in rows
        ]

    async def upkeep(self) -> Upkeep:
        """See `History.upkeep`."""
        async with self._connection() as connection:
            return await read_upkeep(connection)

    async def close(self) -> None:
        """See `History.close`."""
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await pool.close()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                pool.terminate()

    @contextlib.asynccontextmanager
    async def _connection(self, timeout_s: float | None = None) -> AsyncIterator[Connection]:
        """Lend a connection for one query of at most `timeout_s`; None: as long as any may take.

        Raises:
            StoreUnavailable: no connection, or no answer in time.
            StoreBroken: the database rejected the query: a bug of ours or a foreign database.
        """
        with meanings():
            async with asyncio.timeout(timeout_s or self._timeout_s):
                async with self._opening:
                    if self._pool is None:
                        self._pool = await _open_pool(self._dsn, self._timeout_s)
                    pool = self._pool
                with letting_in():
                    connection = await pool.acquire()
                try:
                    yield connection
                finally:
                    await pool.release(connection)


async def _bounds_of_candles(connection: Connection, security: str) -> tuple[int, int]:
    """Return the time from which up to before which the candles of a security start."""
    row = await connection.fetchrow(BOUNDS, security)
    assert row is not None, "an aggregate of all rows is one row"
    first, last, dropped = row
    if dropped is not None:
        oldest = await connection.fetchval(FIRST_CANDLE, security, dropped)
        first = oldest if oldest is not None else first
        last = last if last is not None else dropped
    return (0, 0) if first is None else (first, last + DAY_MS)


async def _bounds(connection: Connection, security: str, span: FillSpan) -> tuple[int, int]:
    """Return the fill ids, both exclusive, between which the fills of a span lie."""
    first, last = await fill_ids(connection, security)
    low = first - 1 if span.since is None else max(first - 1, span.since)
    high = last + 1 if span.before is None else min(last + 1, span.before)
    if span.from_agg_trade is not None:
        first = await connection.fetchval(FILL_ID_OF_AGG_TRADE, security, span.from_agg_trade)
        low = max(low, first - 1)
    if span.start_ms is not None:
        low = max(low, await connection.fetchval(FILL_ID_AT, security, span.start_ms) - 1)
    if span.end_ms is not None:
        high = min(high, await connection.fetchval(FILL_ID_AT, security, span.end_ms))
    return low, high


def _fill(row: asyncpg.Record) -> StoredFill:
    return StoredFill(
        fill_id=row["fill_id"],
        agg_trade_id=row["agg_trade_id"],
        seq=row["seq"],
        time_ms=row["time"],
        side=row["type"],
        price=row["price_ticks"],
        quantity=row["quantity_lots"],
    )


def _candle(row: asyncpg.Record) -> Candle:
    return Candle(
        start_ms=row["time"],
        open=row["open_ticks"],
        high=row["high_ticks"],
        low=row["low_ticks"],
        close=row["close_ticks"],
        volume=int(row["volume_lots"]),
        trades=row["trades"],
    )


async def _open_pool(dsn: str, timeout_s: float) -> Pool:
    """Return a pool that connects on first use."""

    async def keep_settings(_: Connection) -> None:
        """Skip the reset of a returned connection, which would drop `SETTINGS`."""

    async def settle(connection: Connection) -> None:
        await connection.execute(SETTINGS.format(timeout_ms=int(timeout_s * 1_000)))

    pool: Pool | None = await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=CONNECTIONS_MAX,
        init=settle,
        reset=keep_settings,
        timeout=TIMEOUT_S,
        command_timeout=timeout_s,
        server_settings={"application_name": "fastbook history"},
    )
    assert pool is not None, "so it is outside of asyncpg's own tests"
    return pool
