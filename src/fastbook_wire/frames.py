"""The frames that the server sends: one struct per ``event``.

An optional field is absent from the JSON while it has its default: None if it has no value, or
what most orders have. A nullable field without a default is always present, as ``null`` if need be.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from fastbook_wire.grid import Grid, Number, Rounding
from fastbook_wire.words import (
    Amount,
    Channel,
    ExecType,
    FillId,
    Id,
    Interval,
    Price,
    Reason,
    Role,
    Security,
    SelfTradeName,
    Seq,
    SideName,
    Status,
    TimeInForceName,
    TimeMs,
    Total,
    UserId,
)

Ref = str | int | None


class View(Struct, rename="camel", omit_defaults=True, gc=False):
    """Base of every struct that the server sends."""


class InstrumentView(View):
    """An instrument; prices are multiples of ``tick_size``, amounts of ``lot_size``."""

    security: Security
    tick_size: float
    lot_size: float
    status: Literal["open", "halted"]

    def price(self, value: Number, rounding: Rounding = "nearest") -> float:
        """Return `value` as a price that the server accepts: a multiple of the tick.

        It is rounded ``down``, ``up`` or to the ``nearest`` multiple. What is within a few units in
        the last place of a multiple counts as that one, whatever the rounding.

        Raises:
            TypeError: `value` is no number.
            ValueError: it is not finite, or not 1 to 2^52 ticks once rounded; or `rounding` is none
                of the three words.
        """
        return Grid.of(self.tick_size).accepted("price", value, rounding)

    def amount(self, value: Number, rounding: Rounding = "down") -> float:
        """Return `value` as an amount that the server accepts: a multiple of the lot.

        Like `price`, but rounded down by default: never more than was asked for.
        """
        return Grid.of(self.lot_size).accepted("amount", value, rounding)


class OrderView(View, kw_only=True):
    """An order as its owner sees it; ``avg_price`` is null until the first fill.

    ``filled`` and ``remaining`` are exact multiples of the lot size. ``remaining`` is the unfilled
    amount, of a cancelled order too. ``price`` is null for a market order. ``time`` is when the
    server accepted the order. ``total`` is what a market order by total may trade for at most.
    ``waits`` is true while a stop order waits for its trigger. An order without ``time_in_force``
    is ``gtc``, one without ``self_trade`` has ``allow``.
    """

    id: Id
    time: TimeMs
    user_id: UserId
    security: Security
    type: SideName
    exec_type: ExecType
    price: Price | None
    amount: Amount
    filled: Amount
    remaining: Amount
    avg_price: float | None
    client_order_id: str | None = None
    trigger_price: Price | None = None
    display: Amount | None = None
    expire_time: TimeMs | None = None
    total: (
        Annotated[float, Meta(description="The most that a market order by total may trade for.")]
        | None
    ) = None
    waits: bool = False
    time_in_force: TimeInForceName = "gtc"
    post_only: bool = False
    self_trade: SelfTradeName = "allow"


class EndedOrderView(OrderView, kw_only=True):
    """An order that has ended; ``reason`` is why it was cancelled, if it was."""

    status: Literal["filled", "cancelled"]
    reason: Reason | None = None


class TradeView(View):
    """A trade: all fills of one incoming order, at their average ``price``.

    ``user_id`` and ``type`` are the taker's. ``total`` is the exact sum of price x amount over the
    fills.
    """

    id: Id
    seq: Seq
    user_id: UserId
    security: Security
    type: SideName
    time: TimeMs
    price: float
    amount: Amount
    total: Total


class FillView(View, kw_only=True):
    """A match of an incoming order with a resting one; ``type`` is the side of the incoming one."""

    fill_id: FillId
    seq: Seq
    time: TimeMs
    type: SideName
    price: Price
    amount: Amount


class OwnFillView(FillView, kw_only=True):
    """A fill of one of the user's orders; ``type`` is the side of that order.

    A user who traded with himself has two with the same ``fill_id``, one per ``role``.
    """

    order_id: Id
    role: Role


class LevelView(View):
    """A price level of the aggregated book: the sum of its orders."""

    price: Price
    amount: Amount
    total: Total


class BookRows(View):
    """Both sides of the aggregated book, best price first."""

    ask: tuple[LevelView, ...]
    bid: tuple[LevelView, ...]


class LevelChange(View):
    """The new amount of a price level; 0 removes the level."""

    price: Price
    amount: Amount


class CandleView(View, kw_only=True):
    """The fills of ``[time, time + interval)``; ``trades`` counts the incoming orders that traded.

    ``final`` is true once the bucket is closed and the candle can no longer change.
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
    """Statistics of the last 24 hours, to the minute, and the current best prices.

    ``last`` is the price of the newest fill, however old; ``change`` is ``last - open``. Values
    are null where nothing traded or a side of the book is empty.
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
    """Base of every frame that the server sends."""


class Welcome(Frame, tag="welcome", kw_only=True):
    """The first frame of a connection: the user it acts for and the instruments.

    ``resume_token`` lets a later connection resume this user. ``security`` is the default of
    ``add``. ``throttle_ms`` is the minimum interval between two book frames. ``epoch`` grows with
    each start of the server.
    """

    user_id: UserId
    resume_token: str
    security: Security
    instruments: tuple[InstrumentView, ...]
    throttle_ms: int
    protocol: int
    epoch: int
    time: TimeMs


class AggOrderBook(Frame, tag="aggOrderBook", kw_only=True):
    """The aggregated book of a security as of command ``seq``."""

    security: Security
    seq: Seq
    time: TimeMs
    agg_order_book: BookRows


class Trades(Frame, tag="trades", kw_only=True):
    """Trades in order of execution.

    In a live frame ``seq`` is that of the last trade, and ``prev_seq`` that of the trade before the
    first one: a mismatch reveals a gap, and null means that there was no earlier trade. In an
    opening frame ``seq`` is that of the book sent with it, and ``prev_seq`` is null.
    """

    security: Security
    seq: Seq
    prev_seq: int | None
    trades: tuple[TradeView, ...]


class Fills(Frame, tag="fills", kw_only=True):
    """Fills in order: first the last ones, then those of each committed batch.

    A ``fill_id`` that is not one more than the one before reveals a gap.
    """

    security: Security
    fills: tuple[FillView, ...]


class Depth(Frame, tag="depth", kw_only=True):
    """The levels that one committed batch changed, best price first, as of command ``seq``.

    ``prev_seq`` is the ``seq`` of the previous depth frame; a mismatch reveals a missed frame. It
    is null if the frame is the whole book.
    """

    security: Security
    seq: Seq
    prev_seq: int | None
    time: TimeMs
    ask: tuple[LevelChange, ...]
    bid: tuple[LevelChange, ...]


class Checksum(Frame, tag="checksum", kw_only=True):
    """The CRC-32 of the book after the latest depth frame, whose ``seq`` it repeats."""

    security: Security
    seq: Seq
    checksum: int


class Candles(Frame, tag="candles", kw_only=True):
    """Candles, oldest first; each replaces an earlier one with the same ``time``."""

    security: Security
    interval: Interval
    candles: tuple[CandleView, ...]


class Ticker(Frame, TickerView, tag="ticker", kw_only=True):
    """The current ticker of a security."""


class Fill(Frame, OwnFillView, tag="fill", kw_only=True):
    """A fill of one of the user's orders, of which ``filled`` is the filled amount by now.

    A taker gets one per match before the reply to its command; a maker before the ``order`` frame
    with the new state; a user who trades with himself gets both before the reply, the taker's
    first. ``time`` is that of the fill.
    """

    security: Security
    filled: Amount
    remaining: Amount
    client_order_id: str | None = None


class OrderFrame(Frame, tag="order", kw_only=True):
    """An order's state or, with status ``rejected``, why a command about one order was refused.

    Those commands are ``add``, ``amend``, ``delete`` and ``order``.

    Replies carry the command's ``ref``; later changes of the order come without it. After a fill of
    a resting order ``last_price`` and ``last_amount`` repeat those of the ``fill`` before.
    ``retry_after_ms`` is how long to wait before another attempt.
    """

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
    """All open orders of the user as of one moment, oldest first, in pages.

    ``more`` is true in all pages but the last; they follow one another, and what happened after
    that moment follows them.
    """

    ref: Ref = None
    orders: tuple[OrderView, ...]
    more: bool = False


class OwnFills(Frame, tag="ownFills", kw_only=True):
    """The reply to ``fills``; ``more`` is true if there are others in the direction asked for.

    ``limit`` counts fill ids: a self-trade has two fills, and a page is never split between them.
    """

    ref: Ref = None
    security: Security
    fills: tuple[OwnFillView, ...]
    more: bool


class EndedOrders(Frame, tag="endedOrders", kw_only=True):
    """The reply to ``endedOrders``, in the order of placement; ``more`` if older ones exist."""

    ref: Ref = None
    security: Security
    orders: tuple[EndedOrderView, ...]
    more: bool


class DeletedAll(Frame, tag="deletedAll", kw_only=True):
    """The number of orders that a ``deleteAll`` cancelled."""

    ref: Ref = None
    count: int


class CancelAfterSet(Frame, tag="cancelAfterSet", kw_only=True):
    """The reply to ``cancelAfter``: when the orders will be cancelled, null for never.

    ``time`` is that of the server when it took the command.
    """

    ref: Ref = None
    time: TimeMs
    trigger_time: TimeMs | None


class Subscribed(Frame, tag="subscribed", kw_only=True):
    """Confirms the subscription; the channel's opening frames follow."""

    ref: Ref = None
    channel: Channel
    security: Security


class Unsubscribed(Frame, tag="unsubscribed", kw_only=True):
    """Confirms the end of the subscription; the channel sends nothing more."""

    ref: Ref = None
    channel: Channel
    security: Security


class Pong(Frame, tag="pong", kw_only=True):
    """The reply to ``ping``, with the time of the server's clock."""

    ref: Ref = None
    time: TimeMs


class Error(Frame, tag="error", kw_only=True):
    """Why a frame was not a valid command, or why a command was refused.

    A refused ``add``, ``amend``, ``delete`` or ``order`` is answered by an ``order`` frame instead.
    """

    ref: Ref = None
    code: str
    message: str
    retry_after_ms: int | None = None


PublicFrame = AggOrderBook | Trades | Fills | Depth | Checksum | Candles | Ticker
Reply = (
    OrderFrame
    | OrdersFrame
    | OwnFills
    | EndedOrders
    | DeletedAll
    | CancelAfterSet
    | Subscribed
    | Unsubscribed
    | Pong
    | Error
)
PrivateFrame = Fill | Reply
ServerFrame = Welcome | PublicFrame | PrivateFrame

FRAMES = ServerFrame.__args__
