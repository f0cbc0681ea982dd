"""The words of the wire: what its fields may say."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

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
