"""The events of the exchange: immutable values, returned by ``Exchange.apply``.

The store turns stored events into rows, the views turn public ones into books and trades; private
ones are routed to their user. Prices are in ticks, quantities in lots, notionals in ticks x lots,
times in Unix milliseconds.
"""

from __future__ import annotations

from typing import get_args

import msgspec

from fastbook_server.values.instruments import Instrument
from fastbook_wire.words import (
    ExecType,
    Reason,
    Role,
    SelfTradeName,
    SideName,
    Status,
    TimeInForceName,
)


class Order(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An accepted order: what never changes about it.

    ``seq`` is the number of the command that placed it, and its number in the engine's book.
    ``price`` is None for a market order. ``withdraw_on_close`` records that the user had asked for
    cancellation on disconnect when it was placed.
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
    """A new order was accepted and took its ``seq``; its effects follow in the same list."""

    order: Order


class OrderFilled(msgspec.Struct, frozen=True, gc=False):
    """One match of a taker with a maker, at the maker's price.

    ``fill_id`` counts the fills of the security without gaps, from 1; ``n`` those of one ``seq``.
    """

    fill_id: int
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
    """The unfilled remainder of a new order entered the book."""

    order: Order
    remaining: int
    notional: int  # filled before it came to rest
    level_quantity: int


class OrderCancelled(msgspec.Struct, frozen=True, gc=False):
    """``quantity`` of an order ended without a fill.

    With ``rested`` the order left the book, and ``level_quantity`` is what is left on its level;
    otherwise it is the remainder of an incoming order that never entered the book.
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
    """The public trade: all fills of one incoming order."""

    id: str
    seq: int
    time_ms: int
    order: Order
    quantity: int
    notional: int


# ---- stored, but told to nobody ----------------------------------------------------------------


class CancelRuleChanged(msgspec.Struct, frozen=True, gc=False):
    """When a user's orders are to be cancelled unasked, from now on; None: never.

    ``after_disconnect_s`` counts from the end of the user's connection; ``deadline_ms`` is a time
    that the user has set.
    """

    user_id: str
    after_disconnect_s: int | None
    deadline_ms: int | None


# ---- private: to one user ---------------------------------------------------------------------


class OrderReport(msgspec.Struct, frozen=True, gc=False):
    """An order's state after a command; with ``ref`` it is the reply to that command.

    ``last_price`` and ``last_quantity`` are set in the report that follows a fill of a maker.
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


class FillReport(msgspec.Struct, frozen=True, gc=False):
    """One fill as one of its two orders saw it; ``filled`` is the order's, this fill included.

    A taker's fills come before the reply to its command, a maker's before the order's new state.
    """

    user_id: str
    order: Order
    role: Role
    fill_id: int
    seq: int
    time_ms: int
    price: int
    quantity: int
    filled: int


class CommandRefused(msgspec.Struct, frozen=True, gc=False):
    """A command broke a rule; nothing changed. ``code`` is a `fastbook_wire.words.Code`.

    ``of_order`` marks commands about one order (add, delete). ``retry_after_ms`` is set where
    waiting may help.
    """

    user_id: str
    ref: str | int | None
    code: str
    message: str
    of_order: bool
    retry_after_ms: int | None = None
    order_id: str | None = None  # asked for, and perhaps known to the database


class OrdersListed(msgspec.Struct, frozen=True, gc=False):
    """The open orders of a user, oldest first."""

    user_id: str
    ref: str | int | None
    reports: tuple[OrderReport, ...]


class AllDeleted(msgspec.Struct, frozen=True, gc=False):
    """``count`` orders of a user were cancelled at once; their reports follow."""

    user_id: str
    ref: str | int | None
    count: int


class CancelScheduled(msgspec.Struct, frozen=True, gc=False):
    """A user's deadline as of ``time_ms``, after which all orders of the user are cancelled."""

    user_id: str
    ref: str | int | None
    time_ms: int
    deadline_ms: int | None


OrderEvent = OrderAccepted | OrderFilled | OrderRested | OrderCancelled
PublicEvent = OrderEvent | Traded
StoredEvent = PublicEvent | CancelRuleChanged
PrivateEvent = (
    OrderReport | FillReport | CommandRefused | OrdersListed | AllDeleted | CancelScheduled
)
ExchangeEvent = StoredEvent | PrivateEvent

PUBLIC: frozenset[type] = frozenset(get_args(PublicEvent))
PRIVATE: frozenset[type] = frozenset(get_args(PrivateEvent))
