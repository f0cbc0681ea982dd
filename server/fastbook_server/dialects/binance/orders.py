"""The orders of accounts, as committed batches tell of them.

Open orders are all known, ended ones up to a bound: older ones are the database's to tell.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cython

from fastbook_server.dialects.binance.prevented import PreventedMatch, PreventedMatches
from fastbook_server.dialects.binance.symbols import Symbol, Symbols
from fastbook_server.values.accounts import is_account
from fastbook_server.values.events import (
    Order,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderEvent,
    OrderFilled,
    OrderHeld,
    OrderReport,
    OrderRested,
    OrderTriggered,
)
from fastbook_server.values.persisted import Recovered

ENDED_MAX = 10_000
"""So many ended orders of one account are kept in memory; those are found by their names too."""

EXPIRY = {
    "no_liquidity": "INSUFFICIENT_LIQUIDITY",
    "total": "INSUFFICIENT_LIQUIDITY",
    "ioc": "UNFILLED_IOC_QUANTITY_EXPIRED",
    "fok": "UNFILLED_FOK_ORDER_EXPIRED",
}
_OPEN = ("NEW", "PARTIALLY_FILLED")
_ENDED_UNASKED = (*EXPIRY, "expired", "level_full", "balance")


@dataclass(frozen=True)
@cython.cclass
class OrderFill:
    """One fill as one of its two orders saw it."""

    fill_id: int
    price: int
    quantity: int
    time_ms: int
    is_maker: bool


@cython.cclass
class AccountOrder:
    """An order of an account, open or ended; ``amendment`` is its last one."""

    def __init__(
        self,
        order: Order,
        symbol: Symbol,
        status: str,
        filled: int,
        notional: int,
        updated_ms: int,
        prevented: int = 0,
        expiry_reason: str | None = None,
    ) -> None:
        self.order = order
        self.symbol = symbol
        self.status = status
        self.filled = filled
        self.notional = notional
        self.updated_ms = updated_ms
        self.is_working = True
        self.prevented = prevented
        self.prevented_match: PreventedMatch | None = None
        self.expiry_reason = expiry_reason
        self.fills: list[OrderFill] = []
        self.amendment: OrderAmended | None = None

    @property
    def order_id(self) -> int:
        """The id that clients know it by."""
        return self.symbol.order_id(self.order.seq)

    @property
    def is_open(self) -> bool:
        """Whether it may still trade."""
        return self.status in _OPEN

    @property
    def client_order_id(self) -> str:
        """The client's own id; of an order that has none, the server's."""
        return self.order.client_order_id or self.order.id.replace("-", "")


@dataclass(frozen=True)
@cython.cclass
class OrderUpdate:
    """Something that happened to one order of an account, and how the order stood after it.

    ``kind`` is NEW, TRADE, CANCELED, REPLACED, EXPIRED or TRADE_PREVENTION.
    """

    kind: str
    order: AccountOrder
    status: str
    filled: int
    notional: int
    time_ms: int
    fill: OrderFill | None = None
    cancel_id: str | None = None
    former_id: str | None = None


@cython.cclass
class OrdersOfOne:
    """The orders of one account that are known; ``ended`` are those in the order they ended in."""

    def __init__(self) -> None:
        self.orders: dict[int, AccountOrder] = {}
        self.open: dict[int, AccountOrder] = {}
        self.ended: deque[AccountOrder] = deque()
        self._names: dict[str, dict[str, AccountOrder]] = {}

    def named(self, security: str) -> dict[str, AccountOrder]:
        """Return the newest orders in a security by their client order ids."""
        names = self._names.get(security)
        if names is None:
            names = self._names[security] = {}
        return names


@cython.cclass
class AccountOrders:
    """All that is known of accounts' orders: by user, by id and by client order id.

    `is_heard` says whether anybody is told of a user's orders.
    """

    def __init__(
        self, symbols: Symbols, recovered: Recovered, is_heard: Callable[[str], bool]
    ) -> None:
        self._symbols = symbols
        self._is_heard = is_heard
        self._of: dict[str, OrdersOfOne] = {}
        self._cancel_ids: dict[str, str] = {}
        self.prevented = PreventedMatches()
        for gone in recovered.client_orders:
            if is_account(gone.order.user_id):
                self._recall(gone.order, gone.remaining, gone.notional, gone.reason, gone.ended_ms)
        for past in recovered.open_orders:
            if is_account(past.order.user_id):
                known = self._recall(past.order, past.remaining, past.notional, None, None)
                if known is not None:
                    known.is_working = not past.held

    def name_cancel(self, order_uuid: str, cancel_id: str) -> None:
        """Remember what a client calls the cancel that it has asked for."""
        self._cancel_ids[order_uuid] = cancel_id

    def open_of(self, user_id: str, symbol: Symbol | None = None) -> list[AccountOrder]:
        """Return the open orders of a user, oldest first, perhaps only of one symbol."""
        of_user = self._of.get(user_id)
        found = () if of_user is None else of_user.open.values()
        return sorted(
            (known for known in found if symbol in (None, known.symbol)),
            key=lambda known: (known.order.time_ms, known.order_id),
        )

    def all_of(self, user_id: str, symbol: Symbol) -> list[AccountOrder]:
        """Return all orders of a user in a symbol that are known, in the order of their ids."""
        of_user = self._of.get(user_id)
        found = () if of_user is None else of_user.orders.values()
        return sorted((k for k in found if k.symbol is symbol), key=lambda k: k.order.seq)

    def by_id(self, user_id: str, order_id: int) -> AccountOrder | None:
        """Return the user's order with this id, if it is known."""
        of_user = self._of.get(user_id)
        return None if of_user is None else of_user.orders.get(order_id)

    def by_name(self, user_id: str, symbol: Symbol, name: str) -> AccountOrder | None:
        """Return the newest order of a user with this client order id, if it is known."""
        of_user = self._of.get(user_id)
        return None if of_user is None else of_user.named(symbol.security).get(name)

    def as_placed(self, report: OrderReport) -> AccountOrder:
        """Return an order as the reply to its placing tells it, whatever has happened since."""
        known = self._known(report.order)
        assert known is not None, "its batch has told of it"
        order = report.order
        if _is_as_placed(known, report):
            return known
        ended_ms = order.time_ms if report.status in ("filled", "cancelled") else None
        placed = recalled(
            known.symbol, order, report.remaining, report.notional, report.reason, ended_ms
        )
        placed.fills = known.fills
        if placed.prevented:
            placed.prevented_match = known.prevented_match
        placed.is_working = report.status != "untriggered"
        return placed

    def follow(self, events: Sequence[OrderEvent]) -> list[OrderUpdate]:
        """Follow the order events of a batch; return what happened to orders of those who hear."""
        updates = []
        for event in events:
            if isinstance(event, OrderFilled):
                for order, is_maker in ((event.taker, False), (event.maker, True)):
                    update = self._filled(event, order, is_maker)
                    if update is not None:
                        updates.append(update)
            elif not isinstance(event, OrderRested):  # its acceptance has been told
                update = self._followed(event)
                if update is not None:
                    updates.append(update)
        return updates

    def _followed(
        self, event: OrderAccepted | OrderHeld | OrderTriggered | OrderAmended | OrderCancelled
    ) -> OrderUpdate | None:
        order = event.order
        if not is_account(order.user_id):
            return None
        if isinstance(event, OrderAccepted):
            return self._accepted(order)
        known = self._known(order)
        return None if known is None else self._changed(known, event)

    def _accepted(self, order: Order) -> OrderUpdate | None:
        symbol = self._symbols.by_security.get(order.instrument.security)
        if symbol is None:
            return None
        known = AccountOrder(order, symbol, "NEW", 0, 0, order.time_ms)
        self._note(known)
        self.prevented.enters(known)
        return self._update("NEW", known)

    def _filled(self, event: OrderFilled, order: Order, is_maker: bool) -> OrderUpdate | None:
        known = self._known(order) if is_account(order.user_id) else None
        if known is None:
            return None
        known.order = order
        known.filled += event.quantity
        known.notional += _notional(event.price, event.quantity)
        known.status = "FILLED" if known.filled == order.quantity else "PARTIALLY_FILLED"
        known.updated_ms = event.time_ms
        fill = OrderFill(event.fill_id, event.price, event.quantity, event.time_ms, is_maker)
        known.fills.append(fill)
        self._settle(known)
        return self._update("TRADE", known, fill)

    def _changed(
        self, known: AccountOrder, event: OrderHeld | OrderTriggered | OrderAmended | OrderCancelled
    ) -> OrderUpdate | None:
        known.order = event.order
        if isinstance(event, OrderCancelled):
            known.updated_ms = event.time_ms
            update = self._cancelled(known, event)
            self._settle(known)
            return update
        if isinstance(event, OrderHeld):
            known.is_working = False
            return None
        known.updated_ms = event.time_ms
        if isinstance(event, OrderTriggered):
            known.is_working = True
            self.prevented.enters(known)
            return self._update("NEW", known)
        self._renamed(known, event)
        if event.cause == "user":
            self.prevented.enters(known)
        return self._update("REPLACED", known, None, None, event.before.client_order_id)

    def _update(
        self,
        kind: str,
        known: AccountOrder,
        fill: OrderFill | None = None,
        cancel_id: str | None = None,
        former_id: str | None = None,
    ) -> OrderUpdate | None:
        """Return what is told of an order now; None: nobody hears of it."""
        if not self._is_heard(known.order.user_id):
            return None
        return OrderUpdate(
            kind,
            known,
            known.status,
            known.filled,
            known.notional,
            known.updated_ms,
            fill,
            cancel_id,
            former_id,
        )

    def _renamed(self, known: AccountOrder, event: OrderAmended) -> None:
        """Note that an order has changed, and perhaps what it is called now."""
        known.amendment = event
        names = self._of[known.order.user_id].named(known.order.instrument.security)
        before = event.before.client_order_id or ""
        if names.get(before) is known:
            del names[before]
        names[known.client_order_id] = known

    def _cancelled(self, known: AccountOrder, event: OrderCancelled) -> OrderUpdate | None:
        reason = event.reason
        cancel_id = self._cancel_ids.pop(known.order.id, None)
        if reason == "self_trade":
            own = self.open_of(known.order.user_id, known.symbol)
            known.prevented_match = self.prevented.expired(known, event, own)
            known.status, known.prevented = "EXPIRED_IN_MATCH", event.quantity
            return self._update("TRADE_PREVENTION", known)
        if reason in _ENDED_UNASKED:
            known.status, known.expiry_reason = "EXPIRED", EXPIRY.get(reason)
            return self._update("EXPIRED", known)
        known.status = "CANCELED"
        return self._update("CANCELED", known, None, cancel_id)

    def _known(self, order: Order) -> AccountOrder | None:
        symbol = self._symbols.by_security.get(order.instrument.security)
        if symbol is None:
            return None
        return self.by_id(order.user_id, symbol.order_id(order.seq))

    def _recall(
        self,
        order: Order,
        remaining: int,
        notional: int,
        reason: str | None,
        ended_ms: int | None,
    ) -> AccountOrder | None:
        """Note an order of the past."""
        symbol = self._symbols.by_security.get(order.instrument.security)
        if symbol is None:
            return None
        known = recalled(symbol, order, remaining, notional, reason, ended_ms)
        self._note(known)
        self._settle(known)
        return known

    def _note(self, known: AccountOrder) -> None:
        order, order_id = known.order, known.symbol.order_id(known.order.seq)
        of_user = self._of.get(order.user_id)
        if of_user is None:
            of_user = self._of[order.user_id] = OrdersOfOne()
        of_user.orders[order_id] = of_user.open[order_id] = known
        of_user.named(order.instrument.security)[known.client_order_id] = known

    def _settle(self, known: AccountOrder) -> None:
        """Let an order that has ended be one of the ended ones; the oldest make room."""
        if known.status in _OPEN:
            return
        if self._cancel_ids:
            self._cancel_ids.pop(known.order.id, None)
        of_user = self._of[known.order.user_id]
        if of_user.open.pop(known.order_id, None) is None:  # it is one of them already
            return
        of_user.ended.append(known)
        if len(of_user.ended) > ENDED_MAX:
            oldest = of_user.ended.popleft()
            del of_user.orders[oldest.order_id]
            names = of_user.named(oldest.order.instrument.security)
            if names.get(oldest.client_order_id) is oldest:
                del names[oldest.client_order_id]


def _is_as_placed(known: AccountOrder, report: OrderReport) -> bool:
    """Return whether an open order still is as its reply tells it: nothing has happened since."""
    order = report.order
    return (
        known.status in _OPEN
        and known.order is order
        and known.filled == order.quantity - report.remaining
        and known.updated_ms == order.time_ms
        and known.is_working == (report.status != "untriggered")
    )


def recalled(
    symbol: Symbol,
    order: Order,
    remaining: int,
    notional: int,
    reason: str | None,
    ended_ms: int | None,
) -> AccountOrder:
    """Return an order as the database tells it; without `ended_ms` it is open."""
    filled = order.quantity - remaining
    status, expiry, prevented = "PARTIALLY_FILLED" if filled else "NEW", None, 0
    if ended_ms is not None and reason is None:
        status = "FILLED"
    elif reason == "self_trade":
        status, prevented = "EXPIRED_IN_MATCH", remaining
    elif reason in _ENDED_UNASKED:
        status, expiry = "EXPIRED", EXPIRY.get(reason or "")
    elif reason is not None:
        status = "CANCELED"
    updated_ms = order.time_ms if ended_ms is None else ended_ms
    return AccountOrder(order, symbol, status, filled, notional, updated_ms, prevented, expiry)


def _notional(price: int, quantity: int) -> int:
    """Return a product that may be larger than both."""
    return price * quantity
