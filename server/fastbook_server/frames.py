"""The server's side of the wire: events to text frames' payloads, in the words of the protocol.

Numbers leave the integers here and nowhere else. Every function returns the JSON bytes of one
frame; what many clients receive is encoded once and shared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from fastbook_server.events import (
    AllDeleted,
    CommandRefused,
    ExecType,
    OrderReport,
    OrdersListed,
    PrivateEvent,
    Reason,
    SideName,
    Status,
    Traded,
)
from fastbook_server.instruments import Instrument

PROTOCOL = 1
"""The version of the wire in ``welcome``; it grows when a client must change."""

RefOut = str | int | UnsetType


class _Frame(Struct, tag_field="event", rename="camel", kw_only=True, gc=False):
    pass


class InstrumentView(Struct, rename="camel", gc=False):
    """An instrument as ``welcome`` lists it; ``tick_size`` and ``lot_size`` are steps."""

    security: str
    tick_size: float
    lot_size: float
    status: Literal["open", "halted"]


class OrderView(Struct, rename="camel", kw_only=True, gc=False):
    """An order as its owner sees it; ``avg_price`` is null until something filled."""

    id: str
    time: int
    user_id: str
    security: str
    type: SideName
    exec_type: ExecType
    price: float | None
    amount: float
    remaining: float
    avg_price: float | None
    client_order_id: str | UnsetType = UNSET


class TradeView(Struct, rename="camel", gc=False):
    """A public trade: the taker's, ``price`` its average, ``total`` exact."""

    id: str
    seq: int
    user_id: str
    security: str
    type: SideName
    time: int
    price: float
    amount: float
    total: float


class Welcome(_Frame, kw_only=True, tag="welcome"):
    """The first frame of a connection: who you are, what is traded, how often books come."""

    user_id: str
    resume_token: str
    security: str
    instruments: tuple[InstrumentView, ...]
    throttle_ms: int
    protocol: int
    epoch: int
    time: int


class BookRows(Struct, gc=False):
    """Both sides, best first; rows are ``{price, amount, total}`` objects, already encoded."""

    ask: Raw
    bid: Raw


class AggOrderBook(_Frame, kw_only=True, tag="aggOrderBook"):
    """The aggregated book of a security as it stood after ``seq``."""

    security: str
    seq: int
    time: int
    agg_order_book: BookRows


class Trades(_Frame, kw_only=True, tag="trades"):
    """Trades in the order they happened; ``prev_seq`` is the ``seq`` of the trade before them."""

    security: str
    seq: int
    prev_seq: int | None
    trades: tuple[TradeView, ...]


class OrderFrame(_Frame, kw_only=True, tag="order"):
    """An order's state, or (``rejected``) why there is no such order or change."""

    ref: RefOut = UNSET
    status: Status | Literal["rejected"]
    reason: Reason | UnsetType = UNSET
    code: str | UnsetType = UNSET
    message: str | UnsetType = UNSET
    retry_after_ms: int | UnsetType = UNSET
    last_price: float | UnsetType = UNSET
    last_amount: float | UnsetType = UNSET
    order: OrderView | UnsetType = UNSET


class OrdersFrame(_Frame, kw_only=True, tag="orders"):
    """All open orders of the user, oldest first."""

    ref: RefOut = UNSET
    orders: tuple[OrderView, ...]


class DeletedAll(_Frame, kw_only=True, tag="deletedAll"):
    """How many orders a ``deleteAll`` withdrew."""

    ref: RefOut = UNSET
    count: int


class Subscribed(_Frame, kw_only=True, tag="subscribed"):
    """The opening pair of ``security`` follows."""

    ref: RefOut = UNSET
    security: str


class Unsubscribed(_Frame, kw_only=True, tag="unsubscribed"):
    """No further frame of ``security`` follows."""

    ref: RefOut = UNSET
    security: str


class Pong(_Frame, kw_only=True, tag="pong"):
    """The answer to ``ping``, with the server's Unix time in milliseconds."""

    ref: RefOut = UNSET
    time: int


class Error(_Frame, kw_only=True, tag="error"):
    """Why a frame was no command, or why a command other than add and delete was refused."""

    ref: RefOut = UNSET
    code: str
    message: str
    retry_after_ms: int | UnsetType = UNSET


_encode = msgspec.json.Encoder().encode


def _ref(ref: str | int | None) -> RefOut:
    return UNSET if ref is None else ref


def welcome(
    *,
    user_id: str,
    resume_token: str,
    security: str,
    instruments: Iterable[Instrument],
    throttle_ms: int,
    epoch: int,
    time_ms: int,
) -> bytes:
    """Return the ``welcome`` frame."""
    views = tuple(
        InstrumentView(i.security, i.tick.number(1), i.lot.number(1), i.status) for i in instruments
    )
    return _encode(
        Welcome(
            user_id=user_id,
            resume_token=resume_token,
            security=security,
            instruments=views,
            throttle_ms=throttle_ms,
            protocol=PROTOCOL,
            epoch=epoch,
            time=time_ms,
        )
    )


def agg_order_book(security: str, seq: int, time_ms: int, asks: bytes, bids: bytes) -> bytes:
    """Return an ``aggOrderBook`` frame of rows that are JSON arrays already, best first."""
    rows = BookRows(Raw(asks), Raw(bids))
    return _encode(AggOrderBook(security=security, seq=seq, time=time_ms, agg_order_book=rows))


def trades(security: str, seq: int, prev_seq: int | None, trades_: Sequence[Traded]) -> bytes:
    """Return a ``trades`` frame."""
    views = tuple(map(_trade_view, trades_))
    return _encode(Trades(security=security, seq=seq, prev_seq=prev_seq, trades=views))


def _trade_view(trade: Traded) -> TradeView:
    order = trade.order
    instrument = order.instrument
    return TradeView(
        trade.id,
        trade.seq,
        order.user_id,
        instrument.security,
        order.side,
        trade.time_ms,
        instrument.average(trade.notional, trade.quantity),
        instrument.lot.number(trade.quantity),
        instrument.total(trade.notional),
    )


def private(event: PrivateEvent) -> bytes:
    """Return the frame of a reply or a report."""
    match event:
        case OrderReport():
            return _encode(_report(event))
        case CommandRefused():
            return refusal(
                event.ref,
                event.code,
                event.message,
                of_order=event.of_order,
                retry_after_ms=event.retry_after_ms,
            )
        case OrdersListed():
            views = tuple(map(_order_view, event.reports))
            return _encode(OrdersFrame(ref=_ref(event.ref), orders=views))
        case AllDeleted():
            return _encode(DeletedAll(ref=_ref(event.ref), count=event.count))


def _report(report: OrderReport) -> OrderFrame:
    frame = OrderFrame(ref=_ref(report.ref), status=report.status, order=_order_view(report))
    if report.reason is not None:
        frame.reason = report.reason
    if report.last_price is not None and report.last_quantity is not None:
        instrument = report.order.instrument
        frame.last_price = instrument.tick.number(report.last_price)
        frame.last_amount = instrument.lot.number(report.last_quantity)
    return frame


def _order_view(report: OrderReport) -> OrderView:
    order = report.order
    instrument, filled = order.instrument, order.quantity - report.remaining
    return OrderView(
        id=order.id,
        time=order.time_ms,
        user_id=order.user_id,
        security=instrument.security,
        type=order.side,
        exec_type=order.exec_type,
        price=None if order.price is None else instrument.tick.number(order.price),
        amount=instrument.lot.number(order.quantity),
        remaining=instrument.lot.number(report.remaining),
        avg_price=instrument.average(report.notional, filled) if filled else None,
        client_order_id=UNSET if order.client_order_id is None else order.client_order_id,
    )


def refusal(
    ref: str | int | None,
    code: str,
    message: str,
    *,
    of_order: bool,
    retry_after_ms: int | None = None,
) -> bytes:
    """Return why a command was refused: ``order`` rejected for add and delete, else ``error``."""
    retry = UNSET if retry_after_ms is None else retry_after_ms
    if of_order:
        return _encode(
            OrderFrame(
                ref=_ref(ref), status="rejected", code=code, message=message, retry_after_ms=retry
            )
        )
    return _encode(Error(ref=_ref(ref), code=code, message=message, retry_after_ms=retry))


def subscribed(ref: str | int | None, security: str) -> bytes:
    """Return the reply to ``subscribe``."""
    return _encode(Subscribed(ref=_ref(ref), security=security))


def unsubscribed(ref: str | int | None, security: str) -> bytes:
    """Return the reply to ``unsubscribe``."""
    return _encode(Unsubscribed(ref=_ref(ref), security=security))


def pong(ref: str | int | None, time_ms: int) -> bytes:
    """Return the reply to ``ping``."""
    return _encode(Pong(ref=_ref(ref), time=time_ms))
