"""What crosses the line between the exchange and its store: recovered state in, batches out."""

from __future__ import annotations

from typing import Literal

import msgspec

from fastbook_server.values.events import Order, PublicEvent, Traded
from fastbook_server.values.instruments import Instrument
from fastbook_wire.words import Reason, Status

Durability = Literal["commit", "relaxed"]
"""When clients are told: once the database has it, or as soon as it is matched."""

CLIENT_ORDERS_KEPT_MS = 24 * 3_600_000
"""How long a client order id is known once its order has left the book."""


class OpenOrder(msgspec.Struct, frozen=True, gc=False):
    """A resting order as it was recovered: what remains, and what its fills have cost so far."""

    order: Order
    remaining: int
    notional: int


class ClientOrder(msgspec.Struct, frozen=True, gc=False):
    """The last state of an order with a client order id, so that a retry is recognised."""

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
