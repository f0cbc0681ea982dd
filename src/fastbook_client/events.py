"""The events of a market: frames of the wire, and events of the client itself."""

from __future__ import annotations

from msgspec import Struct

from fastbook_wire.frames import (
    AggOrderBook,
    CancelAfterSet,
    Candles,
    DeletedAll,
    Depth,
    EndedOrders,
    Error,
    Fill,
    Fills,
    OrderFrame,
    OrdersFrame,
    OrderView,
    OwnFills,
    Pong,
    Subscribed,
    Ticker,
    Trades,
    Unsubscribed,
)
from fastbook_wire.words import Reason, Status

OPEN: tuple[Status, ...] = ("untriggered", "triggered", "open", "partiallyFilled")


class Disconnected(Struct, frozen=True):
    """The connection was lost, or an attempt failed; the next one follows in ``retry_in_s``."""

    reason: str
    retry_in_s: float


class Resynced(Struct, frozen=True):
    """The client is connected again and knows all open orders of the user.

    The events before it are the fills that were missed and the ends of orders that are not among
    ``orders`` any more. If ``same_user`` is False, the server no longer knew the old user, and
    ``user_id`` is a new one. Also sent after the first connection if it was made to resume a user.
    """

    user_id: str
    same_user: bool
    orders: tuple[OrderView, ...]


class BookReset(Struct, frozen=True):
    """The local book of a security is wrong, or its line is silent: it is being fetched again."""

    security: str
    reason: str


class TradesMissed(Struct, frozen=True):
    """Trades with ``after_seq`` < ``seq`` < ``before_seq`` are missing and cannot be fetched.

    ``after_seq`` is None if no trade was known before. ``before_seq`` is None if the server's
    history no longer contains the last trade: the newest ones were lost or replaced, and those of
    the other history follow.
    """

    security: str
    after_seq: int | None
    before_seq: int | None
    reason: str


class FillsMissed(Struct, frozen=True):
    """Public fills with ``after_id`` < ``fill_id`` < ``before_id`` are missing for good.

    ``after_id`` is 0 if no fill was known before. ``before_id`` is None if the server's history no
    longer contains the last fill: those of the other history follow.
    """

    security: str
    after_id: int
    before_id: int | None
    reason: str


class OrderState(OrderView, kw_only=True):
    """An order's state, as the reply to a command reported it; it is not updated later."""

    status: Status
    reason: Reason | None = None

    @property
    def is_open(self) -> bool:
        """Whether the order may still be filled: it rests in the book or waits for its trigger."""
        return self.status in OPEN

    @classmethod
    def of(cls, frame: OrderFrame) -> OrderState:
        """Return the order in a frame that is not a refusal."""
        view = frame.order
        assert view is not None
        assert frame.status != "rejected"
        values = {name: getattr(view, name) for name in OrderView.__struct_fields__}
        return cls(**values, status=frame.status, reason=frame.reason)


Event = (
    AggOrderBook
    | Trades
    | Depth
    | Candles
    | Ticker
    | Fills
    | Fill
    | OrderFrame
    | OrdersFrame
    | OwnFills
    | EndedOrders
    | DeletedAll
    | CancelAfterSet
    | Subscribed
    | Unsubscribed
    | Pong
    | Error
    | Disconnected
    | Resynced
    | BookReset
    | TradesMissed
    | FillsMissed
)
"""Everything that ``async for event in market`` yields.

Replies are events only if no caller waits for them any longer.
"""
