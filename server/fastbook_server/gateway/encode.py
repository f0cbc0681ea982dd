"""The server's side of the wire: events to the JSON payloads of text frames.

Ticks and lots become the wire's numbers here and nowhere else. Every function returns the payload
of one frame; a frame for many clients is encoded once and shared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Raw

from fastbook_server.gateway import reports
from fastbook_server.values.candles import Candle
from fastbook_server.values.events import (
    AllDeleted,
    CancelScheduled,
    CommandRefused,
    FillReport,
    Order,
    OrderReport,
    OrdersListed,
    PrivateEvent,
    Traded,
)
from fastbook_server.values.instruments import Instrument
from fastbook_server.values.persisted import ClientOrder, OwnFill, StoredFill
from fastbook_wire.frames import (
    CancelAfterSet,
    Candles,
    CandleView,
    Checksum,
    DeletedAll,
    Depth,
    EndedOrders,
    EndedOrderView,
    Fills,
    FillView,
    Frame,
    InstrumentView,
    LevelChange,
    OrderFrame,
    OrderView,
    OwnFills,
    OwnFillView,
    Pong,
    Subscribed,
    Ticker,
    TickerView,
    TradeView,
    Unsubscribed,
    View,
    Welcome,
)
from fastbook_wire.words import OPPOSITE, PROTOCOL, Channel, Interval


class BookRowsJson(View):
    """`BookRows` with sides that are already encoded as JSON arrays."""

    ask: Raw
    bid: Raw


class _AggOrderBook(Frame, tag="aggOrderBook", kw_only=True):
    """`AggOrderBook` with such rows."""

    security: str
    seq: int
    time: int
    agg_order_book: BookRowsJson


_encode = msgspec.json.Encoder().encode


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
    return _encode(
        Welcome(
            user_id=user_id,
            resume_token=resume_token,
            security=security,
            instruments=tuple(map(instrument_view, instruments)),
            throttle_ms=throttle_ms,
            protocol=PROTOCOL,
            epoch=epoch,
            time=time_ms,
        )
    )


def instrument_view(instrument: Instrument) -> InstrumentView:
    """Return an instrument as the wire shows it."""
    return InstrumentView(
        instrument.security,
        instrument.tick.number(1),
        instrument.lot.number(1),
        instrument.status,
    )


def agg_order_book(security: str, seq: int, time_ms: int, asks: bytes, bids: bytes) -> bytes:
    """Return an ``aggOrderBook`` frame; `asks` and `bids` are JSON arrays, best first."""
    rows = BookRowsJson(Raw(asks), Raw(bids))
    return _encode(_AggOrderBook(security=security, seq=seq, time=time_ms, agg_order_book=rows))


def trade_view(trade: Traded) -> TradeView:
    """Return a trade as the wire shows it."""
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


def fills(security: str, views: Sequence[FillView]) -> bytes:
    """Return a ``fills`` frame."""
    return _encode(Fills(security=security, fills=tuple(views)))


def fill_view(instrument: Instrument, fill: StoredFill) -> FillView:
    """Return a fill as the wire shows it."""
    return FillView(
        fill_id=fill.fill_id,
        seq=fill.seq,
        time=fill.time_ms,
        type=fill.side,
        price=instrument.tick.number(fill.price),
        amount=instrument.lot.number(fill.quantity),
    )


def own_fill_view(instrument: Instrument, own: OwnFill) -> OwnFillView:
    """Return a fill as the wire shows it to a user whose order it filled."""
    fill = own.fill
    return OwnFillView(
        fill_id=fill.fill_id,
        seq=fill.seq,
        time=fill.time_ms,
        type=fill.side if own.role == "taker" else OPPOSITE[fill.side],
        price=instrument.tick.number(fill.price),
        amount=instrument.lot.number(fill.quantity),
        order_id=own.order_id,
        role=own.role,
    )


def own_fills(
    ref: str | int | None, instrument: Instrument, found: Sequence[OwnFill], *, more: bool
) -> bytes:
    """Return the reply to ``fills``."""
    views = tuple(own_fill_view(instrument, own) for own in found)
    return _encode(OwnFills(ref=ref, security=instrument.security, fills=views, more=more))


def ended_order_view(ended: ClientOrder) -> EndedOrderView:
    """Return an order that has ended as the wire shows it."""
    view = order_view(ended.order, ended.remaining, ended.notional)
    assert ended.status in ("filled", "cancelled"), "no open order is listed"
    return EndedOrderView(**msgspec.structs.asdict(view), status=ended.status, reason=ended.reason)


def ended_orders(
    ref: str | int | None, security: str, found: Sequence[ClientOrder], *, more: bool
) -> bytes:
    """Return the reply to ``endedOrders``."""
    views = tuple(map(ended_order_view, found))
    return _encode(EndedOrders(ref=ref, security=security, orders=views, more=more))


def depth(
    instrument: Instrument,
    seq: int,
    prev_seq: int | None,
    time_ms: int,
    asks: Iterable[tuple[int, int]],
    bids: Iterable[tuple[int, int]],
) -> bytes:
    """Return a ``depth`` frame of levels in (ticks, lots), best first."""
    price, amount = instrument.tick.number, instrument.lot.number
    ask, bid = (tuple(LevelChange(price(p), amount(q)) for p, q in side) for side in (asks, bids))
    security = instrument.security
    return _encode(
        Depth(security=security, seq=seq, prev_seq=prev_seq, time=time_ms, ask=ask, bid=bid)
    )


def checksum(security: str, seq: int, value: int) -> bytes:
    """Return a ``checksum`` frame."""
    return _encode(Checksum(security=security, seq=seq, checksum=value))


def candles(
    instrument: Instrument, interval: Interval, candles_: Iterable[Candle], *, final_ms: int
) -> bytes:
    """Return a ``candles`` frame; candles that start at `final_ms` or earlier are final."""
    views = tuple(candle_view(instrument, c, final=c.start_ms <= final_ms) for c in candles_)
    return _encode(Candles(security=instrument.security, interval=interval, candles=views))


def candle_view(instrument: Instrument, candle: Candle, *, final: bool) -> CandleView:
    """Return a candle as the wire shows it."""
    price = instrument.tick.number
    return CandleView(
        time=candle.start_ms,
        open=price(candle.open),
        high=price(candle.high),
        low=price(candle.low),
        close=price(candle.close),
        volume=instrument.lot.number(candle.volume),
        trades=candle.trades,
        final=final,
    )


def ticker(view: TickerView) -> bytes:
    """Return a ``ticker`` frame."""
    return _encode(Ticker(**msgspec.structs.asdict(view)))


def private(event: PrivateEvent) -> bytes:
    """Return the frame of a reply or a report; for a list of orders see `reports.orders`."""
    match event:
        case OrderReport() | FillReport() | CommandRefused():
            return reports.payload(event)
        case AllDeleted():
            return _encode(DeletedAll(ref=event.ref, count=event.count))
        case CancelScheduled():
            return _encode(
                CancelAfterSet(ref=event.ref, time=event.time_ms, trigger_time=event.deadline_ms)
            )
        case OrdersListed():
            raise TypeError("expected one report, got a list of orders")


def order_found(ref: str | int | None, found: ClientOrder) -> bytes:
    """Return the reply to ``order`` for an order from the history."""
    view = order_view(found.order, found.remaining, found.notional)
    return _encode(OrderFrame(ref=ref, status=found.status, reason=found.reason, order=view))


def order_view(order: Order, remaining: int, notional: int, *, waits: bool = False) -> OrderView:
    """Return an order as the wire shows it; `notional` is that of its fills.

    With `waits` it is a stop order that waits for its trigger.
    """
    instrument, filled = order.instrument, order.quantity - remaining
    tick, lot = instrument.tick, instrument.lot
    view = OrderView(
        id=order.id,
        time=order.time_ms,
        user_id=order.user_id,
        security=instrument.security,
        type=order.side,
        exec_type=order.exec_type,
        price=None if order.price is None else tick.number(order.price),
        amount=lot.number(order.quantity),
        filled=lot.number(filled),
        remaining=lot.number(remaining),
        avg_price=instrument.average(notional, filled) if filled else None,
        client_order_id=order.client_order_id,
    )
    if order.trigger_price is not None:
        view.trigger_price = tick.number(order.trigger_price)
    if order.display:
        view.display = lot.number(order.display)
    if order.expire_ms is not None:
        view.expire_time = order.expire_ms
    if order.budget is not None:
        view.total = instrument.total(order.budget)
    if waits:
        view.waits = True
    if order.time_in_force != "gtc":  # a default that is another object would be said
        view.time_in_force = order.time_in_force
    view.post_only = order.post_only
    if order.self_trade != "allow":
        view.self_trade = order.self_trade
    return view


def subscribed(ref: str | int | None, channel: Channel, security: str) -> bytes:
    """Return the reply to ``subscribe``."""
    return _encode(Subscribed(ref=ref, channel=channel, security=security))


def unsubscribed(ref: str | int | None, channel: Channel, security: str) -> bytes:
    """Return the reply to ``unsubscribe``."""
    return _encode(Unsubscribed(ref=ref, channel=channel, security=security))


def pong(ref: str | int | None, time_ms: int) -> bytes:
    """Return the reply to ``ping``."""
    return _encode(Pong(ref=ref, time=time_ms))
