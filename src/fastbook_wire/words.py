"""The vocabulary of the wire: field types, enumerated values and refusal codes."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from msgspec import Meta

PROTOCOL = 2
"""Version of the wire that ``welcome`` reports; it grows when clients have to change."""

SUBPROTOCOL = "fastbook"
"""The WebSocket subprotocol of this wire (RFC 6455, 1.9); a client need not name any."""
RESUME_SUBPROTOCOL = "resume."
"""A client that presents a resume token offers a subprotocol that begins so, and ends with it."""
TOKEN_SUBPROTOCOL = "token."
"""The same for the server's token, which lets its bearer send commands."""

SideName = Literal["bid", "ask"]
OPPOSITE: dict[SideName, SideName] = {"bid": "ask", "ask": "bid"}
ExecType = Literal["limit", "market", "stop", "stopLimit", "takeProfit", "takeProfitLimit"]
TimeInForceName = Literal["gtc", "ioc", "fok", "gtt"]
SelfTradeName = Literal["allow", "cancelNewest", "cancelOldest", "cancelBoth", "decrement"]
Status = Literal["untriggered", "triggered", "open", "partiallyFilled", "filled", "cancelled"]
Role = Literal["maker", "taker"]
Reason = Literal[
    "user",
    "amend",
    "disconnect",
    "cancel_after",
    "expired",
    "delisted",
    "operator",
    "no_liquidity",
    "total",
    "ioc",
    "fok",
    "self_trade",
    "level_full",
    "post_only",
    "balance",
]
Interval = Literal["1s", "1m", "5m", "1h", "1d"]
Channel = Literal[
    "book",
    "fills",
    "depth",
    "ticker",
    "candles:1s",
    "candles:1m",
    "candles:5m",
    "candles:1h",
    "candles:1d",
]

OperatorAction = Literal["halt", "resume", "cancel", "delist", "disconnect", "drain", "undrain"]
"""What the operator does on a running server; each is a row of ``operator_actions``."""

LIMIT_MAX = 1_000
"""The most rows that one page has."""

TimeMs = Annotated[int, Meta(description="Unix time in milliseconds.")]
Seq = Annotated[
    int,
    Meta(
        description="Sequence number per security: counts, without gaps, the commands that "
        "changed it."
    ),
]
FillId = Annotated[
    int,
    Meta(description="Number of a fill per security: counts all its fills without gaps, from 1."),
]
Price = Annotated[float, Meta(description="The double nearest to a multiple of `tickSize`.")]
Amount = Annotated[float, Meta(description="The double nearest to a multiple of `lotSize`.")]
Total = Annotated[float, Meta(description="price x amount, computed exactly and rounded once.")]
Security = Annotated[str, Meta(description="Name of the security.", examples=["BTC-USD"])]
Currency = Annotated[
    str,
    Meta(
        description="What prices are in: what follows the last `-`, `/` or `_` in the name of the "
        "security; empty if nothing does.",
        examples=["USD"],
    ),
]
Id = Annotated[str, Meta(description="UUIDv7 of an order or a trade.")]
UserId = Annotated[
    str, Meta(description="Id of a user; new for each connection that does not resume.")
]

CANCEL_ON_DISCONNECT_S_MAX = 86_400
"""Longest time that ``cancelOnDisconnect`` waits for a client to resume, in seconds."""
CANCEL_AFTER_MS_MAX = 86_400_000
"""Longest time that ``cancelAfter`` can set, in milliseconds."""

INTERVALS: dict[Interval, int] = {
    "1s": 1_000,
    "1m": 60_000,
    "5m": 300_000,
    "1h": 3_600_000,
    "1d": 86_400_000,
}
"""Length of each candle interval in milliseconds; buckets start at its multiples (UTC)."""


class Code(StrEnum):
    """Every code that explains why a frame, command, request or connection was refused."""

    BAD_FRAME = "bad_frame"
    BAD_REQUEST = "bad_request"
    NOT_FOUND = "not_found"
    ORIGIN_REFUSED = "origin_refused"
    UNKNOWN_OP = "unknown_op"
    INVALID_PRICE = "invalid_price"
    INVALID_AMOUNT = "invalid_amount"
    INVALID_ORDER = "invalid_order"
    UNKNOWN_SECURITY = "unknown_security"
    UNKNOWN_ORDER = "unknown_order"
    DUPLICATE_CLIENT_ORDER_ID = "duplicate_client_order_id"
    AMOUNT_BELOW_FILLED = "amount_below_filled"
    POST_ONLY_WOULD_CROSS = "post_only_would_cross"
    HALTED = "halted"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    UNAVAILABLE = "unavailable"
    UNAUTHORIZED = "unauthorized"
    TOO_MANY_ORDERS = "too_many_orders"
    INSUFFICIENT_BALANCE = "insufficient_balance"
