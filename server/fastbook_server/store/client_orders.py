"""Ended orders whose client order ids are still known, by which a start recognises retries.

Most were placed within the last day, like those ids; a few are as old as orders get, and of these
only their own rows are read, not all that has happened meanwhile.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from fastbook_server.store import ClientOrder
from fastbook_server.store.days import DAY_MS, INT64_MAX
from fastbook_server.store.order_rows import (
    LONG_TIMEOUT_S,
    READ_CHANGES,
    READ_ENDED,
    READ_FILLED,
    client_order,
    order_of_numbers,
    orders_of,
    with_changes,
)
from fastbook_server.values.events import Order
from fastbook_server.values.instruments import Instrument
from fastbook_wire.words import Reason

if TYPE_CHECKING:
    import asyncpg

    from fastbook_server.store.connection import Connection

FEW = 500
"""Up to so many old orders are looked up by their users; of more, one pass reads all fills."""
DAYS_AT_ONCE = 32
"""How many days of an old order's life one query looks at: so many chunks it plans and locks."""

NAMED = """
SELECT DISTINCT order_id::text, time AS order_time, ended FROM client_orders WHERE ended >= $1
"""
DAYS = "SELECT time, seq, fill_id FROM days WHERE security = $1 AND time > $2 ORDER BY time"
FIRST_SEQ = "SELECT seq FROM days WHERE security = $1 AND time >= $2 ORDER BY time LIMIT 1"
# $1: users, $2: orders, $3: security, $4: after which fill, $5: up to which one, $6 and $7: when.
_FILLED = """
    SELECT {0}_order_id AS id, price_ticks, quantity_lots FROM fills
    WHERE {0}_user_id = ANY($1) AND {0}_order_id = ANY($2::uuid[]) AND security = $3
      AND fill_id > $4 AND fill_id <= $5 AND time >= $6 AND time < $7
"""
READ_FILLED_OF_USERS = f"""
SELECT f.id::text, sum(f.quantity_lots) AS filled,
       sum(f.price_ticks::numeric * f.quantity_lots) AS notional
FROM ({_FILLED.format("maker")} UNION ALL {_FILLED.format("taker")}) AS f
GROUP BY f.id
"""


class _Found:
    """What the history says of orders, by their ids."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.filled: dict[str, tuple[int, int]] = {}
        self.reasons: dict[str, Reason] = {}

    def add_fills(self, rows: Sequence[asyncpg.Record]) -> None:
        """Add lots and values of some fills."""
        for row in rows:
            lots, notional = self.filled.get(row["id"], (0, 0))
            lots, notional = lots + int(row["filled"]), notional + int(row["notional"])
            self.filled[row["id"]] = (lots, notional)

    def add_ends(self, rows: Sequence[asyncpg.Record]) -> None:
        """Add why some orders were cancelled."""
        self.reasons |= {row["id"]: row["reason"] for row in rows}


async def read_client_orders(
    connection: Connection, cutoff: int, instruments: Mapping[str, Instrument]
) -> list[ClientOrder]:
    """Return the orders with client order ids that ended at `cutoff` or later, in that order."""
    named = await connection.fetch(NAMED, cutoff)
    ended_ms = {row["order_id"]: row["ended"] for row in named}
    since_ms = cutoff - cutoff % DAY_MS
    placed = [
        order_of_numbers(row, instruments)
        for row in (await orders_of(connection, named, since_ms)).values()
        if row["security"] in instruments
    ]
    found = _Found()
    for instrument in instruments.values():
        of_one = [order for order in placed if order.instrument is instrument]
        old = [order for order in of_one if order.time_ms < since_ms]
        if len(old) <= FEW:
            of_one = [order for order in of_one if order.time_ms >= since_ms]
            await _read_by_user(connection, old, since_ms, found)
        await _read_at_once(connection, of_one, found)
    found.orders.sort(key=lambda order: (ended_ms[order.id], order.id))
    return [
        client_order(o, *found.filled.get(o.id, (0, 0)), found.reasons.get(o.id), ended_ms[o.id])
        for o in found.orders
    ]


async def _read_at_once(connection: Connection, orders: Sequence[Order], found: _Found) -> None:
    """Find what became of orders of one security: O(its commands since the first of them)."""
    if not orders:
        return
    arguments = (
        [order.id for order in orders],
        orders[0].instrument.security,
        min(order.seq for order in orders),
        INT64_MAX,
        min(order.time_ms for order in orders),
        INT64_MAX,
    )
    # Even with stale statistics the planner must not scan a table once per order.
    await connection.execute("SET LOCAL enable_nestloop = off")
    found.add_fills(await connection.fetch(READ_FILLED, *arguments, timeout=LONG_TIMEOUT_S))
    found.add_ends(await connection.fetch(READ_ENDED, *arguments, timeout=LONG_TIMEOUT_S))
    changes = await connection.fetch(READ_CHANGES, *arguments, timeout=LONG_TIMEOUT_S)
    found.orders += with_changes(orders, changes)
    await connection.execute("SET LOCAL enable_nestloop = on")


async def _read_by_user(
    connection: Connection, orders: Sequence[Order], since_ms: int, found: _Found
) -> None:
    """Find what became of few orders of one security, which all ended at `since_ms` or later.

    O(days since the first of them, and what their users traded on these).
    """
    if not orders:
        return
    ids = [order.id for order in orders]
    users = list({order.user_id for order in orders})
    security = orders[0].instrument.security
    await connection.execute("SET LOCAL enable_seqscan = off")
    first = await connection.fetchval(FIRST_SEQ, security, since_ms)
    if first is not None:
        bounds = (first, INT64_MAX, since_ms, INT64_MAX)
        found.add_ends(await connection.fetch(READ_ENDED, ids, security, *bounds))
    changes: list[asyncpg.Record] = []
    oldest_ms = min(order.time_ms for order in orders)
    async for w in _windows(connection, security, oldest_ms):
        changes += await connection.fetch(
            READ_CHANGES, ids, security, w.first_seq, w.last_seq, *w.times, timeout=LONG_TIMEOUT_S
        )
        of_window = (security, *w.fills, *w.times)
        found.add_fills(
            await connection.fetch(
                READ_FILLED_OF_USERS, users, ids, *of_window, timeout=LONG_TIMEOUT_S
            )
        )
    found.orders += with_changes(orders, changes)
    await connection.execute("SET LOCAL enable_seqscan = on")


class _Window(NamedTuple):
    """Some days: their seqs, after which and up to which fill, and their times."""

    first_seq: int
    last_seq: int
    fills: tuple[int, int]
    times: tuple[int, int]


async def _windows(connection: Connection, security: str, since_ms: int) -> AsyncIterator[_Window]:
    """Yield the days of a security from that of `since_ms` on, some at a time."""
    days = await connection.fetch(DAYS, security, since_ms - DAY_MS)
    for n in range(0, len(days), DAYS_AT_ONCE):
        start_ms, seq, fill_id = days[n]
        end_ms, seq_next, last = INT64_MAX, INT64_MAX, INT64_MAX
        if n + DAYS_AT_ONCE < len(days):
            end_ms, seq_next, last = days[n + DAYS_AT_ONCE]
        yield _Window(seq, seq_next - 1, (fill_id, last), (start_ms, end_ms))
