"""Reports of orders, fills and trades: JSON written straight from the records.

These are the frames that the server sends most. The types of `fastbook_wire.frames` describe them
(``OrderFrame``, ``OrdersFrame``, ``Fill``, ``Trades``), and a test compares the bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fastbook_server.gateway._json import Writer
from fastbook_server.values.events import FillReport, Order, OrderReport, OrdersListed, Traded

ORDERS_PER_FRAME = 500
"""Orders in a page of a list: less than a millisecond's work, and far less than 1 MB."""

ORDER_BYTES = 250
"""About how large an order is on the wire."""

_out = Writer()


def payload(event: OrderReport | FillReport) -> bytes:
    """Return the payload of a report's frame."""
    _write(event)
    return _out.payload()


def frame(event: OrderReport | FillReport) -> bytes:
    """Return a report as a whole text frame."""
    _write(event)
    return _out.frame()


def orders(listed: OrdersListed) -> Iterator[bytes]:
    """Return the payloads of a list's pages, each encoded when it is asked for."""
    for start in range(0, max(len(listed.reports), 1), ORDERS_PER_FRAME):
        yield _page(listed, start)


def _page(listed: OrdersListed, start: int) -> bytes:
    count = len(listed.reports)
    end = min(start + ORDERS_PER_FRAME, count)
    _out.clear()
    _out.put(b'{"event":"orders"')
    if listed.ref is not None:
        _out.any(b',"ref":', listed.ref)
    _out.put(b',"orders":[')
    for at in range(start, end):
        report = listed.reports[at]
        if at > start:
            _out.put(b",")
        waits = report.status == "untriggered"
        _write_order(report.order, report.remaining, report.notional, waits)
    _out.put(b'],"more":true}' if end < count else b"]}")
    return _out.payload()


def trades(security: str, seq: int, prev_seq: int | None, trades_: Sequence[Traded]) -> bytes:
    """Return the payload of a ``trades`` frame."""
    _out.clear()
    _out.text(b'{"event":"trades","security":', security)
    _out.integer(b',"seq":', seq)
    _out.any(b',"prevSeq":', prev_seq)
    _out.put(b',"trades":')
    before = b"["
    for trade in trades_:
        _out.put(before)
        _write_trade(trade)
        before = b","
    _out.put(b"]}" if trades_ else b"[]}")
    return _out.payload()


def _write(event: OrderReport | FillReport) -> None:
    _out.clear()
    if isinstance(event, OrderReport):
        _write_report(event)
    else:
        _write_fill(event)


def _write_report(report: OrderReport) -> None:
    _out.put(b'{"event":"order"')
    if report.ref is not None:
        _out.any(b',"ref":', report.ref)
    _out.text(b',"status":', report.status)
    if report.reason is not None:
        _out.text(b',"reason":', report.reason)
    if report.last_price is not None and report.last_quantity is not None:
        instrument = report.order.instrument
        _out.number(b',"lastPrice":', instrument.price.number(report.last_price))
        _out.number(b',"lastAmount":', instrument.amount.number(report.last_quantity))
    _out.put(b',"order":')
    waits = report.status == "untriggered"
    _write_order(report.order, report.remaining, report.notional, waits)
    _out.put(b"}")


def _write_fill(report: FillReport) -> None:
    order = report.order
    price, amount = order.instrument.price, order.instrument.amount
    _out.integer(b'{"event":"fill","fillId":', report.fill_id)
    _out.integer(b',"seq":', report.seq)
    _out.integer(b',"time":', report.time_ms)
    _out.text(b',"type":', order.side)
    _out.number(b',"price":', price.number(report.price))
    _out.number(b',"amount":', amount.number(report.quantity))
    _out.text(b',"orderId":', order.id)
    _out.text(b',"role":', report.role)
    _out.text(b',"security":', order.instrument.security)
    _out.number(b',"filled":', amount.number(report.filled))
    _out.number(b',"remaining":', amount.number(order.quantity - report.filled))
    if order.client_order_id is not None:
        _out.text(b',"clientOrderId":', order.client_order_id)
    _out.put(b"}")


def _write_order(order: Order, remaining: int, notional: int, waits: bool) -> None:
    """Write an order; `notional` is that of its fills."""
    instrument, filled = order.instrument, order.quantity - remaining
    price, amount = instrument.price, instrument.amount
    _out.text(b'{"id":', order.id)
    _out.integer(b',"time":', order.time_ms)
    _out.text(b',"userId":', order.user_id)
    _out.text(b',"security":', instrument.security)
    _out.text(b',"type":', order.side)
    _out.text(b',"execType":', order.exec_type)
    if order.price is None:
        _out.put(b',"price":null')
    else:
        _out.number(b',"price":', price.number(order.price))
    _out.number(b',"amount":', amount.number(order.quantity))
    _out.number(b',"filled":', amount.number(filled))
    _out.number(b',"remaining":', amount.number(remaining))
    if filled:
        _out.number(b',"avgPrice":', instrument.average(notional, filled))
    else:
        _out.put(b',"avgPrice":null')
    if order.client_order_id is not None:
        _out.text(b',"clientOrderId":', order.client_order_id)
    if order.trigger_price is not None:
        _out.number(b',"triggerPrice":', price.number(order.trigger_price))
    if order.display:
        _out.number(b',"display":', amount.number(order.display))
    if order.expire_ms is not None:
        _out.integer(b',"expireTime":', order.expire_ms)
    if order.budget is not None:
        _out.number(b',"total":', instrument.total(order.budget))
    _out.put(b',"waits":true}' if waits else b"}")


def _write_trade(trade: Traded) -> None:
    order = trade.order
    instrument = order.instrument
    _out.text(b'{"id":', trade.id)
    _out.integer(b',"seq":', trade.seq)
    _out.text(b',"userId":', order.user_id)
    _out.text(b',"security":', instrument.security)
    _out.text(b',"type":', order.side)
    _out.integer(b',"time":', trade.time_ms)
    _out.number(b',"price":', instrument.average(trade.notional, trade.quantity))
    _out.number(b',"amount":', instrument.amount.number(trade.quantity))
    _out.number(b',"total":', instrument.total(trade.notional))
    _out.put(b"}")
