"""A limit order book with price-time priority, and its depth.

Prices are integer ticks, quantities integer lots. Only the DTYPE constants, `OrderBook.process` and
`OrderBook.snapshot` need NumPy, and import it on first use. `fastbook.reference` implements the
same `OrderBook` and `Depth` in plain Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastbook._book import Event, OrderBook
from fastbook._depth import Depth
from fastbook._types import (
    EVENT_CANCEL,
    EVENT_DISCARD,
    EVENT_FILL,
    EVENT_REDUCE,
    EVENT_REJECT,
    EVENT_REST,
    FLAG_BUDGET,
    FLAG_DISPLAY,
    FLAG_POST_ONLY,
    OP_CANCEL,
    OP_LIMIT,
    OP_MARKET,
    OP_REPLACE,
    REASON_BUDGET,
    REASON_FOK,
    REASON_IOC,
    REASON_NO_LIQUIDITY,
    REASON_NONE,
    REASON_REPLACED,
    REASON_SELF_TRADE,
    REASON_USER,
    REJECT_DUPLICATE_ORDER,
    REJECT_INVALID_DISPLAY,
    REJECT_INVALID_ORDER,
    REJECT_INVALID_PRICE,
    REJECT_INVALID_QUANTITY,
    REJECT_OVERFLOW,
    REJECT_POST_ONLY,
    REJECT_UNKNOWN_ORDER,
    Order,
    SelfTrade,
    Side,
    TimeInForce,
)

if TYPE_CHECKING:
    from fastbook._dtypes import COMMAND_DTYPE, EVENT_DTYPE, ORDER_DTYPE

__all__ = [
    "COMMAND_DTYPE",
    "EVENT_CANCEL",
    "EVENT_DISCARD",
    "EVENT_DTYPE",
    "EVENT_FILL",
    "EVENT_REDUCE",
    "EVENT_REJECT",
    "EVENT_REST",
    "FLAG_BUDGET",
    "FLAG_DISPLAY",
    "FLAG_POST_ONLY",
    "OP_CANCEL",
    "OP_LIMIT",
    "OP_MARKET",
    "OP_REPLACE",
    "ORDER_DTYPE",
    "REASON_BUDGET",
    "REASON_FOK",
    "REASON_IOC",
    "REASON_NONE",
    "REASON_NO_LIQUIDITY",
    "REASON_REPLACED",
    "REASON_SELF_TRADE",
    "REASON_USER",
    "REJECT_DUPLICATE_ORDER",
    "REJECT_INVALID_DISPLAY",
    "REJECT_INVALID_ORDER",
    "REJECT_INVALID_PRICE",
    "REJECT_INVALID_QUANTITY",
    "REJECT_OVERFLOW",
    "REJECT_POST_ONLY",
    "REJECT_UNKNOWN_ORDER",
    "Depth",
    "Event",
    "Order",
    "OrderBook",
    "SelfTrade",
    "Side",
    "TimeInForce",
]


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__


if not TYPE_CHECKING:  # otherwise every name would be one of this module

    def __getattr__(name: str) -> object:
        """Import the NumPy dtypes on first use."""
        if name in ("COMMAND_DTYPE", "EVENT_DTYPE", "ORDER_DTYPE"):
            from fastbook import _dtypes

            return getattr(_dtypes, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
