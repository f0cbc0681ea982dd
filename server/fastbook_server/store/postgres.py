"""The production store: PostgreSQL, with TimescaleDB where available.

One connection, one transaction per batch: a single statement, or, for large batches and those that
come with more work, several around it; see `batches`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Collection, Sequence

import asyncpg

from fastbook_server.store import (
    CLIENT_ORDERS_KEPT_MS,
    Batch,
    OpenOrder,
    Position,
    Recovered,
    StoreBroken,
    StoreFenced,
    StoreRefused,
    rows,
)
from fastbook_server.store.balances import write_balances
from fastbook_server.store.batches import apply, new_rows, read_layout
from fastbook_server.store.connection import (
    LOCK_KEY,
    SCHEMA,
    SERVER_MAJOR_MIN,
    Connection,
    connect,
    detect_timescale,
    letting_in,
    meanings,
)
from fastbook_server.store.days import DAY_MS
from fastbook_server.store.delisting import cancel_all
from fastbook_server.store.history import TIMEOUT_S, PostgresHistory
from fastbook_server.store.large_batches import LargeBatch, is_large
from fastbook_server.store.migrations import migrate
from fastbook_server.store.packing import Layout
from fastbook_server.store.postgres_accounts import PostgresAccounts
from fastbook_server.store.recovery import READ_MARKETS, Claim, claim, read_orphans, recover
from fastbook_server.store.snapshots import Moment, read
from fastbook_server.store.timescale_policies import HYPERTABLES, apply_policies
from fastbook_server.values.instruments import Instrument, InstrumentSpec
from fastbook_server.values.shards import MAIN, Shards

log = logging.getLogger(__name__)

PURGE_EVERY_MS = 60_000
PURGE_ROWS_MAX = 10_000
ROW_S = 0.000_2
"""Time that a commit has for each of its rows, some ten times what one takes: one command may end
all open orders, and its batch must come through at last."""

AT_ONCE_MAX = 2_000
"""How many new rows a batch may have that is committed in one statement; more of them are copied.
Measured with 200,000 open orders: one statement is ahead up to some 1,000 rows, then both are
alike, but all the rows of a statement are in memory at once."""

READ_POSITION = "SELECT epoch, batch_no, time FROM engine_state WHERE shard = $1"
READ_POSITIONS = "SELECT shard, epoch, batch_no, time FROM engine_state"
HAS_CANDLES = "SELECT to_regclass('candles') IS NOT NULL"
# After the batch. A day that has begun stays as it is.
BEGIN_DAYS = """
INSERT INTO days (security, time, seq, fill_id)
SELECT new.security, new.time, new.seq, coalesce(new.fill_id, m.fill_id)
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])
    AS new (security, time, seq, fill_id)
JOIN markets AS m USING (security)
ON CONFLICT (security, time) DO NOTHING
"""
NOTE_OPERATOR = """
INSERT INTO operator_actions (batch_no, time, action, security, user_id, orders)
VALUES ($1, $2, $3, $4, $5, $6)
"""
PURGE_CLIENT_ORDERS = """
DELETE FROM client_orders WHERE (ended, order_id, client_order_id) IN (
    SELECT ended, order_id, client_order_id FROM client_orders
    WHERE ended < $1 ORDER BY ended LIMIT $2
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
# Find rows by key even with stale planner statistics, and plan a statement once.
TUNE = """
SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
SET plan_cache_mode = force_generic_plan
"""


class PostgresStore:
    """A `Store` in the schema ``fastbook`` of the database at `dsn`; `open` creates it if missing.

    A book checkpoint is written whenever a security's seq passes a multiple of `checkpoint_every`,
    and with each day that begins (0: never); it costs about as much as summing the security's open
    orders in SQL. For `compress_after_days` and `retain_days` see `apply_policies`. A commit, and
    any other statement but those of migration and recovery, takes at most `command_timeout_s`, and
    a commit `ROW_S` longer for each row. A batch of at most `at_once_max` new rows is committed in
    one statement. Once open, `database` names the database and its version for people.

    Where the market is divided into `shards`, this store records the one named `shard`, and reads
    all. A server that decides all of it makes it one again.
    """

    place = "database"
    keeps_replies = False

    def __init__(
        self,
        dsn: str,
        *,
        checkpoint_every: int = 100_000,
        compress_after_days: int = 0,
        retain_days: int = 0,
        connect_timeout_s: float = 5.0,
        command_timeout_s: float = 30.0,
        at_once_max: int = AT_ONCE_MAX,
        shards: Shards | None = None,
        shard: str = MAIN,
    ) -> None:
        self.database = "PostgreSQL"
        self._shards = shards
        self._shard = shard
        self._dsn = dsn
        self._checkpoint_every = checkpoint_every
        self._compress_after_days = compress_after_days
        self._retain_days = retain_days
        self._connect_timeout_s = connect_timeout_s
        self._command_timeout_s = command_timeout_s
        self._at_once_max = at_once_max
        self._connection: Connection | None = None
        self._layout = Layout(())
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
        async with self._opening():
            return await self._open(specs, last_trades, delist, now_ms)

    async def open_to_record(self, specs: Sequence[InstrumentSpec]) -> Sequence[Instrument]:
        """See `RecordStore.open_to_record`."""
        async with self._opening():
            connection = await self._migrated()
            seen = await claim(connection, specs, raises_epoch=False, shards=self._shards)
            await self._prepare_commits(connection)
            return (*seen.instruments, *seen.unlisted)

    async def position(self) -> Position:
        """See `RecordStore.position`."""
        async with self._or_drop():
            row = await (await self._ready()).fetchrow(READ_POSITION, self._shard)
        if row is None:
            raise StoreBroken("expected a row in engine_state, got none")
        return Position(*row)

    async def positions(self) -> dict[str, Position]:
        """Return what has been recorded of each shard. Raises like `position`."""
        async with self._or_drop():
            rows = await (await self._ready()).fetch(READ_POSITIONS)
        return {name: Position(*position) for name, *position in rows}

    async def former_shards(self) -> list[str]:
        """Migrate the schema; return the shards of another division, if that is the present one."""
        async with self._opening():
            found = await (await self._migrated()).fetch(READ_POSITIONS)
        ours = (self._shard,) if self._shards is None else self._shards.names
        return [row["shard"] for row in found if row["shard"] not in ours]

    def read(
        self, specs: Sequence[InstrumentSpec], last_trades: int
    ) -> contextlib.AbstractAsyncContextManager[Moment]:
        """Lend what `open` would recover, and a history of the same moment; claim nothing.

        The store need not be open. See `snapshots.read`.
        """
        timeout_s = self._connect_timeout_s
        return read(self._dsn, specs, last_trades, shards=self._shards, connect_timeout_s=timeout_s)

    def prepare(self, batch: Batch) -> object:
        """Return the batch's netted rows, with candles if the opened database keeps a table.

        Of a large batch they are found when it is committed.
        """
        if is_large(batch):
            return LargeBatch(batch, candles=self._has_candles)
        return rows.net(batch, candles=self._has_candles)

    async def commit(self, prepared: object) -> None:
        """See `Store.commit`. A cancelled commit may have taken effect: call it again."""
        if isinstance(prepared, LargeBatch):
            if not prepared.is_done:
                await self._commit(await prepared.rows())
                await prepared.let_go()
            return
        assert isinstance(prepared, rows.Rows), f"expected a prepared batch, got {prepared!r}"
        await self._commit(prepared)

    async def _commit(self, prepared: rows.Rows) -> None:
        async with self._or_drop():
            connection = await self._ready()
            async with asyncio.timeout(self._commit_timeout_s(prepared)):
                await self._write(connection, prepared)

    def history(
        self, instruments: Sequence[Instrument], *, timeout_s: float | None = None
    ) -> PostgresHistory:
        """See `Store.history`."""
        return PostgresHistory(self._dsn, instruments, timeout_s=timeout_s or TIMEOUT_S)

    def account_book(self) -> PostgresAccounts:
        """See `Store.account_book`."""
        return PostgresAccounts(self._dsn)

    async def close(self) -> None:
        """See `Store.close`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.close(timeout=self._connect_timeout_s)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                log.debug("closing the connection: %s", error)
                connection.terminate()

    async def _ready(self) -> Connection:
        """Return the connection for commits, a new one if need be."""
        if self._connection is None:
            with letting_in():
                self._connection = await self._connect()
            await self._prepare_commits(self._connection)
        return self._connection

    @contextlib.asynccontextmanager
    async def _or_drop(self) -> AsyncIterator[None]:
        """Say what an error means, and end the connection.

        Without its connection the server rolls back a transaction that it has not committed.
        """
        try:
            with meanings():
                yield
        except BaseException:
            self._drop()
            raise

    @contextlib.asynccontextmanager
    async def _opening(self) -> AsyncIterator[None]:
        """Like `_or_drop`; what cannot be used is refused."""
        try:
            async with self._or_drop():
                yield
        except (StoreBroken, ValueError) as error:
            raise StoreRefused(f"the database cannot be used: {error}") from error

    async def _open(
        self,
        specs: Sequence[InstrumentSpec],
        last_trades: int,
        delist: Collection[str],
        now_ms: int,
    ) -> Recovered:
        connection = await self._migrated()
        claimed = await claim(connection, specs, delist)
        self._epoch = claimed.epoch
        orphans = await read_orphans(connection, claimed)
        if orphans:
            claimed = await self._delist(connection, claimed, orphans, now_ms)
        recovered = await recover(connection, claimed, last_trades)
        await self._prepare_commits(connection)
        return recovered

    async def _migrated(self) -> Connection:
        """Connect, and bring the schema and the database's own jobs in line."""
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
        return connection

    async def _delist(
        self, connection: Connection, claimed: Claim, orphans: Sequence[OpenOrder], now_ms: int
    ) -> Claim:
        """Cancel the open orders of securities that are no longer listed, as a batch like any."""
        time_ms = max(claimed.time_ms, now_ms)
        seqs = {row["security"]: row["seq"] for row in await connection.fetch(READ_MARKETS)}
        batch = Batch(claimed.batch_no + 1, time_ms, cancel_all(orphans, seqs, time_ms))
        self._layout = await read_layout(connection)
        await self._write(connection, rows.net(batch))
        log.info("delisted: %d open orders are cancelled", len(orphans))
        return claimed._replace(batch_no=batch.number, time_ms=time_ms)

    async def _connect(self) -> Connection:
        return await connect(
            self._dsn,
            connect_timeout_s=self._connect_timeout_s,
            command_timeout_s=self._command_timeout_s,
        )

    async def _prepare_commits(self, connection: Connection) -> None:
        await connection.execute(TUNE)
        self._layout = await read_layout(connection)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    def _commit_timeout_s(self, batch: rows.Rows) -> float:
        return self._command_timeout_s + ROW_S * batch.size

    async def _write(self, connection: Connection, batch: rows.Rows) -> None:
        """Commit a batch in the way that suits its size.

        Raises:
            StoreFenced: the state is not that of the batch before.
        """
        copies = new_rows(batch) > self._at_once_max
        days = self._days_begun(batch)
        securities = self._checkpoints(batch, days)
        purges = batch.time_ms - self._purged_ms >= PURGE_EVERY_MS
        also = batch.operator_actions or batch.balances
        if not (copies or days or securities or purges or also):
            if not await self._apply(connection, batch, copies=False):
                await self._check_committed(connection, batch)
            return
        await connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        if not await self._apply(connection, batch, copies=copies):
            await connection.execute("ROLLBACK")
            await self._check_committed(connection, batch)
            return
        timeout_s = self._commit_timeout_s(batch)
        if days:
            await connection.execute(BEGIN_DAYS, *zip(*days, strict=True), timeout=timeout_s)
        if batch.operator_actions:
            acted = [(batch.number, *row) for row in batch.operator_actions]
            await connection.executemany(NOTE_OPERATOR, acted)
        if batch.balances:
            await write_balances(connection, batch, timeout_s=timeout_s)
        if purges:
            await self._purge_client_orders(connection, batch)
        if securities:
            await connection.execute(CHECKPOINT_BOOKS, securities, batch.time_ms, timeout=timeout_s)
        await connection.execute("COMMIT")
        self._days |= {security: time_ms for security, time_ms, *_ in days}

    async def _apply(self, connection: Connection, batch: rows.Rows, *, copies: bool) -> bool:
        timeout_s = self._commit_timeout_s(batch)
        of_batch = (connection, self._layout, self._epoch_of(batch), batch)
        return await apply(*of_batch, shard=self._shard, copies=copies, timeout_s=timeout_s)

    def _epoch_of(self, batch: rows.Rows) -> int:
        return self._epoch if batch.epoch is None else batch.epoch

    def _days_begun(self, batch: rows.Rows) -> list[rows.DayRow]:
        """Return the days of a batch that no earlier one of this store is known to have begun."""
        today = batch.time_ms - batch.time_ms % DAY_MS
        if all(self._days.get(security) == today for security in batch.seqs):
            return []
        return [day for day in batch.days() if self._days.get(day[0], -1) < day[1]]

    def _checkpoints(self, batch: rows.Rows, days: Sequence[rows.DayRow]) -> list[str]:
        """Return the securities whose book is kept: every so many commands, and day by day.

        A book of the past is then found within one day of it, however little is traded in a year.
        """
        if not self._checkpoint_every:
            return []
        begun = {security for security, _, first_seq, _ in days if first_seq > 1}
        return sorted(begun.union(batch.checkpoints(self._checkpoint_every)))

    async def _check_committed(self, connection: Connection, batch: rows.Rows) -> None:
        """Check that the state is already that of a batch, whose commit was not answered.

        Raises:
            StoreFenced: it is another.
        """
        state = await connection.fetchrow(READ_POSITION, self._shard)
        epoch = self._epoch_of(batch)
        if state is not None and tuple(state)[:2] == (epoch, batch.number):
            return
        raise StoreFenced(
            "another server has taken over this database: "
            f"expected epoch {epoch} and batch {batch.follows} in engine_state, got "
            + (f"epoch {state[0]} and batch {state[1]}" if state else "no row")
        )

    async def _purge_client_orders(self, connection: Connection, batch: rows.Rows) -> None:
        """Delete expired client order ids; again with the next batch if there were too many."""
        expired_ms = batch.time_ms - CLIENT_ORDERS_KEPT_MS
        done = await connection.execute(PURGE_CLIENT_ORDERS, expired_ms, PURGE_ROWS_MAX)
        if done != f"DELETE {PURGE_ROWS_MAX}":
            self._purged_ms = batch.time_ms
