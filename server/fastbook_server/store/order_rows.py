"""Orders and trades from rows: open ones, ended ones with their fills and changes, trades."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from sys import intern
from typing import TYPE_CHECKING, Any

from fastbook_server.store import Amendment, ClientOrder, OpenOrder, StoreRefused, rows
from fastbook_server.store.days import (
    DAY_MS,
    INT64_MAX,
    WINDOW_GROWTH,
    Days,
    days_of_fills,
    days_of_seqs,
    last_fill_by_day,
)
from fastbook_server.store.open_orders import OpenOrderReader
from fastbook_server.values.events import Order, Traded, changed
from fastbook_server.values.instruments import Instrument
from fastbook_wire.words import Reason, Status

if TYPE_CHECKING:
    import asyncpg

    from fastbook_server.store.days import Reader

LONG_TIMEOUT_S = 900.0
SEQS_FIRST = 100
"""How many seqs the first window of a search for the end of an order has."""
ORDERS_AT_ONCE = 500
"""How many orders are looked up in one query: the plan has a list of them for each chunk."""


def select(columns: Sequence[str], table: str) -> str:
    """Return the SELECT list of these columns of `table`, with a uuid ``id`` as text."""
    return ", ".join(
        f"{table}.{name}::text" if name == "id" else f"{table}.{name}" for name in columns
    )


READ_OPEN_ORDERS = f"SELECT {', '.join(rows.OPEN_ORDERS)} FROM open_orders"
OF_SECURITIES = "WHERE security = ANY($1)"
WITH_ID = "WHERE id = $1::uuid"
# Fills, cancellations and changes of the orders $1 of one security, of which none has a seq or time
# before $3 or $5, or one after $4 or from $6 on. All are joins over the security's rows of then.
WHEN = "security = $2 AND seq >= $3 AND seq <= $4 AND time >= $5 AND time < $6"
READ_FILLED = f"""
SELECT f.id::text, sum(f.quantity_lots) AS filled, max(f.time) AS time,
       sum(f.price_ticks::numeric * f.quantity_lots) AS notional
FROM unnest($1::uuid[]) AS wanted (id)
JOIN (
    SELECT maker_order_id AS id, time, price_ticks, quantity_lots FROM fills WHERE {WHEN}
    UNION ALL
    SELECT taker_order_id, time, price_ticks, quantity_lots FROM fills WHERE {WHEN}
) AS f ON f.id = wanted.id
GROUP BY f.id
"""
READ_ENDED = f"""
SELECT c.order_id::text AS id, c.reason, c.time
FROM unnest($1::uuid[]) AS wanted (id) JOIN cancellations AS c ON c.order_id = wanted.id
WHERE {WHEN}
"""
READ_CHANGES = f"""
SELECT c.order_id::text AS id, c.price_ticks, c.quantity_lots, c.client_order_id
FROM unnest($1::uuid[]) AS wanted (id) JOIN order_changes AS c ON c.order_id = wanted.id
WHERE {WHEN} AND c.cause <> 'trigger'
ORDER BY c.seq, c.n
"""
READ_ORDER = f"""
SELECT {select(rows.ORDERS, "o")} FROM orders AS o WHERE o.id = $1::uuid AND o.time = $2
"""
READ_AMENDMENTS = """
SELECT seq, time, quantity_lots_before, quantity_lots, client_order_id_before, client_order_id
FROM order_changes
WHERE order_id = $1::uuid AND security = $2 AND seq >= $3 AND time >= $4 AND time < $5
  AND cause = 'user'
ORDER BY seq, n
"""
LAST_SEQ = "SELECT seq FROM markets WHERE security = $1"
# $2: how many, $3: before which seq, $4 and $5: when. Fills have the seq of their trade.
READ_TRADES = """
WITH t AS (
    SELECT id, seq, time, amount, order_id FROM trades
    WHERE security = $1 AND seq < $3 AND time >= $4 AND time < $5 ORDER BY seq DESC LIMIT $2
)
SELECT t.id::text AS trade_id, t.seq AS trade_seq, t.time AS trade_time,
       t.amount AS trade_amount, t.order_id::text, id_time(t.order_id) AS order_time, f.notional
FROM t LEFT JOIN (
    SELECT seq, sum(price_ticks::numeric * quantity_lots) AS notional FROM fills
    WHERE security = $1 AND time >= $4 AND time < $5
      AND seq >= (SELECT min(seq) FROM t) AND seq <= (SELECT max(seq) FROM t)
    GROUP BY seq
) AS f ON f.seq = t.seq
ORDER BY t.seq DESC
"""
READ_ORDERS = f"""
SELECT {select(rows.ORDERS, "o")} FROM orders AS o
WHERE o.id = ANY($1::uuid[]) AND o.time >= $2 AND o.time < $3
"""


def order_of_numbers(row: asyncpg.Record, instruments: Mapping[str, Instrument]) -> Order:
    """Return the order of a row of ``orders``, whose price and amount are doubles."""
    instrument = instruments[row["security"]]
    tick, lot = instrument.tick, instrument.lot
    price = None if row["price"] is None else tick.units(row["price"])
    quantity = lot.units(row["amount"]) if row["amount"] else 0  # a total may pay for nothing
    if quantity is None or (price is None and row["price"] is not None):
        raise StoreRefused(
            f"order {row['id']}: expected multiples of tick {instrument.tick.step} and lot "
            f"{instrument.lot.step}, got price {row['price']} and amount {row['amount']}"
        )
    trigger, display = row["trigger_price"], row["display"]
    # The enums of the schema are the words of the wire: hence the ignored types.
    return Order(
        id=row["id"],
        seq=row["seq"],
        time_ms=row["time"],
        user_id=intern(row["user_id"]),
        instrument=instrument,
        side=intern(row["type"]),  # type: ignore[arg-type]
        exec_type=intern(row["exec_type"]),  # type: ignore[arg-type]
        price=price,
        quantity=quantity,
        time_in_force=intern(row["time_in_force"]),  # type: ignore[arg-type]
        post_only=row["post_only"],
        self_trade=intern(row["self_trade"]),  # type: ignore[arg-type]
        client_order_id=row["client_order_id"],
        withdraw_on_close=row["withdraw_on_close"],
        expire_ms=row["expire_time"],
        trigger_price=None if trigger is None else tick.nearest(trigger),
        display=0 if display is None else lot.nearest(display),
        budget=row["budget"],
    )


async def read_open_orders(
    connection: Reader, where: str, wanted: Any, instruments: Mapping[str, Instrument]
) -> list[OpenOrder]:
    """Return the open orders that meet a condition, `OF_SECURITIES` or `WITH_ID`, in no order."""
    reader = OpenOrderReader(instruments)

    async def take(data: bytes | bytearray) -> None:
        reader.feed(data)

    await connection.copy_from_query(
        f"{READ_OPEN_ORDERS} {where}",
        wanted,
        output=take,
        format="binary",
        timeout=LONG_TIMEOUT_S,
    )
    return reader.found


def client_order(
    order: Order, filled: int, notional: int, reason: Reason | None, ended_ms: int | None
) -> ClientOrder:
    """Return an order that has ended: for `reason`, or because it was filled."""
    status: Status = "filled" if reason is None else "cancelled"
    return ClientOrder(order, status, order.quantity - filled, notional, reason, ended_ms)


async def read_order(
    connection: Reader, order_id: str, time_ms: int, instruments: Mapping[str, Instrument]
) -> ClientOrder | None:
    """Return an order of these instruments that was accepted at `time_ms`, or None.

    O(commands of the security while it was open), or O(1) if it still is.
    """
    row = await connection.fetchrow(READ_ORDER, order_id, time_ms)
    if row is None or row["security"] not in instruments:
        return None
    for resting in await read_open_orders(connection, WITH_ID, order_id, instruments):
        return ClientOrder(resting.order, resting.status, resting.remaining, resting.notional, None)
    placed = order_of_numbers(row, instruments)
    return (await read_ends(connection, [placed])).get(order_id)


async def read_amendments(
    connection: Reader, order_id: str, time_ms: int, instruments: Mapping[str, Instrument]
) -> list[Amendment]:
    """Return how a user has changed an order that was accepted at `time_ms`, oldest first.

    Read within the time in which the order was open, found as in `read_order`.
    """
    found = await read_order(connection, order_id, time_ms, instruments)
    if found is None:
        return []
    order = found.order
    end_ms = INT64_MAX if found.ended_ms is None else found.ended_ms + 1
    bounds = (order.instrument.security, order.seq, order.time_ms, end_ms)
    rows = await connection.fetch(READ_AMENDMENTS, order_id, *bounds)
    return [Amendment(*row) for row in rows]


async def read_ends(connection: Reader, orders: Sequence[Order]) -> dict[str, ClientOrder]:
    """Return by id how orders of one security ended, given as they were placed, oldest first.

    What has been dropped is left out. Searches windows of growing length while an order is open,
    each for all that are: O(commands of the security while at least one was).
    """
    if not orders:
        return {}
    security = orders[0].instrument.security
    ended: dict[str, ClientOrder] = {}
    waiting, current = list(reversed(orders)), dict[str, Order]()
    filled: dict[str, tuple[int, int, int]] = {}
    low, last = orders[0].seq, await connection.fetchval(LAST_SEQ, security)
    length = SEQS_FIRST
    while low <= last:
        high = min(low + length - 1, last)
        while waiting and waiting[-1].seq <= high:
            order = waiting.pop()
            current[order.id] = order
        days = await days_of_seqs(connection, security, low, high)
        arguments = (list(current), security, low, high, *days)
        changes = await connection.fetch(READ_CHANGES, *arguments)
        current = {o.id: o for o in with_changes(current.values(), changes)}
        for row in await connection.fetch(READ_FILLED, *arguments):
            lots, notional, _ = filled.get(row["id"], (0, 0, 0))
            lots, notional = lots + int(row["filled"]), notional + int(row["notional"])
            filled[row["id"]] = (lots, notional, row["time"])
        gone = {r["id"]: r for r in await connection.fetch(READ_ENDED, *arguments)}
        # Not asked before the first window: an order by total may be for no lots, yet cancelled.
        for order in list(current.values()):
            lots, notional, ended_ms = filled.get(order.id, (0, 0, order.time_ms))
            end = gone.get(order.id)
            if end is not None or lots == order.quantity:
                reason = None if end is None else end["reason"]
                ended_ms = ended_ms if end is None else end["time"]
                ended[order.id] = client_order(order, lots, notional, reason, ended_ms)
                del current[order.id]
        low, length = high + 1, length * WINDOW_GROWTH
        if not current:
            if not waiting:
                break
            low, length = max(low, waiting[-1].seq), SEQS_FIRST
    return ended


async def read_trades(
    connection: Reader,
    security: str,
    before_seq: int,
    limit: int,
    instruments: Mapping[str, Instrument],
) -> list[Traded]:
    """Return the newest `limit` trades with seq < `before_seq`, oldest first.

    Searches windows of growing length back in time, of whole days. A trade whose order has been
    dropped from the history is left out.
    """
    found: list[asyncpg.Record] = []
    placed: dict[str, asyncpg.Record] = {}
    last = await last_fill_by_day(connection, security, before_seq)
    _, end_ms = await days_of_seqs(connection, security, before_seq, before_seq - 1)
    length, start_ms = limit, end_ms
    while start_ms and len(found) < limit:
        start_ms, _ = await days_of_fills(connection, security, last - length + 1, last)
        left = limit - len(found)
        records = await connection.fetch(
            READ_TRADES, security, left, before_seq, start_ms, end_ms, timeout=LONG_TIMEOUT_S
        )
        placed |= await orders_of(connection, records, start_ms)
        found += records
        end_ms, length = start_ms, length * WINDOW_GROWTH
    return [
        trade_of(trade, placed[trade["order_id"]], instruments)
        for trade in reversed(found)
        if trade["order_id"] in placed
    ]


async def orders_of(
    connection: Reader, asked: Sequence[asyncpg.Record], start_ms: int
) -> dict[str, asyncpg.Record]:
    """Return by id the orders that these rows ask for, those placed before `start_ms` by days."""
    placed = {}
    for days, order_ids in _by_days(asked, start_ms):
        for row in await connection.fetch(READ_ORDERS, order_ids, *days, timeout=LONG_TIMEOUT_S):
            placed[row["id"]] = row
    return placed


def _by_days(
    asked: Sequence[asyncpg.Record], start_ms: int
) -> Iterator[tuple[Days, Sequence[str]]]:
    """Yield ids of orders, a few at a time, with the days on which they were placed."""
    by_time = sorted((row["order_time"], row["order_id"]) for row in asked)
    first = 0
    for n, (time_ms, _) in enumerate(by_time, 1):
        day_ms = time_ms - time_ms % DAY_MS
        if n < len(by_time) and n - first < ORDERS_AT_ONCE:
            next_ms, _ = by_time[n]
            if next_ms < day_ms + DAY_MS or time_ms >= start_ms:
                continue
        since_ms, _ = by_time[first]
        days = Days(since_ms - since_ms % DAY_MS, day_ms + DAY_MS)
        yield days, [order_id for _, order_id in by_time[first:n]]
        first = n


def with_changes(orders: Iterable[Order], changes: Sequence[asyncpg.Record]) -> list[Order]:
    """Return orders as they were after these changes, which are in order."""
    current = {order.id: order for order in orders}
    for change in changes:
        current[change["id"]] = changed(
            current[change["id"]],
            price=change["price_ticks"],
            quantity=change["quantity_lots"],
            client_order_id=change["client_order_id"],
        )
    return list(current.values())


def trade_of(
    trade: asyncpg.Record, placed: asyncpg.Record, instruments: Mapping[str, Instrument]
) -> Traded:
    """Return the trade of a row of `READ_TRADES` with its order's row of ``orders``.

    Raises:
        StoreRefused: the order or the trade is off its instrument's grid, or has no fills.
    """
    order = order_of_numbers(placed, instruments)
    lot = order.instrument.lot
    quantity = lot.units(trade["trade_amount"])
    if quantity is None or trade["notional"] is None:
        raise StoreRefused(
            f"trade {trade['trade_id']}: expected a multiple of lot {lot.step} and fills, "
            f"got amount {trade['trade_amount']} and notional {trade['notional']}"
        )
    notional = int(trade["notional"])
    seq, time_ms = trade["trade_seq"], trade["trade_time"]
    return Traded(trade["trade_id"], seq, time_ms, order, quantity, notional)
