"""What a market tells: the frames of the wire, and what only the client itself can know."""

from __future__ import annotations

from msgspec import Struct

from fastbook_wire.frames import (
    AggOrderBook,
    Candles,
    DeletedAll,
    Depth,
    Error,
    OrderFrame,
    OrdersFrame,
    OrderView,
    Pong,
    Subscribed,
    Ticker,
    Trades,
    Unsubscribed,
)
from fastbook_wire.words import Reason, Status


class Disconnected(Struct, frozen=True):
    """The connection is lost; the next attempt comes in ``retry_in_s``."""

    reason: str
    retry_in_s: float


class Resynced(Struct, frozen=True):
    """There is a connection again, or one was resumed; these are all open orders of the user.

    ``same_user`` False: the server does not know the old user any more, and ``user_id`` is a new
    one. An order that was open before and is not in ``orders`` has ended meanwhile.
    """

    user_id: str
    same_user: bool
    orders: tuple[OrderView, ...]


class BookReset(Struct, frozen=True):
    """The local book of a security was found wrong, and is being fetched anew."""

    security: str
    reason: str


class TradesMissed(Struct, frozen=True):
    """Trades between these two (``seq``, both exclusive) cannot be had; None: before the first."""

    security: str
    after_seq: int | None
    before_seq: int | None
    reason: str


class OrderState(OrderView, kw_only=True):
    """An order as the reply to its command left it."""

    status: Status
    reason: Reason | None = None

    @property
    def filled(self) -> float:
        """What has been bought or sold, to the nearest double."""
        return self.amount - self.remaining

    @property
    def is_open(self) -> bool:
        """Whether it rests in the book."""
        return self.status in ("open", "partiallyFilled")

    @classmethod
    def of(cls, frame: OrderFrame) -> OrderState:
        """Return the order of a frame that is no refusal."""
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
    | OrderFrame
    | OrdersFrame
    | DeletedAll
    | Subscribed
    | Unsubscribed
    | Pong
    | Error
    | Disconnected
    | Resynced
    | BookReset
    | TradesMissed
)
"""All that ``async for event in market`` gives. Replies come here only if nobody waits for them."""
