"""What the exchange says happened: immutable values, returned by ``Exchange.apply``.

The store turns public events into rows, the market data view turns them into books and trades,
and private ones are routed to their user. Prices are in ticks, quantities in lots, notionals in
ticks x lots, times in Unix milliseconds.
"""

from __future__ import annotations

from typing import get_args

import msgspec

from fastbook_server.values.instruments import Instrument
from fastbook_wire.words import (
    ExecType,
    Reason,
    SelfTradeName,
    SideName,
    Status,
    TimeInForceName,
)


class Order(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An accepted order as it came: what never changes of it.

    ``seq`` is the number of the command that brought it, and its number in the engine's book.
    ``price`` is None for a market order. ``withdraw_on_close`` says that it must not outlive its
    user's connection.
    """

    id: str
    seq: int
    time_ms: int
    user_id: str
    instrument: Instrument
    side: SideName
    exec_type: ExecType
    price: int | None
    quantity: int
    time_in_force: TimeInForceName = "gtc"
    post_only: bool = False
    self_trade: SelfTradeName = "allow"
    client_order_id: str | None = None
    withdraw_on_close: bool = False


# ---- public: rows, books, trades --------------------------------------------------------------


class OrderAccepted(msgspec.Struct, frozen=True, gc=False):
    """A new order came in and took its ``seq``; what it did follows in the same list."""

    order: Order


class OrderFilled(msgspec.Struct, frozen=True, gc=False):
    """One match of a taker with a maker, at the maker's price; ``n`` counts within the ``seq``."""

    seq: int
    n: int
    time_ms: int
    taker: Order
    maker: Order
    price: int
    quantity: int
    maker_remaining: int
    maker_notional: int  # filled so far, this fill included
    level_quantity: int  # what is left on the maker's level


class OrderRested(msgspec.Struct, frozen=True, gc=False):
    """What remained of a new order entered the book."""

    order: Order
    remaining: int
    notional: int  # filled before it came to rest
    level_quantity: int


class OrderCancelled(msgspec.Struct, frozen=True, gc=False):
    """``quantity`` of an order ended without a fill.

    ``rested`` says whether it left the book (then ``level_quantity`` is what is left on its level)
    or was the remainder of an incoming order that never got there.
    """

    seq: int
    n: int
    time_ms: int
    order: Order
    quantity: int
    reason: Reason
    rested: bool
    level_quantity: int


class Traded(msgspec.Struct, frozen=True, gc=False):
    """All fills of one incoming order at once: the public trade."""

    id: str
    seq: int
    time_ms: int
    order: Order
    quantity: int
    notional: int


# ---- private: to one user ---------------------------------------------------------------------


class OrderReport(msgspec.Struct, frozen=True, gc=False):
    """An order's state after a command; with ``ref`` it is the reply to that command.

    ``last_price`` and ``last_quantity`` are those of the fill that a maker's report is about.
    """

    user_id: str
    ref: str | int | None
    order: Order
    status: Status
    remaining: int
    notional: int
    reason: Reason | None = None
    last_price: int | None = None
    last_quantity: int | None = None


class CommandRefused(msgspec.Struct, frozen=True, gc=False):
    """A command broke a rule; nothing changed. ``code`` is one of ``the wire's codes``.

    ``of_order`` says whether it asked for or about one order (add, delete). ``retry_after_ms`` is
    for refusals that may pass by themselves.
    """

    user_id: str
    ref: str | int | None
    code: str
    message: str
    of_order: bool
    retry_after_ms: int | None = None


class OrdersListed(msgspec.Struct, frozen=True, gc=False):
    """The open orders of a user, oldest first."""

    user_id: str
    ref: str | int | None
    reports: tuple[OrderReport, ...]


class AllDeleted(msgspec.Struct, frozen=True, gc=False):
    """``count`` orders of a user were withdrawn at once; their reports follow."""

    user_id: str
    ref: str | int | None
    count: int


OrderEvent = OrderAccepted | OrderFilled | OrderRested | OrderCancelled
PublicEvent = OrderEvent | Traded
PrivateEvent = OrderReport | CommandRefused | OrdersListed | AllDeleted
ExchangeEvent = PublicEvent | PrivateEvent

PUBLIC: frozenset[type] = frozenset(get_args(PublicEvent))
PRIVATE: frozenset[type] = frozenset(get_args(PrivateEvent))
