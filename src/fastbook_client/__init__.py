"""The client library for a fastbook server.

::

    async with fastbook_client.connect("http://127.0.0.1:8080") as market:
        order = await market.limit("bid", 99.5, 2)
        async for event in market:
            print(event)

``fastbook_client.sync`` is the same library without ``async``. ``fastbook_wire`` describes the wire
as types and needs only msgspec, which is why the names below are imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastbook_client.api import Api
    from fastbook_client.arguments import AnySide, Number
    from fastbook_client.backoff import Backoff
    from fastbook_client.book import Book, Level
    from fastbook_client.errors import (
        ConnectError,
        ConnectionClosed,
        FastbookError,
        NotConnected,
        Refused,
        Rejected,
        TooSlow,
        Unanswered,
    )
    from fastbook_client.events import (
        BookReset,
        Disconnected,
        Event,
        FillsMissed,
        OrderState,
        Resynced,
        TradesMissed,
    )
    from fastbook_client.market import Market, connect
    from fastbook_client.options import ConnectOptions
    from fastbook_client.running import run
    from fastbook_wire.frames import (
        AggOrderBook,
        CancelAfterSet,
        Candles,
        CandleView,
        Depth,
        EndedOrders,
        EndedOrderView,
        Fill,
        Fills,
        FillView,
        InstrumentView,
        OrderFrame,
        OrderView,
        OwnFills,
        OwnFillView,
        Ticker,
        Trades,
        TradeView,
    )

_ERRORS = (
    *("ConnectError", "ConnectionClosed", "FastbookError", "NotConnected", "Refused", "Rejected"),
    *("TooSlow", "Unanswered"),
)
_EVENTS = (
    *("BookReset", "Disconnected", "Event", "FillsMissed", "OrderState", "Resynced"),
    "TradesMissed",
)
_FRAMES = (
    *("AggOrderBook", "CancelAfterSet", "CandleView", "Candles", "Depth", "EndedOrderView"),
    *("EndedOrders", "Fill", "FillView", "Fills", "InstrumentView", "OrderFrame", "OrderView"),
    *("OwnFillView", "OwnFills", "Ticker", "TradeView", "Trades"),
)
_HOME = {
    "AnySide": "arguments",
    "Api": "api",
    "Backoff": "backoff",
    "Book": "book",
    "ConnectOptions": "options",
    "Level": "book",
    "Market": "market",
    "Number": "arguments",
    "connect": "market",
    "run": "running",
    **dict.fromkeys(_ERRORS, "errors"),
    **dict.fromkeys(_EVENTS, "events"),
}

__all__ = [
    "AggOrderBook",
    "AnySide",
    "Api",
    "Backoff",
    "Book",
    "BookReset",
    "CancelAfterSet",
    "CandleView",
    "Candles",
    "ConnectError",
    "ConnectOptions",
    "ConnectionClosed",
    "Depth",
    "Disconnected",
    "EndedOrderView",
    "EndedOrders",
    "Event",
    "FastbookError",
    "Fill",
    "FillView",
    "Fills",
    "FillsMissed",
    "InstrumentView",
    "Level",
    "Market",
    "NotConnected",
    "Number",
    "OrderFrame",
    "OrderState",
    "OrderView",
    "OwnFillView",
    "OwnFills",
    "Refused",
    "Rejected",
    "Resynced",
    "Ticker",
    "TooSlow",
    "TradeView",
    "Trades",
    "TradesMissed",
    "Unanswered",
    "connect",
    "run",
]


if not TYPE_CHECKING:  # otherwise every name would be one of this module

    def __getattr__(name: str) -> Any:
        if name in _HOME:
            return getattr(importlib.import_module(f"fastbook_client.{_HOME[name]}"), name)
        if name in _FRAMES:
            return getattr(importlib.import_module("fastbook_wire.frames"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
