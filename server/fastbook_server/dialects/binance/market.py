"""What everybody may ask of the market."""

from __future__ import annotations

from typing import Any

import fastbook
from fastbook_server.dialects.binance.calls import Call, Offer
from fastbook_server.dialects.binance.limits import Limits
from fastbook_server.dialects.binance.parameters import Parameters
from fastbook_server.dialects.binance.refused import DialectRefusal, busy, outcome_unknown
from fastbook_server.dialects.binance.symbols import Symbol, Symbols
from fastbook_server.gateway.http.history_queue import HistoryOverloaded, HistoryQueue
from fastbook_server.gateway.market_views import MarketViews
from fastbook_server.store import FillSpan, StoredFill, StoreUnavailable

DEPTH_MAX = 5_000
ROWS_MAX = 1_000
BID, ASK = fastbook.Side.BID, fastbook.Side.ASK


class MarketFunctions:
    """Time, symbols, books, trades."""

    def __init__(
        self, symbols: Symbols, views: MarketViews, history: HistoryQueue, limits: Limits
    ) -> None:
        self._symbols = symbols
        self._views = views.views
        self._history = history
        self._limits = limits

    def entries(self) -> list[Offer]:
        """Return the functions and where they are found."""
        return [
            Offer("GET", "ping", "ping", 1, self.ping),
            Offer("GET", "time", "time", 1, self.time),
            Offer("GET", "exchangeInfo", "exchangeInfo", 20, self.exchange_info),
            Offer("GET", "depth", "depth", _depth_weight, self.depth),
            Offer("GET", "trades", "trades.recent", 25, self.trades),
            Offer("GET", "historicalTrades", "trades.historical", 25, self.historical_trades),
        ]

    async def ping(self, _: Call) -> dict[str, Any]:
        """Say nothing, which says that the server lives."""
        return {}

    async def time(self, call: Call) -> dict[str, Any]:
        """Return the server's time."""
        return {"serverTime": call.now_ms}

    async def exchange_info(self, call: Call) -> dict[str, Any]:
        """Return the symbols and their filters."""
        wanted = self._wanted(call.params)
        status = call.params.optional("symbolStatus")
        infos = [symbol.info() for symbol in wanted]
        return {
            "timezone": "UTC",
            "serverTime": call.now_ms,
            "rateLimits": self._limits.told(),
            "exchangeFilters": [],
            "symbols": [info for info in infos if status in (None, info["status"])],
        }

    async def depth(self, call: Call) -> dict[str, Any]:
        """Return the book, best prices first, and the last change that it contains."""
        symbol = self._symbols[call.params.text("symbol")]
        limit = call.params.limit(100, DEPTH_MAX)
        view = self._views[symbol.security]
        return {
            "lastUpdateId": view.seq,
            "bids": levels(symbol, view.depth.top(BID, limit)),
            "asks": levels(symbol, view.depth.top(ASK, limit)),
        }

    async def trades(self, call: Call) -> list[dict[str, Any]]:
        """Return the last trades, oldest first."""
        return await self._trades(call, None)

    async def historical_trades(self, call: Call) -> list[dict[str, Any]]:
        """Return trades from an id on."""
        return await self._trades(call, call.params.integer("fromId"))

    async def _trades(self, call: Call, from_id: int | None) -> list[dict[str, Any]]:
        symbol = self._symbols[call.params.text("symbol")]
        limit = call.params.limit(500, ROWS_MAX)
        since = None if from_id is None else max(0, from_id - 1)
        try:
            found, _ = await self._history.fills(
                symbol.security, FillSpan(since=since, limit=limit)
            )
        except HistoryOverloaded:
            raise busy(None) from None
        except StoreUnavailable:
            raise outcome_unknown() from None
        return [trade(symbol, fill) for fill in found]

    def _wanted(self, params: Parameters) -> list[Symbol]:
        """Return the symbols that a request names, or all."""
        one, several = params.optional("symbol"), params.names("symbols")
        if one is not None and several is not None:
            raise DialectRefusal(-1128, "Combination of optional parameters invalid.")
        names = [one] if one is not None else several
        if names is None:
            return list(self._symbols.by_name.values())
        return [self._symbols[name] for name in names]


def levels(symbol: Symbol, found: list[tuple[int, int]]) -> list[tuple[str, str]]:
    """Return levels as texts."""
    return [(symbol.price(price), symbol.quantity(quantity)) for price, quantity in found]


def trade(symbol: Symbol, fill: StoredFill) -> dict[str, Any]:
    """Return a trade: one fill."""
    return {
        "id": fill.fill_id,
        "price": symbol.price(fill.price),
        "qty": symbol.quantity(fill.quantity),
        "quoteQty": symbol.notional(fill.price * fill.quantity),
        "time": fill.time_ms,
        "isBuyerMaker": fill.side == "ask",
        "isBestMatch": True,
    }


def _depth_weight(params: Parameters) -> int:
    limit = params.limit(100, DEPTH_MAX)
    return next(weight for most, weight in _DEPTH_WEIGHTS if limit <= most)


_DEPTH_WEIGHTS = ((100, 5), (500, 25), (1_000, 50), (DEPTH_MAX, 250))
