"""What accounts do: place, ask for, change and cancel orders."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from typing import Any, cast

import cython
import msgspec

from fastbook_server.dialects.binance.calls import Call, Caller, Offer, awaited
from fastbook_server.dialects.binance.order_answers import cancelled, placed
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
from fastbook_server.dialects.binance.replies import Replies, WaitingReply
from fastbook_server.dialects.binance.symbols import ORDER_TYPES, SELF_TRADE, Symbol, Symbols
from fastbook_server.values.events import AllDeleted, OrderReport
from fastbook_wire.commands import Add, Delete, DeleteAll, NewOrder
from fastbook_wire.words import ExecType, SelfTradeName, TimeInForceName

ID_CHARACTERS = 22
_PAGE_BYTES = 33 * 128
"""For 256 ids, each of 132 random bits."""
_SIDES = ("BUY", "SELL")
_TIMES_IN_FORCE = {"GTC": "gtc", "IOC": "ioc", "FOK": "fok"}
_EXEC_TYPES = {
    "LIMIT": "limit",
    "LIMIT_MAKER": "limit",
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


_ids: list[str] = []


def new_client_id() -> str:
    """Return an id of 22 characters, such as the venue makes for who sends none."""
    if not _ids:  # the system is asked for random bytes by the page
        page = base64.urlsafe_b64encode(secrets.token_bytes(_PAGE_BYTES)).decode()
        starts = range(0, len(page) - ID_CHARACTERS + 1, ID_CHARACTERS)
        _ids.extend([page[start : start + ID_CHARACTERS] for start in starts])
    return _ids.pop()


def parsed_order(symbol: Symbol, params: Parameters) -> NewOrder:
    """Return the order that parameters describe, every number exact.

    Raises:
        DialectRefusal: a parameter is missing, malformed, off its grid, or not for this type.
    """
    side = params.one_of("side", _SIDES, "", -1117, "Invalid side.")
    kind = params.one_of("type", ORDER_TYPES, "", -1116, "Invalid orderType.")
    if params.has("trailingDelta") or params.has("pegPriceType"):  # it would be another order
        raise DialectRefusal(-1020, "This operation is not supported.")
    client_order_id = params.client_id("newClientOrderId") or new_client_id()
    self_trade = SELF_TRADE[params.one_of("selfTradePreventionMode", SELF_TRADE, "NONE")]
    time_in_force = _time_in_force(kind, params)
    price_ = trigger_price = total = amount = display = None
    scale = symbol.instrument.price
    if kind not in _NEVER_REST:
        price_ = scale.number(symbol.ticks("price", params.text("price")))
    elif params.has("price"):
        raise unwanted("price")
    if kind in _TRIGGERED:
        trigger_price = scale.number(symbol.ticks("stopPrice", params.text("stopPrice")))
    elif params.has("stopPrice"):
        raise unwanted("stopPrice")
    quote = params.optional("quoteOrderQty")
    if quote is not None:
        total = _total(kind, symbol, params, quote)
    else:
        name = "MARKET_LOT_SIZE" if kind in _NEVER_REST else "LOT_SIZE"
        lots = symbol.lots("quantity", params.text("quantity"), name)
        amount = symbol.instrument.amount.number(lots)
        iceberg = params.optional("icebergQty")
        if iceberg is not None:
            display = _shown(kind, symbol, lots, iceberg, time_in_force)
    new = NewOrder(
        type="bid" if side == "BUY" else "ask",
        exec_type=cast("ExecType", _EXEC_TYPES[kind]),
        amount=amount,
        price=price_,
        security=symbol.instrument.security,
        time_in_force=cast("TimeInForceName | None", time_in_force),
        client_order_id=client_order_id,
        self_trade=cast("SelfTradeName", self_trade),
    )
    if kind != "LIMIT":
        new.total, new.trigger_price = total, trigger_price
        new.post_only = kind == "LIMIT_MAKER"
    if display is not None:
        new.display = display
    return new


def _total(kind: str, symbol: Symbol, params: Parameters, quote: str) -> float:
    """Return what an order is to trade for at most; only market orders may say so."""
    if kind != "MARKET":
        raise unwanted("quoteOrderQty")
    if params.has("quantity"):
        raise DialectRefusal(-1128, "Combination of optional parameters invalid.")
    return symbol.total("quoteOrderQty", quote)


def _shown(
    kind: str, symbol: Symbol, lots: int, iceberg: str, time_in_force: str | None
) -> float | None:
    """Return how much of an order shows; None: all of it."""
    if kind in _NEVER_REST:
        raise unwanted("icebergQty")
    shown = symbol.lots("icebergQty", iceberg)
    if time_in_force not in (None, "gtc"):
        raise DialectRefusal(-1013, "Invalid timeInForce for iceberg order.")
    if shown >= lots:
        return None
    if shown * 100 < lots:
        raise filtered("ICEBERG_PARTS")
    return symbol.instrument.amount.number(shown)


def _time_in_force(kind: str, params: Parameters) -> str | None:
    if kind == "LIMIT_MAKER" or kind in _NEVER_REST:
        if params.has("timeInForce"):
            raise unwanted("timeInForce")
        return None
    given = params.one_of("timeInForce", _TIMES_IN_FORCE, "", -1115, "Invalid timeInForce.")
    return _TIMES_IN_FORCE[given]


@cython.cclass
class PlacedReply(WaitingReply):
    """Who is told of an order that has been placed, and how much: ACK, RESULT or FULL."""

    def __init__(self, user_id: str, caller: Caller, orders: AccountOrders, response: str) -> None:
        self.user_id = user_id
        self.caller = caller
        self._orders = orders
        self._response = response

    def read(self, reply: OrderReport) -> bytes:
        """Return what the client is told of the order."""
        return placed(self._orders.as_placed(reply), self._response)


@cython.cclass
class CancelledReply(WaitingReply):
    """Who is told of an order that has been cancelled, by a command with an id."""

    def __init__(self, user_id: str, caller: Caller, known: AccountOrder, cancel_id: str) -> None:
        self.user_id = user_id
        self.caller = caller
        self._known = known
        self._cancel_id = cancel_id

    def read(self, reply: OrderReport) -> bytes:  # noqa: ARG002 (the order says it all)
        """Return what the client is told of the order."""
        return cancelled(self._known, self._cancel_id)


@cython.cclass
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
                *("POST", "order", "order.place", 1, awaited(self.place)),
                signed=True,
                is_order=True,
                places=True,
                begins=self.place,
            ),
            Offer("POST", "order/test", "order.test", 1, self.test, signed=True),
            Offer(
                *("DELETE", "order", "order.cancel", 1, awaited(self.cancel)),
                signed=True,
                is_order=True,
                begins=self.cancel,
            ),
            Offer(
                *("DELETE", "openOrders", "openOrders.cancelAll", 1, self.cancel_all),
                signed=True,
                is_order=True,
            ),
        ]

    def place(self, call: Call, caller: Caller) -> None:
        """Place an order; the answer is its state after immediate matching."""
        params = call.params
        symbol = self._symbols[params.text("symbol")]
        new = self.new_order(symbol, params)
        waiting = PlacedReply(call.user_id, caller, self._orders, response_type(params))
        self._replies.begin(waiting, Add(order=new), True)

    def new_order(self, symbol: Symbol, params: Parameters) -> NewOrder:
        """Return the order that parameters describe.

        Raises:
            DialectRefusal: as `parsed_order`, or the last price would trigger it at once.
        """
        new = parsed_order(symbol, params)
        last = self._last_price(symbol.security) if params.has("stopPrice") else None
        if last is not None:
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

    def cancel(self, call: Call, caller: Caller) -> None:
        """Cancel an open order; the answer is its state then."""
        params = call.params
        symbol = self._symbols[params.text("symbol")]
        known = self.to_cancel(call, symbol, params)
        cancel_id = params.client_id("newClientOrderId") or new_client_id()
        self._orders.name_cancel(known.order.id, cancel_id)
        waiting = CancelledReply(call.user_id, caller, known, cancel_id)
        self._replies.begin(waiting, Delete(id=known.order.id), False)

    def to_cancel(
        self, call: Call, symbol: Symbol, params: Parameters, prefix: str = ""
    ) -> AccountOrder:
        """Return the open order that a cancel names; DialectRefusal if there is none, or not so."""
        known = self.named(call, symbol, params, prefix)
        if known is None or not known.is_open:
            raise DialectRefusal(CANCEL_REFUSED, UNKNOWN_ORDER)
        name, text = "cancelRestrictions", "Invalid cancelRestrictions."
        restriction = params.one_of(name, _RESTRICTIONS, "-", -1145, text)
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

    async def cancel_all(self, call: Call) -> list[msgspec.Raw]:
        """Cancel all open orders in a symbol."""
        symbol = self._symbols[call.params.text("symbol")]
        known = self._orders.open_of(call.user_id, symbol)
        if not known:
            raise DialectRefusal(CANCEL_REFUSED, UNKNOWN_ORDER)

        def read(_: AllDeleted) -> list[msgspec.Raw]:
            ended = [k for k in known if k.status == "CANCELED"]
            return [msgspec.Raw(cancelled(k, new_client_id())) for k in ended]

        command = DeleteAll(security=symbol.security)
        return cast("list[msgspec.Raw]", await self._replies.ask(call.user_id, command, read))


def check_names(known: AccountOrder, own: str | None) -> None:
    """Check that an order has this client order id, if one is given; refuse otherwise."""
    if own is not None and known.client_order_id != own:
        raise DialectRefusal(-2039, "Client order ID is not correct for this order ID.")


def response_type(params: Parameters) -> str:
    """Return how much a client wants to know of its new order."""
    default = "FULL" if params.optional("type") in ("LIMIT", "MARKET") else "ACK"
    return params.one_of("newOrderRespType", _RESPONSES, default)
