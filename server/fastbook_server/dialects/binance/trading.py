"""What accounts do: place, ask for, change and cancel orders."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, cast

from fastbook_server.dialects.binance.calls import Call, Offer
from fastbook_server.dialects.binance.orders import AccountOrder, AccountOrders
from fastbook_server.dialects.binance.parameters import Parameters
from fastbook_server.dialects.binance.refused import (
    CANCEL_REFUSED,
    ORDER_REFUSED,
    UNKNOWN_ORDER,
    DialectRefusal,
    filtered,
    unwanted,
)
from fastbook_server.dialects.binance.replies import Replies
from fastbook_server.dialects.binance.symbols import ORDER_TYPES, SELF_TRADE, Symbol, Symbols
from fastbook_server.values.events import AllDeleted, OrderReport
from fastbook_wire.commands import Add, Delete, DeleteAll, NewOrder
from fastbook_wire.words import SelfTradeName, TimeInForceName

_EXEC_TYPES = {
    "MARKET": "market",
    "STOP_LOSS": "stop",
    "STOP_LOSS_LIMIT": "stopLimit",
    "TAKE_PROFIT": "takeProfit",
    "TAKE_PROFIT_LIMIT": "takeProfitLimit",
}
_NEVER_REST = ("MARKET", "STOP_LOSS", "TAKE_PROFIT")
_TRIGGERED = ("STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT")
_RESPONSES = ("ACK", "RESULT", "FULL")
_RESTRICTIONS = {"ONLY_NEW": "NEW", "ONLY_PARTIALLY_FILLED": "PARTIALLY_FILLED"}


def new_client_id() -> str:
    """Return an id of 22 characters, such as the venue makes for who sends none."""
    return secrets.token_urlsafe(16)


def parsed_order(symbol: Symbol, params: Parameters) -> NewOrder:
    """Return the order that parameters describe, every number exact.

    Raises:
        DialectRefusal: a parameter is missing, malformed, off its grid, or not for this type.
    """
    side = params.one_of("side", ("BUY", "SELL"), code=-1117, msg="Invalid side.")
    kind = params.one_of("type", ORDER_TYPES, code=-1116, msg="Invalid orderType.")
    given: dict[str, Any] = {
        "type": "bid" if side == "BUY" else "ask",
        "exec_type": _EXEC_TYPES.get(kind, "limit"),
        "security": symbol.security,
        "client_order_id": params.client_id("newClientOrderId") or new_client_id(),
        "self_trade": _self_trade(params),
        "post_only": kind == "LIMIT_MAKER",
    }
    instrument = symbol.instrument
    given["time_in_force"] = _time_in_force(kind, params)
    if kind not in _NEVER_REST:
        given["price"] = instrument.price.number(symbol.ticks("price", params.text("price")))
    elif "price" in params:
        raise unwanted("price")
    if kind in _TRIGGERED:
        trigger = symbol.ticks("stopPrice", params.text("stopPrice"))
        given["trigger_price"] = instrument.price.number(trigger)
    elif "stopPrice" in params:
        raise unwanted("stopPrice")
    _set_quantity(given, kind, symbol, params)
    return NewOrder(**given)


def _set_quantity(given: dict[str, Any], kind: str, symbol: Symbol, params: Parameters) -> None:
    """Set how much is traded, and how much of it shows."""
    quote, amount = params.optional("quoteOrderQty"), symbol.instrument.amount
    if quote is not None and kind != "MARKET":
        raise unwanted("quoteOrderQty")
    if quote is not None and "quantity" in params:
        raise DialectRefusal(-1128, "Combination of optional parameters invalid.")
    if quote is not None:
        given["total"] = symbol.total("quoteOrderQty", quote)
        return
    name = "MARKET_LOT_SIZE" if kind in _NEVER_REST else "LOT_SIZE"
    lots = symbol.lots("quantity", params.text("quantity"), name)
    given["amount"] = amount.number(lots)
    iceberg = params.optional("icebergQty")
    if iceberg is None:
        return
    if kind in _NEVER_REST:
        raise unwanted("icebergQty")
    shown = symbol.lots("icebergQty", iceberg)
    if given["time_in_force"] not in (None, "gtc"):
        raise DialectRefusal(-1013, "Invalid timeInForce for iceberg order.")
    if shown < lots:
        if shown * 100 < lots:
            raise filtered("ICEBERG_PARTS")
        given["display"] = amount.number(shown)


def _self_trade(params: Parameters) -> SelfTradeName:
    mode = params.one_of("selfTradePreventionMode", SELF_TRADE, "NONE")
    return cast("SelfTradeName", SELF_TRADE[mode])


def _time_in_force(kind: str, params: Parameters) -> TimeInForceName | None:
    if kind == "LIMIT_MAKER" or kind in _NEVER_REST:
        if "timeInForce" in params:
            raise unwanted("timeInForce")
        return None
    given = params.one_of(
        "timeInForce", ("GTC", "IOC", "FOK"), code=-1115, msg="Invalid timeInForce."
    )
    return cast("TimeInForceName", given.lower())


class TradingFunctions:
    """Orders of accounts, from the command to the reply."""

    def __init__(
        self,
        symbols: Symbols,
        orders: AccountOrders,
        replies: Replies,
        last_price: Callable[[str], int | None],
    ) -> None:
        self._symbols = symbols
        self._last_price = last_price
        self._orders = orders
        self._replies = replies

    def entries(self) -> list[Offer]:
        """Return the functions and where they are found."""
        return [
            Offer(
                *("POST", "order", "order.place", 1, self.place),
                signed=True,
                is_order=True,
                places=True,
            ),
            Offer("POST", "order/test", "order.test", 1, self.test, signed=True),
            Offer("DELETE", "order", "order.cancel", 1, self.cancel, signed=True, is_order=True),
            Offer(
                *("DELETE", "openOrders", "openOrders.cancelAll", 1, self.cancel_all),
                signed=True,
                is_order=True,
            ),
        ]

    async def place(self, call: Call) -> dict[str, Any]:
        """Place an order; return its state after immediate matching."""
        params = call.params
        symbol = self._symbols[params.text("symbol")]
        new = self.new_order(symbol, params)
        response = response_type(params)

        def read(report: OrderReport) -> dict[str, Any]:
            return answer(self._orders.as_placed(report), response)

        return cast("dict[str, Any]", await self._replies.ask(call.user_id, Add(order=new), read))

    def new_order(self, symbol: Symbol, params: Parameters) -> NewOrder:
        """Return the order that parameters describe.

        Raises:
            DialectRefusal: as `parsed_order`, or the last price would trigger it at once.
        """
        new = parsed_order(symbol, params)
        last = self._last_price(symbol.security)
        if new.trigger_price is not None and last is not None:
            trigger = symbol.ticks("stopPrice", params.text("stopPrice"))
            stops = new.exec_type in ("stop", "stopLimit")
            waits_for_rise = (new.type == "bid") is stops
            if trigger <= last if waits_for_rise else trigger >= last:
                raise DialectRefusal(ORDER_REFUSED, "Order would trigger immediately.")
        return new

    async def test(self, call: Call) -> dict[str, Any]:
        """Check an order without placing it."""
        self.new_order(self._symbols[call.params.text("symbol")], call.params)
        response_type(call.params)
        return {}

    async def cancel(self, call: Call) -> dict[str, Any]:
        """Cancel an open order."""
        params = call.params
        symbol = self._symbols[params.text("symbol")]
        known = self.to_cancel(call, symbol, params)
        cancel_id = params.client_id("newClientOrderId") or new_client_id()
        self._orders.name_cancel(known.order.id, cancel_id)
        delete = Delete(id=known.order.id)
        reply = await self._replies.ask(call.user_id, delete, lambda _: cancelled(known, cancel_id))
        return cast("dict[str, Any]", reply)

    def to_cancel(
        self, call: Call, symbol: Symbol, params: Parameters, prefix: str = ""
    ) -> AccountOrder:
        """Return the open order that a cancel names; DialectRefusal if there is none, or not so."""
        known = self.named(call, symbol, params, prefix)
        if known is None or not known.is_open:
            raise DialectRefusal(CANCEL_REFUSED, UNKNOWN_ORDER)
        name, text = "cancelRestrictions", "Invalid cancelRestrictions."
        restriction = params.one_of(name, _RESTRICTIONS, "-", code=-1145, msg=text)
        if known.status != _RESTRICTIONS.get(restriction, known.status):
            raise DialectRefusal(
                CANCEL_REFUSED, "Order was not canceled due to cancel restrictions."
            )
        return known

    def named(
        self, call: Call, symbol: Symbol, params: Parameters, prefix: str = ""
    ) -> AccountOrder | None:
        """Return the order that is named by its id, its client order id or both."""
        id_name, own_name = "orderId", "origClientOrderId"
        if prefix:
            id_name, own_name = f"{prefix}OrderId", f"{prefix}OrigClientOrderId"
        order_id, own = params.integer(id_name), params.optional(own_name)
        if order_id is None and own is None:
            text = f"Param '{own_name}' or '{id_name}' must be sent, but both were empty/null!"
            raise DialectRefusal(-1102, text)
        if order_id is None:
            return self._orders.by_name(call.user_id, symbol, own or "")
        known = self._orders.by_id(call.user_id, order_id)
        if known is None or known.symbol is not symbol:
            return None
        check_names(known, own)
        return known

    async def cancel_all(self, call: Call) -> list[dict[str, Any]]:
        """Cancel all open orders in a symbol."""
        symbol = self._symbols[call.params.text("symbol")]
        known = self._orders.open_of(call.user_id, symbol)
        if not known:
            raise DialectRefusal(CANCEL_REFUSED, UNKNOWN_ORDER)

        def read(_: AllDeleted) -> list[dict[str, Any]]:
            return [cancelled(k, new_client_id()) for k in known if k.status == "CANCELED"]

        command = DeleteAll(security=symbol.security)
        return cast("list[dict[str, Any]]", await self._replies.ask(call.user_id, command, read))


def check_names(known: AccountOrder, own: str | None) -> None:
    """Check that an order has this client order id, if one is given; refuse otherwise."""
    if own is not None and known.client_order_id != own:
        raise DialectRefusal(-2039, "Client order ID is not correct for this order ID.")


def response_type(params: Parameters) -> str:
    """Return how much a client wants to know of its new order."""
    default = "FULL" if params.optional("type") in ("LIMIT", "MARKET") else "ACK"
    return params.one_of("newOrderRespType", _RESPONSES, default)


def answer(placed: AccountOrder, response: str) -> dict[str, Any]:
    """Return the reply to a command that has placed an order."""
    if response == "FULL":
        return placed.full()
    result = placed.result()
    if response == "RESULT":
        return result
    names = ("symbol", "orderId", "orderListId", "clientOrderId", "transactTime")
    return {name: result[name] for name in names}


def cancelled(known: AccountOrder, cancel_id: str) -> dict[str, Any]:
    """Return the reply to a command that has cancelled an order."""
    return {
        "symbol": known.symbol.name,
        "origClientOrderId": known.client_order_id,
        "orderId": known.order_id,
        "orderListId": -1,
        "clientOrderId": cancel_id,
        "transactTime": known.updated_ms,
        **known.terms(),
    }
