"""The `Store` protocol: make batches durable, recover them at start, and read them back.

A batch holds the public events of a run of commands; a store commits batches strictly in order.
Implementations: ``store.postgres`` for production, ``store.memory`` for tests and simulation.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from fastbook_server.values.candles import Candle
from fastbook_server.values.events import Traded
from fastbook_server.values.instruments import Instrument, InstrumentSpec
from fastbook_server.values.persisted import (
    CLIENT_ORDERS_KEPT_MS,
    Batch,
    CancelRule,
    ClientOrder,
    FillSpan,
    OpenOrder,
    OwnFill,
    Recovered,
    StoredFill,
)
from fastbook_wire.words import Interval

__all__ = [
    "CLIENT_ORDERS_KEPT_MS",
    "Batch",
    "CancelRule",
    "ClientOrder",
    "FillSpan",
    "History",
    "OpenOrder",
    "OwnFill",
    "Recovered",
    "Store",
    "StoreBroken",
    "StoreError",
    "StoreFenced",
    "StoreRefused",
    "StoreUnavailable",
    "StoredFill",
]


class StoreError(Exception):
    """Base class of every failure between the server and its database."""


class StoreUnavailable(StoreError):
    """The database is away or busy: retry.

    A failed commit may or may not have taken effect; retrying the same batch is always safe.
    """


class StoreFenced(StoreError):
    """Another server has taken over this database: stop at once and write nothing more."""


class StoreBroken(StoreError):
    """The database rejected a statement: a bug of ours or a modified schema. Stop."""


class StoreRefused(StoreError):
    """The configuration does not fit this database (changed tick, newer schema …): exit 2."""


class Store(Protocol):
    """A database as the pipeline sees it.

    Call `open` first, then `prepare` and `commit` per batch. Only one commit may run at a time.
    """

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

    def prepare(self, batch: Batch) -> object:
        """Convert a batch to the form that `commit` takes, once for all retries."""

    async def commit(self, prepared: object) -> None:
        """Make a prepared batch durable. Committing the same batch again has no effect.

        Raises:
            StoreUnavailable: the outcome is unknown; call again with the same value.
            StoreFenced: another server owns the database, or `prepared` is not the next batch.
            StoreBroken: the database rejected the batch; retrying cannot help.
        """

    def history(self, instruments: Sequence[Instrument]) -> History:
        """Return a reader of what `instruments` have traded. Call `open` first."""

    async def close(self) -> None:
        """Release the connection. Does not raise if the database is away."""


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

    async def order(self, order_id: str) -> ClientOrder | None:
        """Return the state of an order, open or ended, or None if no order has this id.

        The order's security need not be listed any more.
        """

    async def close(self) -> None:
        """Release the connections. Does not raise if the database is away."""
