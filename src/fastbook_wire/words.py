"""The words of the wire: what its fields may say."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta

PROTOCOL = 1
"""The version of the wire in ``welcome``; it grows when a client must change."""

SideName = Literal["bid", "ask"]
ExecType = Literal["limit", "market"]
TimeInForceName = Literal["gtc", "ioc", "fok"]
SelfTradeName = Literal["allow", "cancelNewest", "cancelOldest", "cancelBoth"]
Status = Literal["open", "partiallyFilled", "filled", "cancelled"]
Reason = Literal["user", "disconnect", "no_liquidity", "ioc", "fok", "self_trade"]
Interval = Literal["1s", "1m", "5m", "1h", "1d"]
Channel = Literal[
    "book", "depth", "ticker", "candles:1s", "candles:1m", "candles:5m", "candles:1h", "candles:1d"
]

TimeMs = Annotated[int, Meta(description="Unix time in milliseconds.")]
Seq = Annotated[
    int,
    Meta(
        description="Number of the command, within its security, after which this holds; no gaps."
    ),
]
Price = Annotated[float, Meta(description="A multiple of tickSize: the double nearest to it.")]
Amount = Annotated[float, Meta(description="A multiple of lotSize: the double nearest to it.")]
Total = Annotated[float, Meta(description="price x amount, calculated exactly, rounded once.")]
Security = Annotated[str, Meta(description="What is traded.", examples=["BTC-USD"])]
Id = Annotated[str, Meta(description="UUIDv7 of an order or a trade.")]
UserId = Annotated[str, Meta(description="Who; a new one per connection that resumes nobody.")]

INTERVALS: dict[Interval, int] = {
    "1s": 1_000,
    "1m": 60_000,
    "5m": 300_000,
    "1h": 3_600_000,
    "1d": 86_400_000,
}
"""The candles' intervals in milliseconds; buckets start at multiples of them (UTC)."""


class Code(StrEnum):
    """Why a frame, a command, a request or a connection was refused: the one list of codes."""

    BAD_FRAME = "bad_frame"
    BAD_REQUEST = "bad_request"
    NOT_FOUND = "not_found"
    UNKNOWN_OP = "unknown_op"
    INVALID_PRICE = "invalid_price"
    INVALID_AMOUNT = "invalid_amount"
    INVALID_ORDER = "invalid_order"
    UNKNOWN_SECURITY = "unknown_security"
    UNKNOWN_ORDER = "unknown_order"
    DUPLICATE_CLIENT_ORDER_ID = "duplicate_client_order_id"
    POST_ONLY_WOULD_CROSS = "post_only_would_cross"
    HALTED = "halted"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    UNAVAILABLE = "unavailable"
    TOO_MANY_ORDERS = "too_many_orders"
