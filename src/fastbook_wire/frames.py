"""What the server says: one struct per frame, as it arrives.

A field that may be absent is None then; one that may be ``null`` is always there.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from fastbook_wire.words import (
    Amount,
    Channel,
    ExecType,
    Id,
    Interval,
    Price,
    Reason,
    Security,
    Seq,
    SideName,
    Status,
    TimeMs,
    Total,
    UserId,
)

Ref = str | int | None


class View(Struct, rename="camel", omit_defaults=True, gc=False):
    """What frames and answers are made of."""


class InstrumentView(View):
    """An instrument as ``welcome`` lists it; ``tick_size`` and ``lot_size`` are steps."""

    security: Security
    tick_size: float
    lot_size: float
    status: Literal["open", "halted"]


class OrderView(View, kw_only=True):
    """An order as its owner sees it; ``avg_price`` is null until something filled."""

    id: Id
    time: TimeMs
    user_id: UserId
    security: Security
    type: SideName
    exec_type: ExecType
    price: Price | None
    amount: Amount
    remaining: Amount
    avg_price: float | None
    client_order_id: str | None = None


class TradeView(View):
    """A public trade: the taker's, ``price`` its average, ``total`` exact."""

    id: Id
    seq: Seq
    user_id: UserId
    security: Security
    type: SideName
    time: TimeMs
    price: float
    amount: Amount
    total: Total


class LevelView(View):
    """A price level of the aggregated book; ``total`` is price x amount."""

    price: Price
    amount: Amount
    total: Total


class BookRows(View):
    """Both sides of the aggregated book, best first."""

    ask: tuple[LevelView, ...]
    bid: tuple[LevelView, ...]


class LevelChange(View):
    """What a price level has become; ``amount`` 0: it is gone."""

    price: Price
    amount: Amount


class CandleView(View, kw_only=True):
    """What traded in ``[time, time + interval)``, from the fills; ``trades`` counts takers' orders.

    ``final``: the bucket is over, nothing of it can change any more.
    """

    time: TimeMs
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Amount
    trades: int
    final: bool


class TickerView(View, kw_only=True):
    """The last 24 hours to the minute, and the best prices of now.

    ``last`` is the price of the newest fill ever, ``change`` is ``last - open``; null where there
    was no trade, or no order on that side.
    """

    security: Security
    seq: Seq
    time: TimeMs
    open: Price | None
    high: Price | None
    low: Price | None
    last: Price | None
    volume: Amount
    change: float | None
    best_bid: Price | None
    best_ask: Price | None


class Frame(View, tag_field="event", kw_only=True):
    """The base of all frames of the server."""


class Welcome(Frame, tag="welcome", kw_only=True):
    """The first frame of a connection: who you are, what is traded, how often books come."""

    user_id: UserId
    resume_token: str
    security: Security
    instruments: tuple[InstrumentView, ...]
    throttle_ms: int
    protocol: int
    epoch: int
    time: TimeMs


class AggOrderBook(Frame, tag="aggOrderBook", kw_only=True):
    """The aggregated book of a security as it stood after ``seq``."""

    security: Security
    seq: Seq
    time: TimeMs
    agg_order_book: BookRows


class Trades(Frame, tag="trades", kw_only=True):
    """Trades in the order they happened; ``prev_seq`` is the ``seq`` of the trade before them."""

    security: Security
    seq: Seq
    prev_seq: int | None
    trades: tuple[TradeView, ...]


class Depth(Frame, tag="depth", kw_only=True):
    """The levels that one committed batch changed, best first; the book stands after ``seq``.

    ``prev_seq`` is the ``seq`` of the depth frame before it; null: this is the whole book.
    """

    security: Security
    seq: Seq
    prev_seq: int | None
    time: TimeMs
    ask: tuple[LevelChange, ...]
    bid: tuple[LevelChange, ...]


class Checksum(Frame, tag="checksum", kw_only=True):
    """The checksum of the book as it stood after the last depth frame, whose ``seq`` this is."""

    security: Security
    seq: Seq
    checksum: int


class Candles(Frame, tag="candles", kw_only=True):
    """Candles, oldest first; each takes the place of the one with the same ``time``."""

    security: Security
    interval: Interval
    candles: tuple[CandleView, ...]


class Ticker(Frame, TickerView, tag="ticker", kw_only=True):
    """The newest ticker of a security."""


class OrderFrame(Frame, tag="order", kw_only=True):
    """An order's state, or (``rejected``) why there is no such order or change."""

    ref: Ref = None
    status: Status | Literal["rejected"]
    reason: Reason | None = None
    code: str | None = None
    message: str | None = None
    retry_after_ms: int | None = None
    last_price: Price | None = None
    last_amount: Amount | None = None
    order: OrderView | None = None


class OrdersFrame(Frame, tag="orders", kw_only=True):
    """All open orders of the user, oldest first."""

    ref: Ref = None
    orders: tuple[OrderView, ...]


class DeletedAll(Frame, tag="deletedAll", kw_only=True):
    """How many orders a ``deleteAll`` withdrew."""

    ref: Ref = None
    count: int


class Subscribed(Frame, tag="subscribed", kw_only=True):
    """What the channel has to say at first follows."""

    ref: Ref = None
    channel: Channel
    security: Security


class Unsubscribed(Frame, tag="unsubscribed", kw_only=True):
    """No further frame of the channel follows."""

    ref: Ref = None
    channel: Channel
    security: Security


class Pong(Frame, tag="pong", kw_only=True):
    """The answer to ``ping``, with the server's Unix time in milliseconds."""

    ref: Ref = None
    time: TimeMs


class Error(Frame, tag="error", kw_only=True):
    """Why a frame was no command, or why a command other than add and delete was refused."""

    ref: Ref = None
    code: str
    message: str
    retry_after_ms: int | None = None


PublicFrame = AggOrderBook | Trades | Depth | Checksum | Candles | Ticker
PrivateFrame = OrderFrame | OrdersFrame | DeletedAll | Subscribed | Unsubscribed | Pong | Error
ServerFrame = Welcome | PublicFrame | PrivateFrame

FRAMES = ServerFrame.__args__
