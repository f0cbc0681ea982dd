"""What clients are told of orders: JSON written straight from what is known of them."""

from __future__ import annotations

import msgspec

from fastbook_server.dialects.binance.orders import AccountOrder
from fastbook_server.dialects.binance.symbols import SELF_TRADE
from fastbook_server.gateway._json import Writer
from fastbook_server.values.events import Order

_TYPES = {
    "stop": "STOP_LOSS",
    "stopLimit": "STOP_LOSS_LIMIT",
    "takeProfit": "TAKE_PROFIT",
    "takeProfitLimit": "TAKE_PROFIT_LIMIT",
}
_TIMES_IN_FORCE = {"gtc": "GTC", "gtt": "GTT", "ioc": "IOC", "fok": "FOK"}
_SELF_TRADE_NAMES = {ours: theirs for theirs, ours in SELF_TRADE.items()}


def order_type(order: Order) -> str:
    """Return what kind of order it is."""
    if order.exec_type == "limit":
        return "LIMIT_MAKER" if order.post_only else "LIMIT"
    return _TYPES.get(order.exec_type, "MARKET")


def time_in_force(order: Order) -> str:
    """Return an order's time in force; market orders are said to be GTC."""
    return _TIMES_IN_FORCE[order.time_in_force] if order.price is not None else "GTC"


def self_trade_mode(order: Order) -> str:
    """Return what becomes of an order that meets one of its owner."""
    return (
        "NONE" if order.self_trade == "allow" else _SELF_TRADE_NAMES.get(order.self_trade, "NONE")
    )


def placed(known: AccountOrder, response: str) -> bytes:
    """Return the answer, as JSON, to a command that has placed an order: ACK, RESULT or FULL.

    The last has the fills that the order began with, in matching order.
    """
    order, symbol = known.order, known.symbol
    out = Writer()
    out.text(b'{"symbol":', symbol.name)
    out.integer(b',"orderId":', symbol.order_id(order.seq))
    out.text(b',"orderListId":-1,"clientOrderId":', known.client_order_id)
    out.integer(b',"transactTime":', known.updated_ms)
    if response != "ACK":
        _write_terms(out, known)
        out.integer(b',"workingTime":', order.time_ms if known.is_working else -1)
        if known.expiry_reason is not None:
            out.text(b',"expiryReason":', known.expiry_reason)
        if known.prevented:
            symbol.write_quantity(out, b',"preventedQuantity":', known.prevented)
        if known.prevented_match is not None:
            out.integer(b',"preventedMatchId":', known.prevented_match.id)
    if response == "FULL":
        _write_fills(out, known)
    out.put(b"}")
    return out.payload()


def cancelled(known: AccountOrder, cancel_id: str) -> bytes:
    """Return the answer, as JSON, to a command that has cancelled an order."""
    symbol = known.symbol
    out = Writer()
    out.text(b'{"symbol":', symbol.name)
    out.text(b',"origClientOrderId":', known.client_order_id)
    out.integer(b',"orderId":', symbol.order_id(known.order.seq))
    out.text(b',"orderListId":-1,"clientOrderId":', cancel_id)
    out.integer(b',"transactTime":', known.updated_ms)
    _write_terms(out, known)
    out.put(b"}")
    return out.payload()


def queried(known: AccountOrder) -> msgspec.Raw:
    """Return what a client is told of an order who asks for it."""
    order, symbol = known.order, known.symbol
    out = Writer()
    out.text(b'{"symbol":', symbol.name)
    out.integer(b',"orderId":', symbol.order_id(order.seq))
    out.text(b',"orderListId":-1,"clientOrderId":', known.client_order_id)
    _write_terms(out, known)
    symbol.write_price(out, b',"stopPrice":', order.trigger_price)
    symbol.write_quantity(out, b',"icebergQty":', order.display)
    out.integer(b',"time":', order.time_ms)
    out.integer(b',"updateTime":', known.updated_ms)
    out.put(b',"isWorking":true' if known.is_working else b',"isWorking":false')
    out.integer(b',"workingTime":', order.time_ms if known.is_working else -1)
    if known.expiry_reason is not None:
        out.text(b',"expiryReason":', known.expiry_reason)
    out.put(b"}")
    return msgspec.Raw(out.payload())


def _write_terms(out: Writer, known: AccountOrder) -> None:
    """Write an order's terms and how far it is filled."""
    order, symbol = known.order, known.symbol
    symbol.write_price(out, b',"price":', order.price)
    symbol.write_quantity(out, b',"origQty":', order.quantity)
    symbol.write_quantity(out, b',"executedQty":', known.filled)
    symbol.write_notional(out, b',"origQuoteOrderQty":', order.budget or 0)
    symbol.write_notional(out, b',"cummulativeQuoteQty":', known.notional)
    out.text(b',"status":', known.status)
    out.text(b',"timeInForce":', time_in_force(order))
    out.text(b',"type":', order_type(order))
    out.put(b',"side":"BUY"' if order.side == "bid" else b',"side":"SELL"')
    out.text(b',"selfTradePreventionMode":', self_trade_mode(order))


def _write_fills(out: Writer, known: AccountOrder) -> None:
    symbol = known.symbol
    received = symbol.base if known.order.side == "bid" else symbol.quote
    between = b""
    out.put(b',"fills":[')
    for fill in known.fills:
        if fill.is_maker:
            continue
        out.put(between)
        symbol.write_price(out, b'{"price":', fill.price)
        symbol.write_quantity(out, b',"qty":', fill.quantity)
        out.text(b',"commission":"0.00000000","commissionAsset":', received)
        out.integer(b',"tradeId":', fill.fill_id)
        out.put(b"}")
        between = b","
    out.put(b"]")
