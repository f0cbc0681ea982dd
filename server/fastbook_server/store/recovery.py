"""A start: claim the database for a new epoch, then read the past from SQL."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from sys import intern
from typing import TYPE_CHECKING, NamedTuple

from fastbook_server.events import Order, Traded
from fastbook_server.ids import EPOCH_MAX, INSTRUMENT_MAX
from fastbook_server.instruments import Instrument, InstrumentSpec
from fastbook_server.store import (
    CLIENT_ORDERS_KEPT_MS,
    ClientOrder,
    OpenOrder,
    Recovered,
    StoreRefused,
)

if TYPE_CHECKING:
    import asyncpg

    from fastbook_server.store.connection import Connection

Level = tuple[str, str, int | None]

CHUNK_ROWS = 10_000
LONG_TIMEOUT_S = 900.0

OPEN_ORDERS = """
SELECT id::text, time, user_id, security, type, 'limit' AS exec_type, price_ticks, quantity_lots,
       seq, time_in_force, post_only, self_trade, client_order_id, withdraw_on_close,
       remaining_lots, notional
FROM open_orders WHERE security = ANY($1) ORDER BY seq
"""
BOOKS = "SELECT security, type, price_ticks, quantity_lots FROM agg_order_book"
CLIENT_ORDERS = """
WITH wanted AS MATERIALIZED (
    SELECT o.*
    FROM client_orders AS c
    JOIN orders AS o ON o.id = c.order_id AND o.time = c.time
    WHERE c.time >= $1 AND o.time >= $1 AND o.security = ANY($2)
), filled AS (
    SELECT w.id, sum(f.quantity_lots) AS quantity_lots,
           sum(f.price_ticks::numeric * f.quantity_lots) AS notional
    FROM wanted AS w
    JOIN (
        SELECT maker_order_id AS id, price_ticks, quantity_lots FROM fills WHERE time >= $1
        UNION ALL
        SELECT taker_order_id, price_ticks, quantity_lots FROM fills WHERE time >= $1
    ) AS f ON f.id = w.id
    GROUP BY w.id
), ended AS (
    SELECT w.id, c.reason FROM wanted AS w JOIN cancellations AS c ON c.order_id = w.id
    WHERE c.time >= $1
)
SELECT w.id::text, w.time, w.user_id, w.security, w.type, w.exec_type, w.price, w.amount, w.seq,
       w.time_in_force, w.post_only, w.self_trade, w.client_order_id, w.withdraw_on_close,
       coalesce(filled.quantity_lots, 0) AS filled_lots, coalesce(filled.notional, 0) AS notional,
       ended.reason
FROM wanted AS w LEFT JOIN filled ON filled.id = w.id LEFT JOIN ended ON ended.id = w.id
ORDER BY w.time, w.id
"""
TRADES = """
SELECT o.id::text, o.time, o.user_id, o.security, o.type, o.exec_type, o.price, o.amount, o.seq,
       o.time_in_force, o.post_only, o.self_trade, o.client_order_id, o.withdraw_on_close,
       t.id::text AS trade_id, t.amount AS trade_amount, (
           SELECT sum(f.price_ticks::numeric * f.quantity_lots) FROM fills AS f
           WHERE f.security = t.security AND f.seq = t.seq AND f.time = t.time
       ) AS notional
FROM (
    SELECT * FROM trades WHERE security = $1 ORDER BY seq DESC LIMIT $2
) AS t
JOIN orders AS o ON o.security = t.security AND o.seq = t.seq AND o.time = t.time
ORDER BY t.seq
"""


class Claim(NamedTuple):
    """The database is ours from here on: nobody with an older epoch can commit any more."""

    epoch: int
    batch_no: int
    time_ms: int
    token_key: bytes
    instruments: tuple[Instrument, ...]


async def claim(connection: Connection, specs: Sequence[InstrumentSpec]) -> Claim:
    """Raise the epoch and settle the instruments, in one transaction: all of it or nothing.

    Waits for a batch that another server is committing at this moment.

    Raises:
        StoreRefused: an instrument has data of another tick or lot than is configured.
    """
    async with connection.transaction():
        await connection.execute(
            "INSERT INTO engine_state (epoch, batch_no, time, token_key) VALUES (0, 0, 0, $1)"
            " ON CONFLICT DO NOTHING",
            secrets.token_bytes(32),
        )
        row = await connection.fetchrow(
            "UPDATE engine_state SET epoch = epoch + 1 RETURNING epoch, batch_no, time, token_key"
        )
        assert row is not None, "engine_state has its row: it was inserted above"
        if row["epoch"] > EPOCH_MAX:
            raise StoreRefused(
                f"this database was started {EPOCH_MAX} times: ids have no room left"
            )
        instruments = await _settle_instruments(connection, specs)
        return Claim(row["epoch"], row["batch_no"], row["time"], row["token_key"], instruments)


async def _settle_instruments(
    connection: Connection, specs: Sequence[InstrumentSpec]
) -> tuple[Instrument, ...]:
    rows = await connection.fetch(
        "SELECT number, security, tick, lot, tick_size, lot_size, seq"
        " FROM instruments JOIN markets USING (security)"
    )
    known = {row["security"]: row for row in rows}
    number_next = 1 + max((row["number"] for row in rows), default=0)
    settled = []
    for spec in specs:
        row = known.get(spec.security)
        values = (
            spec.security, spec.tick.step, spec.lot.step,
            Decimal(spec.tick.step), Decimal(spec.lot.step),
        )  # fmt: skip
        if row is None:
            number, number_next = number_next, number_next + 1
            if number > INSTRUMENT_MAX:
                raise StoreRefused(f"expected at most {INSTRUMENT_MAX} instruments in a database")
            await connection.execute(
                "INSERT INTO instruments (number, security, tick, lot, tick_size, lot_size)"
                " VALUES ($1, $2, $3, $4, $5, $6)",
                number, *values,
            )  # fmt: skip
            await connection.execute("INSERT INTO markets (security) VALUES ($1)", spec.security)
        else:
            number = row["number"]
            if (row["tick_size"], row["lot_size"]) != values[3:]:
                if row["seq"] > 0:
                    raise StoreRefused(
                        f"{spec.security} has data with tick {row['tick']} and lot {row['lot']}, "
                        f"and is configured with tick {spec.tick.step} and lot {spec.lot.step}: "
                        "use the old ones, or give the new instrument a name of its own"
                    )
                await connection.execute(
                    "UPDATE instruments SET tick = $2, lot = $3, tick_size = $4, lot_size = $5"
                    " WHERE security = $1",
                    *values,
                )
        settled.append(Instrument(number, spec.security, spec.tick, spec.lot, spec.status))
    return tuple(settled)


async def recover(connection: Connection, ours: Claim, last_trades: int) -> Recovered:
    """Return the past of the claimed instruments; 1,000,000 open orders take some seconds.

    Raises:
        StoreRefused: the open orders that were read do not add up to ``agg_order_book``.
    """
    instruments = {instrument.security: instrument for instrument in ours.instruments}
    names = list(instruments)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        rows = await connection.fetch("SELECT security, seq FROM markets")
        seqs = {row["security"]: row["seq"] for row in rows if row["security"] in instruments}
        open_orders: list[OpenOrder] = []
        cursor = await connection.cursor(OPEN_ORDERS, names)
        while rows := await cursor.fetch(CHUNK_ROWS, timeout=LONG_TIMEOUT_S):
            open_orders.extend(_open_orders(rows, instruments))
        books = await connection.fetch(BOOKS, timeout=LONG_TIMEOUT_S)
        _check_books(open_orders, [row for row in books if row["security"] in instruments])
        cutoff = ours.time_ms - CLIENT_ORDERS_KEPT_MS
        client_orders = await connection.fetch(CLIENT_ORDERS, cutoff, names, timeout=LONG_TIMEOUT_S)
        trades = {
            name: await connection.fetch(TRADES, name, last_trades or None, timeout=LONG_TIMEOUT_S)
            for name in names
        }
    return Recovered(
        epoch=ours.epoch,
        batch_no=ours.batch_no,
        time_ms=ours.time_ms,
        token_key=ours.token_key,
        instruments=ours.instruments,
        seqs=seqs,
        open_orders=tuple(open_orders),
        client_orders=tuple(_client_order(row, instruments) for row in client_orders),
        last_trades={
            name: tuple(_trade(row, instruments) for row in rows) for name, rows in trades.items()
        },
    )


def _order(row: asyncpg.Record, instrument: Instrument, price: int | None, quantity: int) -> Order:
    return Order(
        id=row[0],
        seq=row[8],
        time_ms=row[1],
        user_id=intern(row[2]),
        instrument=instrument,
        side=intern(row[4]),  # type: ignore[arg-type]  # the enums of the schema are ours
        exec_type=intern(row[5]),  # type: ignore[arg-type]
        price=price,
        quantity=quantity,
        time_in_force=intern(row[9]),  # type: ignore[arg-type]
        post_only=row[10],
        self_trade=intern(row[11]),  # type: ignore[arg-type]
        client_order_id=row[12],
        withdraw_on_close=row[13],
    )


def _order_of_numbers(row: asyncpg.Record, instruments: Mapping[str, Instrument]) -> Order:
    """Return the order of a row that holds numbers, as they are in ``orders``."""
    instrument = instruments[row[3]]
    price = None if row[6] is None else instrument.tick.units(row[6])
    quantity = instrument.lot.units(row[7])
    if quantity is None or (price is None and row[6] is not None):
        raise StoreRefused(
            f"order {row[0]}: expected multiples of tick {instrument.tick.step} and lot "
            f"{instrument.lot.step}, got price {row[6]} and amount {row[7]}"
        )
    return _order(row, instrument, price, quantity)


def _open_orders(
    rows: Sequence[asyncpg.Record], instruments: Mapping[str, Instrument]
) -> Iterator[OpenOrder]:
    for row in rows:
        order = _order(row, instruments[row[3]], row[6], row[7])
        yield OpenOrder(order, row[14], int(row[15]))


def _client_order(row: asyncpg.Record, instruments: Mapping[str, Instrument]) -> ClientOrder:
    order = _order_of_numbers(row, instruments)
    remaining = order.quantity - int(row["filled_lots"])
    reason = row["reason"]
    if reason is not None:
        status = "cancelled"
    elif remaining == 0:
        status = "filled"
    else:
        status = "open" if remaining == order.quantity else "partiallyFilled"
    return ClientOrder(order, status, remaining, int(row["notional"]), reason)  # type: ignore[arg-type]


def _trade(row: asyncpg.Record, instruments: Mapping[str, Instrument]) -> Traded:
    order = _order_of_numbers(row, instruments)
    quantity = order.instrument.lot.units(row["trade_amount"])
    if quantity is None or row["notional"] is None:
        raise StoreRefused(f"trade {row['trade_id']}: its amount or its fills are not as they were")
    notional = int(row["notional"])
    return Traded(row["trade_id"], order.seq, order.time_ms, order, quantity, notional)


def _check_books(open_orders: Sequence[OpenOrder], books: Sequence[asyncpg.Record]) -> None:
    rebuilt: dict[Level, int] = {}
    for resting in open_orders:
        order = resting.order
        level = (order.instrument.security, order.side, order.price)
        rebuilt[level] = rebuilt.get(level, 0) + resting.remaining
    seen: dict[Level, int] = {(row[0], row[1], row[2]): int(row[3]) for row in books}
    if seen != rebuilt:
        wrong = next(level for level in (*rebuilt, *seen) if rebuilt.get(level) != seen.get(level))
        raise StoreRefused(
            f"open_orders and agg_order_book disagree at {wrong}: {rebuilt.get(wrong)} lots in "
            f"orders, {seen.get(wrong)} in the view"
        )
