"""The `Store` protocol: make batches durable, recover them at start, and read them back.

A batch holds the public events of a run of commands; a store commits batches strictly in order.
Implementations: ``store.postgres`` for production, ``store.memory`` for tests and simulation.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from fastbook_server.values.accounts import Account, AccountsSeen
from fastbook_server.values.candles import Candle
from fastbook_server.values.events import Traded
from fastbook_server.values.holdings import Holding
from fastbook_server.values.instruments import Instrument, InstrumentSpec
from fastbook_server.values.persisted import (
    CLIENT_ORDERS_KEPT_MS,
    Amendment,
    Batch,
    CancelRule,
    ClientOrder,
    FillSpan,
    OpenOrder,
    OrderSpan,
    OwnFill,
    Recovered,
    StoredFill,
)
from fastbook_wire.words import Interval

__all__ = [
    "CLIENT_ORDERS_KEPT_MS",
    "TAKEN_OVER",
    "AccountBook",
    "Amendment",
    "Batch",
    "BatchStore",
    "CancelRule",
    "ClientOrder",
    "FailedJob",
    "FillSpan",
    "History",
    "OpenOrder",
    "OrderSpan",
    "OwnFill",
    "Position",
    "RecordStore",
    "Recovered",
    "Store",
    "StoreBroken",
    "StoreError",
    "StoreFenced",
    "StoreRefused",
    "StoreUnavailable",
    "StoreUnprepared",
    "StoredFill",
    "Upkeep",
]


TAKEN_OVER = 3
"""The exit code of a server that is fenced: another owns the database, and started again this one
would take it back."""


class StoreError(Exception):
    """Base class of every failure between the server and its database."""


class StoreUnavailable(StoreError):
    """The database is away or busy: retry.

    A failed commit may or may not have taken effect; retrying the same batch is always safe.
    """


class StoreUnprepared(StoreUnavailable):
    """The database lacks the schema or the instruments that a reader needs: retry.

    Who may write must prepare it first.
    """


class StoreFenced(StoreError):
    """Another server has taken over this database: stop at once and write nothing more."""


class StoreBroken(StoreError):
    """The database rejected a statement: a bug of ours or a modified schema. Stop."""


class StoreRefused(StoreError):
    """The configuration does not fit this database (changed tick, newer schema …): exit 2."""


class FailedJob(NamedTuple):
    """Work that the database should do by itself and does not, and what it last said about it."""

    name: str
    error: str


class Upkeep(NamedTuple):
    """How the work fares that the database does by itself; a database without any has no trouble.

    ``candles_behind_s`` is how long ago, in the exchange's time, the oldest bucket has ended that
    is not aggregated yet. Its candle is right, but computed from the fills at each query.
    """

    failed_jobs: tuple[FailedJob, ...] = ()
    candles_behind_s: float = 0.0


class Position(NamedTuple):
    """Up to which batch a database has recorded a log: of which epoch it is, and its stamp."""

    epoch: int
    batch_no: int
    time_ms: int


class RecordStore(Protocol):
    """A database as a recorder sees it: others may record the same log, and nobody claims it."""

    async def open_to_record(self, specs: Sequence[InstrumentSpec]) -> Sequence[Instrument]:
        """Migrate the schema, register the instruments of `specs`; return all that it knows.

        May be called again. Raises like `Store.open`.
        """

    async def position(self) -> Position:
        """Return what has been recorded.

        Raises:
            StoreUnavailable: the database is away.
        """

    def prepare(self, batch: Batch) -> object:
        """Convert a batch that names its epoch to the form that `commit` takes."""

    async def commit(self, prepared: object) -> None:
        """See `BatchStore.commit`. Fenced is also who is not the first to record a batch."""


class BatchStore(Protocol):
    """Where the pipeline makes batches durable, strictly in order and one at a time.

    ``place`` names it for people. One that ``keeps_replies`` is given batches without events too,
    if they have answered commands.
    """

    place: str
    keeps_replies: bool

    def prepare(self, batch: Batch) -> object:
        """Convert a batch to the form that `commit` takes, once for all retries."""

    async def commit(self, prepared: object) -> None:
        """Make a prepared batch durable. Committing the same batch again has no effect.

        Raises:
            StoreUnavailable: the outcome is unknown; call again with the same value.
            StoreFenced: another server owns the database, or `prepared` is not the next batch.
            StoreBroken: the database rejected the batch; retrying cannot help.
        """


class Store(BatchStore, Protocol):
    """A database as a server sees it: call `open` first, then `prepare` and `commit` per batch."""

    async def open(
        self,
        specs: Sequence[InstrumentSpec],
        last_trades: int,
        *,
        delist: Collection[str] = (),
        now_ms: int = 0,
    ) -> Recovered:
        """Migrate the schema, claim the database for a new epoch and return its recovered state.

        Recovers the books of the instruments of `specs` only, with the newest `last_trades` trades
        of each (0: all). Open orders in the securities of `delist` are cancelled in a batch of
        their own, stamped `now_ms` or, if that is later, like the batch before. May be called
        again, which starts another epoch.

        Raises:
            StoreUnavailable: the database cannot be reached at the moment.
            StoreRefused: the database contradicts `specs`, has open orders in a security that is
                neither among them nor in `delist`, or this program cannot use it.
        """

    def history(
        self, instruments: Sequence[Instrument], *, timeout_s: float | None = None
    ) -> History:
        """Return a reader of what `instruments` have traded. Call `open` first.

        Its queries may take `timeout_s`; None: as long as a client would wait.
        """

    def account_book(self) -> AccountBook:
        """Return a reader of the accounts. Call `open` first."""

    async def close(self) -> None:
        """Release the connection. Does not raise if the database is away."""


class AccountBook(Protocol):
    """The accounts of a database, read without delaying commits; one question at a time."""

    async def read(self) -> AccountsSeen:
        """Return the accounts, and the deposits that no batch holds yet.

        Raises:
            StoreUnavailable: the database is away.
        """

    async def provide(self, name: str, balances: Mapping[str, str]) -> Account:
        """Return the account of this name; if there is none, a new one with these balances.

        Raises:
            StoreRefused: there was one that has been removed, or the name or an amount is none.
            StoreUnavailable: the database is away.
        """

    async def close(self) -> None:
        """Release the connection."""


class History(Protocol):
    """Committed trades, fills, orders and candles, read without delaying commits.

    Raises:
        StoreUnavailable: by every query, while the database is away or too busy.
    """

    async def trades(
        self, security: str, *, before_seq: int | None, limit: int
    ) -> Sequence[Traded]:
        """Return the newest `limit` trades with ``seq < before_seq``, oldest first.

        Without `before_seq`, the newest of all. An unknown security has none.
        """

    async def candles(
        self,
        security: str,
        interval: Interval,
        *,
        start_ms: int | None,
        end_ms: int | None,
        limit: int,
    ) -> Sequence[Candle]:
        """Return at most `limit` candles that start in [`start_ms`, `end_ms`), oldest first.

        With `start_ms`, the earliest of them; without it, the latest. Times are Unix milliseconds;
        prices are in ticks, volumes in lots. Buckets without a trade have no candle.
        """

    async def fills(self, security: str, span: FillSpan) -> Sequence[StoredFill]:
        """Return the fills of a security in a span, oldest first. An unknown one has none."""

    async def own_fills(self, user_id: str, security: str, span: FillSpan) -> Sequence[OwnFill]:
        """Return the fills of a user's orders in a span, oldest first.

        ``limit`` counts fills: one whose two orders are the user's is returned as taker, then as
        maker.
        """

    async def ended_orders(
        self, user_id: str, security: str, span: OrderSpan
    ) -> Sequence[ClientOrder]:
        """Return a user's ended orders that were placed in a span, oldest first."""

    async def order(self, order_id: str) -> ClientOrder | None:
        """Return the state of an order, open or ended, or None if no order has this id.

        The order's security need not be listed any more.
        """

    async def amendments(self, order_id: str) -> Sequence[Amendment]:
        """Return how a user has changed an order, oldest first."""

    async def holdings(self) -> Sequence[Holding]:
        """Return what the fills of each user in each security add up to, in no order. O(fills)."""

    async def upkeep(self) -> Upkeep:
        """Return how the work fares that the database does by itself."""

    async def close(self) -> None:
        """Release the connections. Does not raise if the database is away."""
