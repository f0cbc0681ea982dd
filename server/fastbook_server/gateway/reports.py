"""Reports of orders, fills and trades, and refusals: JSON written straight from the records.

These are the frames that the server sends most. The types of `fastbook_wire.frames` describe them
(``OrderFrame``, ``OrdersFrame``, ``Fill``, ``Trades``, ``Error``), and a test compares the bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fastbook_server.gateway._json import Writer
from fastbook_server.values.events import (
    CommandRefused,
    FillReport,
    Order,
    OrderReport,
    OrdersListed,
    Traded,
)
from fastbook_wire.words import Code

ORDERS_PER_FRAME = 500
"""Orders in a page of a list: less than a millisecond's work, and far less than 1 MB."""

ORDER_BYTES = 250
"""About how large an order is on the wire."""

NO_ROOM = "more orders come in than can be made durable: inbox_commands_max reached"
_NO_ROOM = f',"status":"rejected","code":"{Code.OVERLOADED}","message":"{NO_ROOM}"'.encode()

_CODES: dict[str, bytes] = {code: f'"{code}"'.encode() for code in Code}


def payload(event: OrderReport | FillReport | CommandRefused) -> bytes:
    """Return the payload of the frame of a report or a refusal."""
    return _written(event).payload()


def frame(event: OrderReport | FillReport | CommandRefused) -> bytes:
    """Return a report or a refusal as a whole text frame."""
    return _written(event).frame()


def no_room(ref: bytes, retry_ms: int) -> bytes:
    """Return the frame that refuses a new order, given its ``ref`` as JSON: there is no room."""
    out = Writer()
    out.put(b'{"event":"order","ref":')
    out.put(ref)
    out.put(_NO_ROOM)
    out.integer(b',"retryAfterMs":', retry_ms)
    out.put(b"}")
    return out.frame()


def orders(listed: OrdersListed) -> Iterator[bytes]:
    """Return the payloads of a list's pages, each encoded when it is asked for."""
    for start in range(0, max(len(listed.reports), 1), ORDERS_PER_FRAME):
        yield _page(listed, start)


def _page(listed: OrdersListed, start: int) -> bytes:
    end = start + ORDERS_PER_FRAME
    out = Writer()
    out.put(b'{"event":"orders"')
    if listed.ref is not None:
        out.any(b',"ref":', listed.ref)
    out.put(b',"orders":[')
    between = b""
    for report in listed.reports[start:end]:
        out.put(between)
        waits = report.status == "untriggered"
        _write_order(out, report.order, report.remaining, report.notional, waits)
        between = b","
    out.put(b'],"more":true}' if end < len(listed.reports) else b"]}")
    return out.payload()


def trades(security: str, seq: int, prev_seq: int | None, trades_: Sequence[Traded]) -> bytes:
    """Return the payload of a ``trades`` frame."""
    out = Writer()
    out.text(b'{"event":"trades","security":', security)
    out.integer(b',"seq":', seq)
    out.any(b',"prevSeq":', prev_seq)
    out.put(b',"trades":[')
    between = b""
    for trade in trades_:
        out.put(between)
        _write_trade(out, trade)
        between = b","
    out.put(b"]}")
    return out.payload()


def _written(event: OrderReport | FillReport | CommandRefused) -> Writer:
    out = Writer()
    if isinstance(event, OrderReport):
        _write_report(out, event)
    elif isinstance(event, FillReport):
        _write_fill(out, event)
    else:
        _write_refusal(out, event)
    return out


def _write_refusal(out: Writer, refused: CommandRefused) -> None:
    """Write a rejected ``order`` if it is about one, else an ``error``."""
    out.put(b'{"event":"order"' if refused.of_order else b'{"event":"error"')
    if refused.ref is not None:
        out.any(b',"ref":', refused.ref)
    out.put(b',"status":"rejected","code":' if refused.of_order else b',"code":')
    out.put(_CODES[refused.code])
    out.text(b',"message":', refused.message)
    if refused.retry_after_ms is not None:
        out.integer(b',"retryAfterMs":', refused.retry_after_ms)
    out.put(b"}")


def _write_report(out: Writer, report: OrderReport) -> None:
    out.put(b'{"event":"order"')
    if report.ref is not None:
        out.any(b',"ref":', report.ref)
    out.word(b',"status":', report.status)
    if report.reason is not None:
        out.word(b',"reason":', report.reason)
    if report.last_price is not None and report.last_quantity is not None:
        instrument = report.order.instrument
        out.number(b',"lastPrice":', instrument.price.number(report.last_price))
        out.number(b',"lastAmount":', instrument.amount.number(report.last_quantity))
    out.put(b',"order":')
    waits = report.status == "untriggered"
    _write_order(out, report.order, report.remaining, report.notional, waits)
    out.put(b"}")


def _write_fill(out: Writer, report: FillReport) -> None:
    order = report.order
    price, amount = order.instrument.price, order.instrument.amount
    out.integer(b'{"event":"fill","fillId":', report.fill_id)
    out.integer(b',"seq":', report.seq)
    out.integer(b',"time":', report.time_ms)
    out.word(b',"type":', order.side)
    out.number(b',"price":', price.number(report.price))
    out.number(b',"amount":', amount.number(report.quantity))
    out.text(b',"orderId":', order.id)
    out.word(b',"role":', report.role)
    out.text(b',"security":', order.instrument.security)
    out.number(b',"filled":', amount.number(report.filled))
    out.number(b',"remaining":', amount.number(order.quantity - report.filled))
    if order.client_order_id is not None:
        out.text(b',"clientOrderId":', order.client_order_id)
    out.put(b"}")


def _write_order(out: Writer, order: Order, remaining: int, notional: int, waits: bool) -> None:
    """Write an order; `notional` is that of its fills."""
    instrument, filled = order.instrument, order.quantity - remaining
    price, amount = instrument.price, instrument.amount
    out.text(b'{"id":', order.id)
    out.integer(b',"time":', order.time_ms)
    out.text(b',"userId":', order.user_id)
    out.text(b',"security":', instrument.security)
    out.word(b',"type":', order.side)
    out.word(b',"execType":', order.exec_type)
    if order.price is None:
        out.put(b',"price":null')
    else:
        out.number(b',"price":', price.number(order.price))
    out.number(b',"amount":', amount.number(order.quantity))
    out.number(b',"filled":', amount.number(filled))
    out.number(b',"remaining":', amount.number(remaining))
    if filled:
        out.number(b',"avgPrice":', instrument.average(notional, filled))
    else:
        out.put(b',"avgPrice":null')
    if order.client_order_id is not None:
        out.text(b',"clientOrderId":', order.client_order_id)
    if order.trigger_price is not None:
        out.number(b',"triggerPrice":', price.number(order.trigger_price))
    if order.display:
        out.number(b',"display":', amount.number(order.display))
    if order.expire_ms is not None:
        out.integer(b',"expireTime":', order.expire_ms)
    if order.budget is not None:
        out.number(b',"total":', instrument.total(order.budget))
    if waits:
        out.put(b',"waits":true')
    if order.time_in_force != "gtc":
        out.text(b',"timeInForce":', order.time_in_force)
    if order.post_only:
        out.put(b',"postOnly":true')
    if order.self_trade != "allow":
        out.text(b',"selfTrade":', order.self_trade)
    out.put(b"}")


def _write_trade(out: Writer, trade: Traded) -> None:
    order = trade.order
    instrument = order.instrument
    out.text(b'{"id":', trade.id)
    out.integer(b',"seq":', trade.seq)
    out.text(b',"userId":', order.user_id)
    out.text(b',"security":', instrument.security)
    out.word(b',"type":', order.side)
    out.integer(b',"time":', trade.time_ms)
    out.number(b',"price":', instrument.average(trade.notional, trade.quantity))
    out.number(b',"amount":', instrument.amount.number(trade.quantity))
    out.number(b',"total":', instrument.total(trade.notional))
    out.put(b"}")
