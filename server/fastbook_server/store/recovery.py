"""Start-up: claim the database for a new epoch, then recover the exchange's state from SQL."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from fastbook_server.store import (
    CLIENT_ORDERS_KEPT_MS,
    CancelRule,
    OpenOrder,
    Recovered,
    StoreRefused,
    StoreUnprepared,
)
from fastbook_server.store.balances import read_balances
from fastbook_server.store.client_orders import read_client_orders
from fastbook_server.store.days import INT64_MAX, PLAN_WITH_VALUES
from fastbook_server.store.delisting import check_left_out
from fastbook_server.store.division import READ_STATE, check_places, divide
from fastbook_server.store.open_orders import BookLevel, levels_of
from fastbook_server.store.order_rows import (
    LONG_TIMEOUT_S,
    OF_SECURITIES,
    read_open_orders,
    read_trades,
)
from fastbook_server.values.ids import EPOCH_MAX, INSTRUMENT_MAX
from fastbook_server.values.instruments import Instrument, InstrumentSpec
from fastbook_server.values.shards import MAIN, Shards
from fastbook_wire.grid import Grid

if TYPE_CHECKING:
    import asyncpg

    from fastbook_server.store.connection import Connection

READ_LEFT_OUT = """
SELECT security, count(*) AS orders, min(id::text) AS oldest
FROM open_orders WHERE NOT security = ANY($1) GROUP BY security
"""
READ_INSTRUMENTS = """
SELECT number, security, tick, lot, tick_size, lot_size, seq, shard
FROM instruments JOIN markets USING (security)
"""
READ_MARKETS = "SELECT security, seq, fill_id, last_ticks, agg_trade_id FROM markets"
READ_HALTED = """
SELECT security FROM (
    SELECT DISTINCT ON (security) security, action FROM operator_actions
    WHERE action IN ('halt', 'delist', 'resume') ORDER BY security, number DESC
) AS last WHERE action <> 'resume'
"""
READ_CANCEL_RULES = """
SELECT user_id, after_disconnect_s, deadline FROM cancel_rules WHERE shard = $1
"""
ADD_MARKET = "INSERT INTO markets (security, shard) VALUES ($1, $2)"
RAISE_EPOCH = """
UPDATE engine_state SET epoch = epoch + $2 WHERE shard = $1
RETURNING epoch, batch_no, time, token_key
"""
PREPARES = "start a recorder with these instruments and shards first, it prepares the database"
READ_BOOKS = "SELECT security, type, price_ticks, quantity_lots FROM agg_order_book"


class Claim(NamedTuple):
    """A claimed database, or one `shard` of it: its state, and our epoch, which fences all before.

    ``unlisted`` are the instruments that it knows beside those of the specs, or of the shard; those
    of other shards are ``elsewhere``.
    """

    epoch: int
    batch_no: int
    time_ms: int
    token_key: bytes
    instruments: tuple[Instrument, ...]
    unlisted: tuple[Instrument, ...]
    shard: str = MAIN
    elsewhere: frozenset[str] = frozenset()


async def claim(
    connection: Connection,
    specs: Sequence[InstrumentSpec],
    delist: Collection[str] = (),
    *,
    raises_epoch: bool = True,
    shards: Shards | None = None,
) -> Claim:
    """Raise the epoch and register the instruments of `specs`, in one transaction.

    Waits for a batch that another server is committing. Unless it `raises_epoch`, the database
    stays with whom it belongs to; it is divided into `shards`, by default into one.

    Raises:
        StoreRefused: an instrument's data has another tick or lot than its spec, a security that
            is neither in `specs` nor in `delist` has open orders, the database has no epoch or
            instrument number left, or it is divided otherwise.
    """
    shards = shards or Shards.undivided([spec.security for spec in specs])
    async with connection.transaction():
        await divide(connection, shards, merges=raises_epoch)
        row = await connection.fetchrow(RAISE_EPOCH, shards.first, int(raises_epoch))
        assert row is not None, "the row of engine_state was inserted above"
        if row["epoch"] > EPOCH_MAX:
            raise StoreRefused(
                f"expected an epoch of at most {EPOCH_MAX}, got {row['epoch']}: ids cannot hold it"
            )
        instruments, unlisted = await _settle_instruments(connection, specs, shards)
        await check_places(connection, shards)
        await _check_left_out(connection, specs, delist)
        state = (row["epoch"], row["batch_no"], row["time"], row["token_key"])
        return Claim(*state, instruments, unlisted)


async def look(
    connection: Connection, specs: Sequence[InstrumentSpec], shards: Shards | None = None
) -> dict[str, Claim]:
    """Return what `claim` would, of each shard, without writing anything.

    The epochs are those of the last batches.

    Raises:
        StoreUnprepared: the database does not know all of `specs`, or is not divided so.
        StoreRefused: like `claim`.
    """
    shards = shards or Shards.undivided([spec.security for spec in specs])
    states = await connection.fetch(READ_STATE)
    if not states:
        raise StoreUnprepared(f"the database is empty: {PREPARES}")
    found = {row["shard"]: row for row in states}
    if set(found) != set(shards.names):
        raise StoreUnprepared(
            f"expected shards {', '.join(shards.names)}, got {', '.join(found)}, as the database "
            f"is divided: {PREPARES}"
        )
    known = {r["security"]: r for r in await connection.fetch(READ_INSTRUMENTS)}
    settled = [_seen(spec, known.get(spec.security), shards) for spec in specs]
    names = {spec.security for spec in specs}
    await _check_left_out(connection, specs, ())
    unlisted = [_unlisted(r) for name, r in known.items() if name not in names]
    claims = {}
    for shard in shards:
        row = found[shard.name]
        state = (row["epoch"], row["batch_no"], row["time"], row["token_key"])
        ours = tuple(i for i in settled if shards.of(i.security) == shard.name)
        others = (*(i for i in settled if i not in ours), *unlisted)
        elsewhere = frozenset(r["security"] for r in known.values() if r["shard"] != shard.name)
        claims[shard.name] = Claim(*state, ours, others, shard.name, elsewhere)
    return claims


def _seen(spec: InstrumentSpec, found: asyncpg.Record | None, shards: Shards) -> Instrument:
    """Return an instrument of a spec as the database knows it."""
    if found is None:
        raise StoreUnprepared(f"the database does not know {spec.security} yet: {PREPARES}")
    if _sizes(found) != (Decimal(spec.tick.step), Decimal(spec.lot.step)):
        raise _changed_grid(found, spec)
    if found["shard"] != shards.of(spec.security):
        raise StoreUnprepared(
            f"{spec.security} is in shard {found['shard']}, not in {shards.of(spec.security)}: "
            f"{PREPARES}"
        )
    return Instrument(found["number"], spec.security, spec.tick, spec.lot, spec.status)


async def _check_left_out(
    connection: Connection, specs: Sequence[InstrumentSpec], delist: Collection[str]
) -> None:
    names = [spec.security for spec in specs]
    left = await connection.fetch(READ_LEFT_OUT, names, timeout=LONG_TIMEOUT_S)
    check_left_out({r["security"]: (r["orders"], r["oldest"]) for r in left}, delist)


async def _settle_instruments(
    connection: Connection, specs: Sequence[InstrumentSpec], shards: Shards
) -> tuple[tuple[Instrument, ...], tuple[Instrument, ...]]:
    """Return the instruments of `specs`, and the others that the database knows."""
    records = await connection.fetch(READ_INSTRUMENTS)
    known = {row["security"]: row for row in records}
    number_next = 1 + max((row["number"] for row in records), default=0)
    settled = []
    for spec in specs:
        row = known.pop(spec.security, None)
        values = (
            spec.security, spec.tick.step, spec.lot.step,
            Decimal(spec.tick.step), Decimal(spec.lot.step),
        )  # fmt: skip
        if row is None:
            number, number_next = number_next, number_next + 1
            if number > INSTRUMENT_MAX:
                raise StoreRefused(
                    f"expected at most {INSTRUMENT_MAX} instruments, got another one"
                )
            await connection.execute(
                "INSERT INTO instruments (number, security, tick, lot, tick_size, lot_size)"
                " VALUES ($1, $2, $3, $4, $5, $6)",
                number, *values,
            )  # fmt: skip
            await connection.execute(ADD_MARKET, spec.security, shards.of(spec.security))
        else:
            number = row["number"]
            if _sizes(row) != values[3:]:
                if row["seq"] > 0:
                    raise _changed_grid(row, spec)
                await connection.execute(
                    "UPDATE instruments SET tick = $2, lot = $3, tick_size = $4, lot_size = $5"
                    " WHERE security = $1",
                    *values,
                )
        settled.append(Instrument(number, spec.security, spec.tick, spec.lot, spec.status))
    return tuple(settled), tuple(_unlisted(row) for row in known.values())


def _sizes(row: asyncpg.Record) -> tuple[Decimal, Decimal]:
    return row["tick_size"], row["lot_size"]


def _changed_grid(row: asyncpg.Record, spec: InstrumentSpec) -> StoreRefused:
    return StoreRefused(
        f"{spec.security}: expected tick {row['tick']} and lot {row['lot']}, as in "
        f"its existing data, got tick {spec.tick.step} and lot {spec.lot.step}: "
        "restore the old ones, or give the new instrument another name"
    )


def _unlisted(row: asyncpg.Record) -> Instrument:
    tick, lot = Grid.parse(row["tick"]), Grid.parse(row["lot"])
    return Instrument(row["number"], row["security"], tick, lot, "halted")


async def read_orphans(connection: Connection, ours: Claim) -> list[OpenOrder]:
    """Return the open orders of instruments that are no longer listed."""
    unlisted = {instrument.security: instrument for instrument in ours.unlisted}
    if not unlisted:
        return []
    return await read_open_orders(connection, OF_SECURITIES, list(unlisted), unlisted)


async def recover(connection: Connection, ours: Claim, last_trades: int) -> Recovered:
    """Return the recovered state of the claimed instruments.

    Includes the newest `last_trades` trades of each (0: all). A million open orders take some
    seconds.

    Raises:
        StoreRefused: the open orders do not add up to ``agg_order_book``, or a row is off the grid.
    """
    with no_search_for_garbage():
        async with snapshot(connection):
            return await recover_in(connection, ours, last_trades)


def snapshot(connection: Connection) -> asyncpg.transaction.Transaction:
    """Return a transaction, not begun yet, in which every query sees the same moment."""
    return connection.transaction(isolation="repeatable_read", readonly=True)


@contextlib.contextmanager
def no_search_for_garbage() -> Iterator[None]:
    """Let millions of new objects live without being looked through again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


async def recover_in(connection: Connection, ours: Claim, last_trades: int) -> Recovered:
    """Like `recover`, in the transaction that is open."""
    instruments = {instrument.security: instrument for instrument in ours.instruments}
    names = list(instruments)
    await connection.execute(f"SET LOCAL {PLAN_WITH_VALUES}")
    markets = await connection.fetch(READ_MARKETS)
    ours_only = [row for row in markets if row["security"] in instruments]
    open_orders = await read_open_orders(connection, OF_SECURITIES, names, instruments)
    open_orders.sort(key=attrgetter("queued"))  # almost sorted already
    books = await connection.fetch(READ_BOOKS, timeout=LONG_TIMEOUT_S)
    _check_books(open_orders, [row for row in books if row["security"] in instruments])
    cutoff = ours.time_ms - CLIENT_ORDERS_KEPT_MS
    known = instruments | {i.security: i for i in ours.unlisted if i.security not in ours.elsewhere}
    client_orders = await read_client_orders(connection, cutoff, known)
    rules = await connection.fetch(READ_CANCEL_RULES, ours.shard)
    halted = await connection.fetch(READ_HALTED)
    balances = await read_balances(connection)
    trades = {
        name: await read_trades(connection, name, INT64_MAX, last_trades or INT64_MAX, instruments)
        for name in names
    }
    return Recovered(
        epoch=ours.epoch,
        batch_no=ours.batch_no,
        time_ms=ours.time_ms,
        token_key=ours.token_key,
        instruments=ours.instruments,
        seqs={row["security"]: row["seq"] for row in ours_only},
        open_orders=tuple(open_orders),
        client_orders=tuple(client_orders),
        last_trades={name: tuple(of_one) for name, of_one in trades.items()},
        fill_ids={row["security"]: row["fill_id"] for row in ours_only},
        agg_trade_ids={row["security"]: row["agg_trade_id"] for row in ours_only},
        last_prices={
            row["security"]: row["last_ticks"] for row in ours_only if row["last_ticks"] is not None
        },
        unlisted=ours.unlisted,
        cancel_rules={
            r["user_id"]: CancelRule(r["after_disconnect_s"], r["deadline"]) for r in rules
        },
        halted=frozenset(r["security"] for r in halted),
        balances=balances,
    )


def _check_books(open_orders: list[OpenOrder], books: Sequence[asyncpg.Record]) -> None:
    rebuilt = levels_of(open_orders)
    seen: dict[BookLevel, int] = {
        (row["security"], row["type"], row["price_ticks"]): int(row["quantity_lots"])
        for row in books
    }
    if seen != rebuilt:
        wrong = next(level for level in (*rebuilt, *seen) if rebuilt.get(level) != seen.get(level))
        raise StoreRefused(
            f"agg_order_book disagrees with open_orders at {wrong}: expected "
            f"{rebuilt.get(wrong)} lots, got {seen.get(wrong)}"
        )
