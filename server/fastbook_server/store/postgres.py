"""The production store: PostgreSQL, with TimescaleDB where available.

One connection, one transaction per batch. The order of statements matters: the first one updates
the row of ``engine_state``, and with it takes the lock that a successor waits for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence

import asyncpg

from fastbook_server.store import (
    CLIENT_ORDERS_KEPT_MS,
    Batch,
    OpenOrder,
    Recovered,
    StoreBroken,
    StoreFenced,
    StoreRefused,
    rows,
)
from fastbook_server.store.connection import (
    LOCK_KEY,
    SCHEMA,
    SERVER_MAJOR_MIN,
    Connection,
    connect,
    detect_timescale,
    store_error,
)
from fastbook_server.store.days import DAY_MS
from fastbook_server.store.delisting import cancel_all
from fastbook_server.store.history import PostgresHistory
from fastbook_server.store.migrations import migrate
from fastbook_server.store.recovery import READ_MARKETS, Claim, claim, read_orphans, recover
from fastbook_server.store.timescale_policies import HYPERTABLES, apply_policies
from fastbook_server.values.instruments import Instrument, InstrumentSpec

log = logging.getLogger(__name__)

PURGE_EVERY_MS = 60_000
PURGE_ROWS_MAX = 10_000
ROW_S = 0.000_2
"""Time that a commit has for each of its rows, some ten times what one takes: one command may end
all open orders, and its batch must come through at last."""

HAS_CANDLES = "SELECT to_regclass('candles') IS NOT NULL"
# $1: epoch, $2: batch number, $3: time, $4 to $7: securities, their last seqs, and the numbers and
# prices of their last fills (null: none in this batch). Nothing happens unless the batch is next.
MOVE_STATE = """
WITH state AS (
    UPDATE engine_state SET batch_no = $2, time = $3
    WHERE epoch = $1 AND batch_no = $2 - 1 RETURNING true
), moved AS (
    UPDATE markets AS m SET
        seq = new.seq, fill_id = coalesce(new.fill_id, m.fill_id),
        last_ticks = coalesce(new.last_ticks, m.last_ticks)
    FROM unnest($4::text[], $5::bigint[], $6::bigint[], $7::bigint[])
        AS new (security, seq, fill_id, last_ticks), state
    WHERE m.security = new.security RETURNING true
){also}
SELECT (SELECT count(*) FROM state), (SELECT count(*) FROM moved)
"""
# $8 …: the columns of the batch's candles, in the same round trip.
ADD_CANDLES = """, candled AS (
    INSERT INTO candles AS c (
        security, interval_ms, time,
        open_ticks, high_ticks, low_ticks, close_ticks, volume_lots, trades
    )
    SELECT new.* FROM unnest(
        $8::text[], $9::integer[], $10::bigint[],
        $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::numeric[], $16::bigint[]
    ) AS new, state
    ON CONFLICT (security, interval_ms, time) DO UPDATE SET
        high_ticks = greatest(c.high_ticks, excluded.high_ticks),
        low_ticks = least(c.low_ticks, excluded.low_ticks),
        close_ticks = excluded.close_ticks,
        volume_lots = c.volume_lots + excluded.volume_lots,
        trades = c.trades + excluded.trades
)"""
MOVE_STATE_ONLY = MOVE_STATE.format(also="")
MOVE_STATE_AND_CANDLES = MOVE_STATE.format(also=ADD_CANDLES)
# After MOVE_STATE. A day that has begun stays as it is.
BEGIN_DAYS = """
INSERT INTO days (security, time, seq, fill_id)
SELECT new.security, new.time, new.seq, coalesce(new.fill_id, m.fill_id)
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])
    AS new (security, time, seq, fill_id)
JOIN markets AS m USING (security)
ON CONFLICT (security, time) DO NOTHING
"""
CHANGE_OPEN_ORDERS = """
UPDATE open_orders AS o SET remaining_lots = new.remaining, notional = new.notional
FROM unnest($1::uuid[], $2::bigint[], $3::numeric[]) AS new (id, remaining, notional)
WHERE o.id = new.id
"""
# Null: the slice has its old place in the queue.
CHANGE_ICEBERGS = """
UPDATE open_orders AS o SET
    remaining_lots = new.remaining, notional = new.notional, visible_lots = new.visible,
    queued_seq = coalesce(new.seq, o.queued_seq), queued_n = coalesce(new.n, o.queued_n)
FROM unnest($1::uuid[], $2::bigint[], $3::numeric[], $4::bigint[], $5::bigint[], $6::integer[])
    AS new (id, remaining, notional, visible, seq, n)
WHERE o.id = new.id
"""
DELETE_OPEN_ORDERS = """
DELETE FROM open_orders AS o USING unnest($1::uuid[]) AS gone (id) WHERE o.id = gone.id
"""
KEEP_CLIENT_ORDERS = """
INSERT INTO client_orders (user_id, client_order_id, order_id, time, ended)
SELECT * FROM unnest($1::text[], $2::text[], $3::uuid[], $4::bigint[], $5::bigint[])
ON CONFLICT (user_id, client_order_id) DO UPDATE
SET order_id = excluded.order_id, time = excluded.time, ended = excluded.ended
"""
END_CLIENT_ORDERS = """
UPDATE client_orders AS c SET ended = new.ended
FROM unnest($1::text[], $2::text[], $3::uuid[], $4::bigint[])
     AS new (user_id, client_order_id, order_id, ended)
WHERE c.user_id = new.user_id AND c.client_order_id = new.client_order_id
  AND c.order_id = new.order_id
"""
CHANGE_CANCEL_RULES = """
WITH new AS (
    SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[])
        AS n (user_id, after_disconnect_s, deadline)
), gone AS (
    DELETE FROM cancel_rules AS c USING new
    WHERE c.user_id = new.user_id AND coalesce(new.after_disconnect_s, new.deadline) IS NULL
)
INSERT INTO cancel_rules SELECT * FROM new WHERE coalesce(after_disconnect_s, deadline) IS NOT NULL
ON CONFLICT (user_id) DO UPDATE
SET after_disconnect_s = excluded.after_disconnect_s, deadline = excluded.deadline
"""
PURGE_CLIENT_ORDERS = """
DELETE FROM client_orders WHERE (user_id, client_order_id) IN (
    SELECT user_id, client_order_id FROM client_orders WHERE ended < $1 ORDER BY ended LIMIT $2
)
"""
CHECKPOINT_BOOKS = """
INSERT INTO book_checkpoints (security, seq, time, type, price_ticks, quantity_lots)
SELECT m.security, m.seq, $2,
       coalesce(array_agg(l.type) FILTER (WHERE l.type IS NOT NULL), '{}'),
       coalesce(array_agg(l.price_ticks) FILTER (WHERE l.type IS NOT NULL), '{}'),
       coalesce(array_agg(l.quantity_lots) FILTER (WHERE l.type IS NOT NULL), '{}')
FROM markets AS m
LEFT JOIN (
    SELECT security, type, price_ticks,
           sum(coalesce(visible_lots, remaining_lots)) AS quantity_lots
    FROM open_orders WHERE security = ANY($1) AND NOT held GROUP BY security, type, price_ticks
) AS l ON l.security = m.security
WHERE m.security = ANY($1)
GROUP BY m.security, m.seq
"""
# Find rows by key even with stale planner statistics.
TUNE = "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off"


class PostgresStore:
    """A `Store` in the schema ``fastbook`` of the database at `dsn`; `open` creates it if missing.

    A book checkpoint is written whenever a security's seq passes a multiple of `checkpoint_every`
    (0: never); it costs about as much as summing the security's open orders in SQL. For
    `compress_after_days` and `retain_days` see `apply_policies`. A commit, and any other statement
    but those of migration and recovery, takes at most `command_timeout_s`, and a commit `ROW_S`
    longer for each row. Once open, `database` names the database and its version for people.
    """

    def __init__(
        self,
        dsn: str,
        *,
        checkpoint_every: int = 100_000,
        compress_after_days: int = 0,
        retain_days: int = 0,
        connect_timeout_s: float = 5.0,
        command_timeout_s: float = 30.0,
    ) -> None:
        self.database = "PostgreSQL"
        self._dsn = dsn
        self._checkpoint_every = checkpoint_every
        self._compress_after_days = compress_after_days
        self._retain_days = retain_days
        self._connect_timeout_s = connect_timeout_s
        self._command_timeout_s = command_timeout_s
        self._connection: Connection | None = None
        self._epoch = 0
        self._purged_ms = 0
        self._days: dict[str, int] = {}  # the last day of each security that is in the table
        self._has_candles = True  # in a table that every batch keeps up to date

    async def open(
        self,
        specs: Sequence[InstrumentSpec],
        last_trades: int,
        *,
        delist: Collection[str] = (),
        now_ms: int = 0,
    ) -> Recovered:
        """See `Store.open`."""
        try:
            return await self._open(specs, last_trades, delist, now_ms)
        except BaseException as error:
            self._drop()
            meaning = store_error(error)
            if isinstance(meaning, StoreBroken) or isinstance(error, ValueError):
                raise StoreRefused(f"the database cannot be used: {meaning or error}") from error
            if meaning is None or meaning is error:
                raise
            raise meaning from error

    def prepare(self, batch: Batch) -> object:
        """Return the batch's netted rows, with candles if the opened database keeps a table."""
        return rows.net(batch, candles=self._has_candles)

    async def commit(self, prepared: object) -> None:
        """See `Store.commit`. A cancelled commit may have taken effect: call it again."""
        assert isinstance(prepared, rows.Rows), f"expected a prepared batch, got {prepared!r}"
        try:
            if self._connection is None:
                self._connection = await self._connect()
                await self._connection.execute(TUNE)
            async with asyncio.timeout(self._commit_timeout_s(prepared)):
                await self._write(self._connection, prepared)
        except BaseException as error:
            # Without its connection the server rolls back a transaction that it has not committed.
            self._drop()
            meaning = store_error(error)
            if meaning is None or meaning is error:
                raise
            raise meaning from error

    def history(self, instruments: Sequence[Instrument]) -> PostgresHistory:
        """See `Store.history`."""
        return PostgresHistory(self._dsn, instruments)

    async def close(self) -> None:
        """See `Store.close`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.close(timeout=self._connect_timeout_s)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                log.debug("closing the connection: %s", error)
                connection.terminate()

    async def _open(
        self,
        specs: Sequence[InstrumentSpec],
        last_trades: int,
        delist: Collection[str],
        now_ms: int,
    ) -> Recovered:
        self._drop()
        self._days = {}
        timescale = await detect_timescale(await self._connect())
        self._connection = connection = await self._connect()
        version = await connection.fetchval("SHOW server_version")
        if connection.get_server_version().major < SERVER_MAJOR_MIN:
            raise StoreRefused(f"expected PostgreSQL {SERVER_MAJOR_MIN} or later, got {version}")
        self.database = f"PostgreSQL {version.partition(' ')[0]}"
        if timescale:
            self.database += f" with TimescaleDB {timescale.version} ({timescale.licence})"
        if await connection.fetchval("SHOW fsync") == "off":
            log.warning("PostgreSQL runs with fsync off: a crash can lose committed batches")
        await migrate(connection, schema=SCHEMA, timescale=timescale, lock_key=LOCK_KEY)
        self._has_candles = await connection.fetchval(HAS_CANDLES)
        if timescale and not await connection.fetchval(HYPERTABLES, SCHEMA):
            log.info("these tables predate TimescaleDB and stay plain")
        await apply_policies(
            connection,
            timescale,
            compress_after_days=self._compress_after_days,
            retain_days=self._retain_days,
        )
        claimed = await claim(connection, specs, delist)
        self._epoch = claimed.epoch
        orphans = await read_orphans(connection, claimed)
        if orphans:
            claimed = await self._delist(connection, claimed, orphans, now_ms)
        recovered = await recover(connection, claimed, last_trades)
        await connection.execute(TUNE)
        return recovered

    async def _delist(
        self, connection: Connection, claimed: Claim, orphans: Sequence[OpenOrder], now_ms: int
    ) -> Claim:
        """Cancel the open orders of securities that are no longer listed, as a batch like any."""
        time_ms = max(claimed.time_ms, now_ms)
        seqs = {row["security"]: row["seq"] for row in await connection.fetch(READ_MARKETS)}
        batch = Batch(claimed.batch_no + 1, time_ms, cancel_all(orphans, seqs, time_ms))
        await self._write(connection, rows.net(batch))
        log.info("delisted: %d open orders are cancelled", len(orphans))
        return claimed._replace(batch_no=batch.number, time_ms=time_ms)

    async def _connect(self) -> Connection:
        return await connect(
            self._dsn,
            connect_timeout_s=self._connect_timeout_s,
            command_timeout_s=self._command_timeout_s,
        )

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    def _commit_timeout_s(self, batch: rows.Rows) -> float:
        return self._command_timeout_s + ROW_S * batch.size

    async def _write(self, connection: Connection, batch: rows.Rows) -> None:
        timeout = self._commit_timeout_s(batch)
        await connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        if not await self._move_state(connection, batch):
            await connection.execute("ROLLBACK")
            return
        days = self._days_begun(batch)
        if days:
            await connection.execute(BEGIN_DAYS, *zip(*days, strict=True), timeout=timeout)
        if batch.gone:  # an order that changed comes in anew
            done = await connection.execute(DELETE_OPEN_ORDERS, batch.gone, timeout=timeout)
            _expect(done, "DELETE", len(batch.gone))
        for table, columns, records in (
            ("orders", rows.ORDERS, batch.orders),
            ("trades", rows.TRADES, batch.trades),
            ("fills", rows.FILLS, batch.fills),
            ("cancellations", rows.CANCELLATIONS, batch.cancellations),
            ("order_changes", rows.ORDER_CHANGES, batch.order_changes),
            ("open_orders", rows.OPEN_ORDERS, batch.opened),
        ):
            if records:
                await connection.copy_records_to_table(
                    table, schema_name=SCHEMA, columns=columns, records=records, timeout=timeout
                )
        if batch.changed:
            ids, remaining, notional = zip(*batch.changed, strict=True)
            done = await connection.execute(
                CHANGE_OPEN_ORDERS, ids, remaining, notional, timeout=timeout
            )
            _expect(done, "UPDATE", len(ids))
        if batch.sliced:
            done = await connection.execute(
                CHANGE_ICEBERGS, *zip(*batch.sliced, strict=True), timeout=timeout
            )
            _expect(done, "UPDATE", len(batch.sliced))
        await self._keep_client_orders(connection, batch)
        if batch.cancel_rules:
            rules = zip(*batch.cancel_rules, strict=True)
            await connection.execute(CHANGE_CANCEL_RULES, *rules, timeout=timeout)
        if securities := batch.checkpoints(self._checkpoint_every):
            await connection.execute(CHECKPOINT_BOOKS, securities, batch.time_ms, timeout=timeout)
        await connection.execute("COMMIT")
        self._days |= {security: time_ms for security, time_ms, *_ in days}

    def _days_begun(self, batch: rows.Rows) -> list[rows.DayRow]:
        """Return the days of a batch that no earlier one of this store is known to have begun."""
        today = batch.time_ms - batch.time_ms % DAY_MS
        if all(self._days.get(security) == today for security in batch.seqs):
            return []
        return [day for day in batch.days() if self._days.get(day[0], -1) < day[1]]

    async def _move_state(self, connection: Connection, batch: rows.Rows) -> bool:
        """Advance the state to this batch and add its candles; False if that has already happened.

        Raises:
            StoreFenced: the state is not that of the batch before.
            StoreBroken: ``markets`` lacks a security of the batch.
        """
        lasts = [last for _, last in batch.seqs.values()]
        fills = [batch.last_fills.get(security, (None, None)) for security in batch.seqs]
        moved = await connection.fetchrow(
            MOVE_STATE_AND_CANDLES if batch.candles else MOVE_STATE_ONLY,
            *(self._epoch, batch.number, batch.time_ms, list(batch.seqs), lasts),
            *(list(column) for column in zip(*fills, strict=True)) if fills else ([], []),
            *zip(*batch.candles, strict=True),
            timeout=self._commit_timeout_s(batch),
        )
        assert moved is not None, "a SELECT of two counts returns one row"
        if moved[0] == 1:
            if moved[1] != len(lasts):
                raise StoreBroken(f"markets: expected {list(batch.seqs)}, got {moved[1]} of them")
            return True
        state = await connection.fetchrow("SELECT epoch, batch_no FROM engine_state")
        if state is not None and tuple(state) == (self._epoch, batch.number):
            return False
        raise StoreFenced(
            "another server has taken over this database: "
            f"expected epoch {self._epoch} and batch {batch.number - 1} in engine_state, got "
            + (f"epoch {state[0]} and batch {state[1]}" if state else "no row")
        )

    async def _keep_client_orders(self, connection: Connection, batch: rows.Rows) -> None:
        """Write new and ended client order ids; once per `PURGE_EVERY_MS` delete expired ones."""
        timeout = self._commit_timeout_s(batch)
        if batch.client_orders:
            columns = zip(*batch.client_orders, strict=True)
            await connection.execute(KEEP_CLIENT_ORDERS, *columns, timeout=timeout)
        if batch.ended_client_orders:
            columns = zip(*batch.ended_client_orders, strict=True)
            await connection.execute(END_CLIENT_ORDERS, *columns, timeout=timeout)
        if batch.time_ms - self._purged_ms >= PURGE_EVERY_MS:
            done = await connection.execute(
                PURGE_CLIENT_ORDERS, batch.time_ms - CLIENT_ORDERS_KEPT_MS, PURGE_ROWS_MAX
            )
            if done != f"DELETE {PURGE_ROWS_MAX}":
                self._purged_ms = batch.time_ms


def _expect(done: str, what: str, count: int) -> None:
    if done != f"{what} {count}":
        raise StoreBroken(f"open_orders: expected {what} {count}, got {done}")
