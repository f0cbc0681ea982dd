"""What passes between the matching server and its store: recovered state and batches."""

from __future__ import annotations

from typing import Literal

import msgspec

from fastbook_server.values.events import Order, StoredEvent, Traded
from fastbook_server.values.instruments import Instrument
from fastbook_wire.words import Reason, Status

Durability = Literal["commit", "relaxed"]
"""When clients are told of an event: once it is durable, or as soon as it is matched."""

CLIENT_ORDERS_KEPT_MS = 24 * 3_600_000
"""How long the client order id of an ended order is remembered."""


class OpenOrder(msgspec.Struct, frozen=True, gc=False):
    """A resting order as recovered: its remaining lots, and the notional of its fills so far."""

    order: Order
    remaining: int
    notional: int


class ClientOrder(msgspec.Struct, frozen=True, gc=False):
    """The last state of an order with a client order id, by which a retry is recognised."""

    order: Order
    status: Status
    remaining: int
    notional: int
    reason: Reason | None
    ended_ms: int | None = None


class CancelRule(msgspec.Struct, frozen=True, gc=False):
    """When a user's orders are cancelled unasked, as in `CancelRuleChanged`."""

    after_disconnect_s: int | None = None
    deadline_ms: int | None = None


class Recovered(msgspec.Struct, frozen=True):
    """All that a server recovers at its start.

    ``epoch`` is already raised and claimed for this start. ``open_orders`` are in priority
    order within each price level (by ``seq``). ``client_orders`` are those that ended in the 24 h
    before ``time_ms``, in the order of their ends. ``last_trades`` holds each
    security's newest trades, oldest first. ``unlisted`` are the instruments that the database knows
    beside those of the specs; ``cancel_rules`` are by user id, those that cancel something.
    """

    epoch: int
    batch_no: int
    time_ms: int  # the newest committed stamp; 0 on a new database
    token_key: bytes  # 32 random bytes, generated once per database
    instruments: tuple[Instrument, ...]  # in the order of the specs
    seqs: dict[str, int]  # last seq by security
    open_orders: tuple[OpenOrder, ...]
    client_orders: tuple[ClientOrder, ...]
    last_trades: dict[str, tuple[Traded, ...]]
    unlisted: tuple[Instrument, ...] = ()
    cancel_rules: dict[str, CancelRule] = {}


class Batch(msgspec.Struct, frozen=True):
    """What one transaction makes durable: the stored events of a run of commands, in order.

    ``number`` is that of the previous batch plus one; ``time_ms`` is the newest stamp.
    """

    number: int
    time_ms: int
    events: tuple[StoredEvent, ...]
