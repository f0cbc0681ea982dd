"""Where the truth is kept: the ``Store`` protocol, what it recovers, and how it can fail.

Implementations: ``store.memory`` (tests, simulation) and ``store.postgres`` (the product). A store
commits batches strictly one after the other; a batch is the public events of a run of commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from fastbook_server.events import Order, PublicEvent, Reason, Status, Traded
from fastbook_server.instruments import Instrument, InstrumentSpec


class StoreError(Exception):
    """The base of all that can go wrong between the server and its database."""


class StoreUnavailable(StoreError):
    """The outcome of a commit is unknown or it failed for now: try the same batch again."""


class StoreFenced(StoreError):
    """Another server has taken over this database: stop at once, nothing may be written any more."""


class StoreBroken(StoreError):
    """The database refused what we sent: our bug, or somebody changed the schema. Stop."""


class StoreRefused(StoreError):
    """This database cannot be served as configured (changed tick, newer schema …): exit 2."""


class OpenOrder(msgspec.Struct, frozen=True, gc=False):
    """A resting order as it was recovered: what remains, and what its fills have cost so far."""

    order: Order
    remaining: int
    notional: int


class ClientOrder(msgspec.Struct, frozen=True, gc=False):
    """The last state of an order that bore a client order id, kept so that a retry is recognised."""

    order: Order
    status: Status
    remaining: int
    notional: int
    reason: Reason | None


class Recovered(msgspec.Struct, frozen=True):
    """All that a start needs from the past.

    ``epoch`` has already been raised and claimed for this start. ``open_orders`` are in priority
    order within each price level (by ``seq``). ``client_orders`` are those of the last 24 h before
    ``time_ms``, oldest first. ``last_trades`` holds, per security, the newest trades, oldest first,
    and ``last_trade_seq`` is simply the ``seq`` of the last of them.
    """

    epoch: int
    batch_no: int
    time_ms: int  # the last stamp that was committed; 0 on a new database
    token_key: bytes  # 32 random bytes, made once per database
    instruments: tuple[Instrument, ...]  # in the order of the specs
    seqs: dict[str, int]  # last seq by security
    open_orders: tuple[OpenOrder, ...]
    client_orders: tuple[ClientOrder, ...]
    last_trades: dict[str, tuple[Traded, ...]]


class Batch(msgspec.Struct, frozen=True):
    """What one transaction makes durable: the public events of a run of commands, in order.

    ``number`` is the previous batch's plus one; ``time_ms`` the last stamp given out.
    """

    number: int
    time_ms: int
    events: tuple[PublicEvent, ...]


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

    async def close(self) -> None:
        """Release the connection. Never raises for a database that is away."""
