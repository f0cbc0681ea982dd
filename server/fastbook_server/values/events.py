"""The events of the exchange: immutable values, returned by ``Exchange.apply``.

The store turns stored events into rows, the views turn public ones into books and trades; private
ones are routed to their user. Prices are in ticks, quantities in lots, notionals in ticks x lots,
times in Unix milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import cython

from fastbook_server.values.instruments import Instrument
from fastbook_wire.words import (
    ExecType,
    OperatorAction,
    Reason,
    Role,
    SelfTradeName,
    SideName,
    Status,
    TimeInForceName,
)

CLIENT_ORDER_IDS_MAX = 100
"""How many client order ids an order may have, one after the other: each change carries all."""


@cython.freelist(1024)
@cython.no_gc
@dataclass(frozen=True)
@cython.cclass
class Order:
    """An accepted order and its terms, as of its last change.

    ``seq`` is the number of the command that placed it, and its number in the engine's book.
    ``price`` is None for a market order, ``trigger_price`` for all but stop orders, ``display`` 0
    for all but icebergs. ``budget``, in ticks x lots, was given in place of the quantity, which
    then is what it paid for. ``withdraw_on_close`` records that the user had asked for
    cancellation on disconnect when it was placed.

    The ``placed_`` fields are the terms that it was placed with, None unless they were changed.
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
    trigger_price: int | None = None
    display: int = 0
    expire_ms: int | None = None
    budget: int | None = None
    placed_price: int | None = None
    placed_quantity: int | None = None
    former_client_order_ids: tuple[str, ...] = ()

    @property
    def client_order_ids(self) -> tuple[str, ...]:
        """Every client order id that the order has or had."""
        own = () if self.client_order_id is None else (self.client_order_id,)
        return own + self.former_client_order_ids


def changed(
    order: Order, *, price: int | None, quantity: int, client_order_id: str | None = None
) -> Order:
    """Return an order with other terms, which remembers those that it was placed with."""
    before = order.client_order_id
    former = order.former_client_order_ids
    if client_order_id is not None and client_order_id != before:
        others = tuple(name for name in order.client_order_ids if name != client_order_id)
        former, before = others, client_order_id
    return replace(
        order,
        price=price,
        quantity=quantity,
        client_order_id=before,
        former_client_order_ids=former,
        placed_price=order.price if order.placed_price is None else order.placed_price,
        placed_quantity=order.quantity if order.placed_quantity is None else order.placed_quantity,
    )


# ---- public: rows, books, trades --------------------------------------------------------------


@cython.freelist(1024)
@cython.no_gc
@dataclass(frozen=True)
@cython.cclass
class OrderAccepted:
    """A new order was accepted and took its ``seq``; its effects follow in the same list."""

    order: Order


@cython.freelist(1024)
@cython.no_gc
@dataclass(frozen=True)
@cython.cclass
class OrderFilled:
    """One match of a taker with a maker, at the maker's price.

    ``fill_id`` counts the fills of the security without gaps, from 1; ``n`` those of one ``seq``.
    ``agg_trade_id`` counts what one taker took at one price: its fills there share it.
    """

    fill_id: int
    agg_trade_id: int
    seq: int
    n: int
    time_ms: int
    taker: Order
    maker: Order
    price: int
    quantity: int
    taker_remaining: int
    maker_remaining: int
    maker_notional: int  # filled so far, this fill included
    level_quantity: int  # what then shows on the maker's level
    maker_visible: int  # what then shows of the maker
    refilled: bool = False  # the maker, an iceberg, shows a new slice, behind the others


@cython.freelist(1024)
@cython.no_gc
@dataclass(frozen=True)
@cython.cclass
class OrderRested:
    """The unfilled remainder of an incoming order entered the book, of which ``visible`` shows."""

    order: Order
    remaining: int
    notional: int  # filled before it came to rest
    level_quantity: int
    seq: int
    visible: int


@cython.freelist(1024)
@cython.no_gc
@dataclass(frozen=True)
@cython.cclass
class OrderHeld:
    """A new stop order waits for its trigger."""

    order: Order


@cython.freelist(1024)
@cython.no_gc
@dataclass(frozen=True)
@cython.cclass
class OrderTriggered:
    """A stop order was triggered and takes effect under a ``seq`` of its own; effects follow."""

    seq: int
    time_ms: int
    order: Order


@cython.freelist(1024)
@cython.no_gc
@dataclass(frozen=True)
@cython.cclass
class OrderAmended:
    """An order was changed: ``before`` and ``order`` are its terms before and after.

    With ``stays`` it keeps its place in the queue, where ``visible`` shows now (``shown`` before).
    Otherwise it has left its level, if it was in the book, and enters as a new order would: effects
    follow. ``level_quantity`` is what then shows on the level that it was on. With ``in_book``
    False it was not in the book: it waits for its trigger, or is incoming. ``queued_seq``
    and ``queued_n`` are what gave it, or its slice, its place in the queue.
    """

    seq: int
    n: int
    time_ms: int
    order: Order
    before: Order
    remaining: int
    notional: int
    cause: Literal["user", "self_trade"]
    in_book: bool
    stays: bool
    shown: int
    visible: int
    level_quantity: int
    queued_seq: int
    queued_n: int


@cython.freelist(1024)
@cython.no_gc
@dataclass(frozen=True)
@cython.cclass
class OrderCancelled:
    """``quantity`` of an order ended without a fill.

    With ``rested`` the order left the book, where ``shown`` lots of it showed, and
    ``level_quantity`` is what is left on its level. With ``held`` it was waiting for its trigger.
    Otherwise it is the remainder of an incoming order that never entered the book.
    """

    seq: int
    n: int
    time_ms: int
    order: Order
    quantity: int
    reason: Reason
    rested: bool
    level_quantity: int
    shown: int = 0
    held: bool = False


@cython.freelist(1024)
@cython.no_gc
@dataclass(frozen=True)
@cython.cclass
class Traded:
    """The public trade: all fills of one incoming order."""

    id: str
    seq: int
    time_ms: int
    order: Order
    quantity: int
    notional: int


# ---- told to gateways alone, and not stored ----------------------------------------------------


@cython.freelist(64)
@cython.no_gc
@dataclass(frozen=True)
@cython.cclass
class CommandTaken:
    """A command that a gateway in another process has numbered is answered, refused or not.

    ``holds`` is the user of whom the command said that the gateway has the connection.
    """

    gateway: str
    number: int
    holds: str | None


# ---- stored, but told to nobody ----------------------------------------------------------------


@cython.freelist(1024)
@cython.no_gc
@dataclass(frozen=True)
@cython.cclass
class CancelRuleChanged:
    """When a user's orders are to be cancelled unasked, from now on; None: never.

    ``after_disconnect_s`` counts from the end of the user's connection; ``deadline_ms`` is a time
    that the user has set.
    """

    user_id: str
    after_disconnect_s: int | None
    deadline_ms: int | None


@cython.freelist(64)
@cython.no_gc
@dataclass(frozen=True)
@cython.cclass
class OperatorActed:
    """What the operator did, in its place among the commands; ``count`` orders were cancelled."""

    time_ms: int
    action: OperatorAction
    security: str | None
    user_id: str | None
    count: int


@cython.freelist(64)
@cython.no_gc
@dataclass(frozen=True)
@cython.cclass
class BalanceChanged:
    """What an account has of an asset now, in units of 10 to the power of minus ``decimals``.

    ``deposit`` is the number of the deposit that changed it, if it was one.
    """

    user_id: str
    asset: str
    free: int
    locked: int
    decimals: int
    deposit: int | None = None


# ---- private: to one user ---------------------------------------------------------------------


@cython.freelist(1024)
@cython.no_gc
@dataclass(frozen=True)
@cython.cclass
class OrderReport:
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


@cython.freelist(1024)
@cython.no_gc
@dataclass(frozen=True)
@cython.cclass
class FillReport:
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


@cython.freelist(1024)
@cython.no_gc
@dataclass(frozen=True)
@cython.cclass
class CommandRefused:
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


@cython.freelist(1024)
@cython.no_gc
@dataclass(frozen=True)
@cython.cclass
class OrdersListed:
    """The open orders of a user, oldest first."""

    user_id: str
    ref: str | int | None
    reports: tuple[OrderReport, ...]


@cython.freelist(1024)
@cython.no_gc
@dataclass(frozen=True)
@cython.cclass
class AllDeleted:
    """``count`` orders of a user were cancelled at once; their reports follow."""

    user_id: str
    ref: str | int | None
    count: int


@cython.freelist(1024)
@cython.no_gc
@dataclass(frozen=True)
@cython.cclass
class CancelScheduled:
    """A user's deadline as of ``time_ms``, after which all orders of the user are cancelled."""

    user_id: str
    ref: str | int | None
    time_ms: int
    deadline_ms: int | None


OrderEvent = (
    OrderAccepted
    | OrderFilled
    | OrderRested
    | OrderHeld
    | OrderTriggered
    | OrderAmended
    | OrderCancelled
)
PublicEvent = OrderEvent | Traded
StoredEvent = PublicEvent | CancelRuleChanged | OperatorActed | BalanceChanged
PrivateEvent = (
    OrderReport | FillReport | CommandRefused | OrdersListed | AllDeleted | CancelScheduled
)
ExchangeEvent = StoredEvent | PrivateEvent | CommandTaken

PUBLIC: frozenset[type] = frozenset(get_args(PublicEvent))
PRIVATE: frozenset[type] = frozenset(get_args(PrivateEvent))
