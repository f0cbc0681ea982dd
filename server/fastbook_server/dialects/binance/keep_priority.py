"""Less of an order, which keeps its place in the queue; and how often that has happened to it."""

from __future__ import annotations

from typing import Any, cast

from fastbook_server.dialects.binance.calls import Call, Offer
from fastbook_server.dialects.binance.market import ROWS_MAX
from fastbook_server.dialects.binance.order_answers import (
    order_type,
    self_trade_mode,
    time_in_force,
)
from fastbook_server.dialects.binance.order_history import OrderHistory
from fastbook_server.dialects.binance.orders import AccountOrder
from fastbook_server.dialects.binance.refused import (
    CANCEL_REFUSED,
    UNKNOWN_ORDER,
    DialectRefusal,
    filtered,
)
from fastbook_server.dialects.binance.replies import Replies
from fastbook_server.dialects.binance.symbols import AMENDS_MAX, Symbol, Symbols
from fastbook_server.dialects.binance.trading import TradingFunctions, new_client_id
from fastbook_server.store import Amendment
from fastbook_server.values.events import Order
from fastbook_wire.commands import Amend

AMEND_REFUSED = -2038


class KeepPriority:
    """Reduces orders, and tells how they have been reduced."""

    def __init__(
        self,
        symbols: Symbols,
        replies: Replies,
        trading: TradingFunctions,
        history: OrderHistory,
    ) -> None:
        self._symbols = symbols
        self._replies = replies
        self._trading = trading
        self._history = history

    def entries(self) -> list[Offer]:
        """Return the functions and where they are found."""
        path, name = "order/amend/keepPriority", "order.amend.keepPriority"
        return [
            Offer("PUT", path, name, 4, self.amend, signed=True),
            Offer("GET", "order/amendments", "order.amendments", 4, self.amendments, signed=True),
        ]

    async def amend(self, call: Call) -> dict[str, Any]:
        """Reduce the quantity of an open order, filled lots included."""
        params = call.params
        symbol = self._symbols[params.text("symbol")]
        lots = symbol.lots("newQty", params.text("newQty"))
        name = params.client_id("newClientOrderId") or new_client_id()
        known = self._trading.named(call, symbol, params)
        if known is None or not known.is_open:
            raise DialectRefusal(AMEND_REFUSED, UNKNOWN_ORDER)
        check_reduces(known, lots, name)
        amount = symbol.instrument.amount.number(lots)
        command = Amend(id=known.order.id, amount=amount, new_client_order_id=name)
        former = known.client_order_id
        try:
            told = await self._replies.ask(
                call.user_id, command, lambda _: amended(known, former, name)
            )
        except DialectRefusal as refused:
            if refused.code == CANCEL_REFUSED:  # it has ended meanwhile
                raise DialectRefusal(AMEND_REFUSED, UNKNOWN_ORDER) from None
            raise
        return cast("dict[str, Any]", told)

    async def amendments(self, call: Call) -> list[dict[str, Any]]:
        """Return how an order has been changed, oldest first; of what is unknown, nothing."""
        params = call.params
        symbol = self._symbols[params.text("symbol")]
        params.text("orderId")
        limit, since = params.limit(500, ROWS_MAX), params.integer("fromExecutionId") or 0
        known = await self._history.find(call, symbol)
        if known is None:
            return []
        found = await self._history.amendments(known)
        told = [amendment(symbol, known, one) for one in found]
        return [one for one in told if one["executionId"] >= since][:limit]


def check_reduces(known: AccountOrder, lots: int, name: str) -> None:
    """Check that an order can have only so many lots, and this name; refuse otherwise."""
    order: Order = known.order
    if lots == order.quantity:
        text = "The requested action would change no state; rejecting"
        raise DialectRefusal(AMEND_REFUSED, text)
    if lots > order.quantity:
        text = "Order amend (quantity increase) is not supported."
        raise DialectRefusal(AMEND_REFUSED, text)
    if lots <= known.filled:
        raise DialectRefusal(AMEND_REFUSED, "Order amend (quantity) is invalid.")
    names = order.client_order_ids
    if name not in names and len(names) > AMENDS_MAX:
        raise filtered("MAX_NUM_ORDER_AMENDS")


def amended(known: AccountOrder, former: str, name: str) -> dict[str, Any]:
    """Return the reply to a command that has changed an order."""
    order, symbol, event = known.order, known.symbol, known.amendment
    told = {
        "symbol": symbol.name,
        "orderId": known.order_id,
        "orderListId": -1,
        "origClientOrderId": former,
        "clientOrderId": name,
        "price": symbol.price(order.price),
        "qty": symbol.quantity(order.quantity),
        "executedQty": symbol.quantity(known.filled),
        "preventedQty": symbol.quantity(known.prevented),
        "quoteOrderQty": symbol.notional(order.budget or 0),
        "cumulativeQuoteQty": symbol.notional(known.notional),
        "status": known.status,
        "timeInForce": time_in_force(order),
        "type": order_type(order),
        "side": "BUY" if order.side == "bid" else "SELL",
        "selfTradePreventionMode": self_trade_mode(order),
    }
    if known.is_working:
        told["workingTime"] = order.time_ms
    seq = order.seq if event is None else event.seq  # none: it has become what is filled
    return {
        "transactTime": known.updated_ms,
        "executionId": symbol.order_id(seq),
        "amendedOrder": told,
    }


def amendment(symbol: Symbol, known: AccountOrder, one: Amendment) -> dict[str, Any]:
    """Return a change of an order; its number grows with time, like those of orders."""
    return {
        "symbol": symbol.name,
        "orderId": known.order_id,
        "executionId": symbol.order_id(one.seq),
        "origClientOrderId": one.client_order_id_before,
        "newClientOrderId": one.client_order_id,
        "origQty": symbol.quantity(one.quantity_before),
        "newQty": symbol.quantity(one.quantity),
        "time": one.time_ms,
    }
