"""A user's orders that have ended, by the index of orders by user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fastbook_server.store import ClientOrder, OrderSpan, rows
from fastbook_server.store.days import INT64_MAX, WINDOW_GROWTH, days_of_seqs
from fastbook_server.store.order_rows import LAST_SEQ, order_of_numbers, read_ends, select
from fastbook_server.values.instruments import Instrument

if TYPE_CHECKING:
    import asyncpg

    from fastbook_server.store.days import Reader

SEQS_FIRST = 10_000
"""How many seqs the first window of a search has."""

FIRST_SEQ = "SELECT min(seq) FROM days WHERE security = $1"
# Days have the first seq that may have happened on them. $2 and $3: from when until when, or null.
SEQS_OF_TIMES = f"""
SELECT coalesce((
    SELECT seq FROM days WHERE security = $1 AND time <= $2 ORDER BY time DESC LIMIT 1
), 0), coalesce((
    SELECT seq FROM days WHERE security = $1 AND time >= $3 ORDER BY time LIMIT 1
), {INT64_MAX})
"""
# $3 and $4: the first and the last seq; $5 and $6: when; $7: how many.
ENDED_ORDERS = f"""
SELECT {select(rows.ORDERS, "o")} FROM orders AS o
WHERE o.user_id = $1 AND o.security = $2 AND o.seq >= $3 AND o.seq <= $4
  AND o.time >= $5 AND o.time < $6
  AND NOT EXISTS (SELECT 1 FROM open_orders AS p WHERE p.id = o.id)
ORDER BY o.seq {{direction}} LIMIT $7
"""


async def read_ended_orders(
    connection: Reader,
    user_id: str,
    security: str,
    span: OrderSpan,
    instruments: Mapping[str, Instrument],
) -> list[ClientOrder]:
    """Return the ended orders of a user that were placed in a span, oldest first.

    One whose end has been dropped from the history is left out. Searches windows of growing length.
    """
    found: list[asyncpg.Record] = []
    query = ENDED_ORDERS.format(direction="ASC" if span.ascends else "DESC")
    first, last = await _seqs(connection, security, span)
    length = SEQS_FIRST
    while first <= last and len(found) < span.limit:
        if span.ascends:
            low, high = first, min(last, first + length - 1)
            first = high + 1
        else:
            low, high = max(first, last - length + 1), last
            last = low - 1
        start_ms, end_ms = await days_of_seqs(connection, security, low, high)
        start_ms = max(start_ms, span.start_ms or 0)
        end_ms = min(end_ms, INT64_MAX if span.end_ms is None else span.end_ms)
        left = span.limit - len(found)
        found += await connection.fetch(query, user_id, security, low, high, start_ms, end_ms, left)
        length *= WINDOW_GROWTH
    placed = [order_of_numbers(row, instruments) for row in found]
    placed.sort(key=lambda order: order.seq)
    ended = await read_ends(connection, placed)
    return [ended[order.id] for order in placed if order.id in ended]


async def _seqs(connection: Reader, security: str, span: OrderSpan) -> tuple[int, int]:
    """Return the first and the last seq that orders of a span may have."""
    first = await connection.fetchval(FIRST_SEQ, security)
    last = await connection.fetchval(LAST_SEQ, security)
    if first is None:
        return 1, 0
    row = await connection.fetchrow(SEQS_OF_TIMES, security, span.start_ms, span.end_ms)
    assert row is not None, "a SELECT without FROM returns one row"
    low, high = row
    since = -1 if span.since is None else span.since
    before = INT64_MAX if span.before is None else span.before
    return max(first, low, since + 1), min(last, high, before - 1)
