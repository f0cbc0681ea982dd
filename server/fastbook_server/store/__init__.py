"""Where the truth is kept: the ``Store`` protocol, what it recovers, and how it can fail.

Implementations: ``store.memory`` (tests, simulation) and ``store.postgres`` (the product). A store
commits batches strictly one after the other; a batch is the public events of a run of commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fastbook_server.values.candles import Candle
from fastbook_server.values.events import Traded
from fastbook_server.values.instruments import Instrument, InstrumentSpec
from fastbook_server.values.persisted import (
    CLIENT_ORDERS_KEPT_MS,
    Batch,
    ClientOrder,
    OpenOrder,
    Recovered,
)
from fastbook_wire.words import Interval

__all__ = [
    "CLIENT_ORDERS_KEPT_MS",
    "Batch",
    "ClientOrder",
    "History",
    "OpenOrder",
    "Recovered",
    "Store",
    "StoreBroken",
    "StoreError",
    "StoreFenced",
    "StoreRefused",
    "StoreUnavailable",
]


class StoreError(Exception):
    """The base of all that can go wrong between the server and its database."""


class StoreUnavailable(StoreError):
    """The outcome of a commit is unknown or it failed for now: try the same batch again."""


class StoreFenced(StoreError):
    """Another server has taken over this database: stop at once, write nothing any more."""


class StoreBroken(StoreError):
    """The database refused what we sent: our bug, or somebody changed the schema. Stop."""


class StoreRefused(StoreError):
    """This database cannot be served as configured (changed tick, newer schema …): exit 2."""


class Store(Protocol):
    """The database as the pipeline sees it."""

    async def open(self, specs: Sequence[InstrumentSpec], last_trades: int) -> Recovered:
        """Bring the schema up to date, claim the database for a new epoch, return the past.

        `last_trades` is how many trades per security to return (0: all).

        Raises:
            StoreUnavailable: the database cannot be reached now.
            StoreRefused: it can be, but must not be served with these settings.
        """

    def prepare(self, batch: Batch) -> object:
        """Return the batch in the store's own form; done once, however often it is retried."""

    async def commit(self, prepared: object) -> None:
        """Make a prepared batch durable. Calling it again with the same batch is harmless.

        Raises:
            StoreUnavailable: unknown or failed for now; call again with the same value.
            StoreFenced: another server owns the database.
            StoreBroken: it will never work.
        """

    def history(self, instruments: Sequence[Instrument]) -> History:
        """Return a reader of the past of `instruments`, for after `open`."""

    async def close(self) -> None:
        """Release the connection. Never raises for a database that is away."""


class History(Protocol):
    """What has been committed, for readers: on connections of its own, never in the way of commits.

    Every method raises StoreUnavailable when the database is away or too busy.
    """

    async def trades(
        self, security: str, *, before_seq: int | None, limit: int
    ) -> Sequence[Traded]:
        """Return the newest `limit` trades before `before_seq` (None: of all), oldest first."""

    async def candles(
        self,
        security: str,
        interval: Interval,
        *,
        start_ms: int | None,
        end_ms: int | None,
        limit: int,
    ) -> Sequence[Candle]:
        """Return `limit` candles with `start_ms` <= time < `end_ms`, oldest first.

        Without `start_ms` the last ones, else the first.
        """

    async def close(self) -> None:
        """Release the connections. Never raises for a database that is away."""
