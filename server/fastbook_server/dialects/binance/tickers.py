"""The tickers of a symbol: what a day has traded, the best prices, the average of five minutes."""

from __future__ import annotations

from typing import Any

from fastbook_server.dialects.binance.bars import Bar, empty, total
from fastbook_server.dialects.binance.intervals import DAY_MS
from fastbook_server.dialects.binance.symbols import Symbol
from fastbook_server.dialects.binance.trade_flow import MINUTE_MS, TradeFlow
from fastbook_server.gateway.market_views import ASK, BID, SecurityView
from fastbook_server.values.decimals import plain

AVERAGE_MINUTES = 5
WINDOWS = {"1h": 3_600_000, "4h": 4 * 3_600_000, "1d": DAY_MS}
"""The windows of rolling tickers that have streams."""


class Tickers:
    """What is told of one symbol; all times are Unix milliseconds."""

    def __init__(self, symbol: Symbol, view: SecurityView, flow: TradeFlow) -> None:
        self.symbol = symbol
        self._view = view
        self._flow = flow

    @property
    def have_traded(self) -> bool:
        """Whether anything has ever traded."""
        return self._flow.price is not None

    # ---- answers ------------------------------------------------------------------------------

    def price(self) -> dict[str, Any]:
        """Return the last price."""
        return {"symbol": self.symbol.name, "price": self.symbol.price(self._flow.price)}

    def best(self) -> dict[str, Any]:
        """Return the best prices and how much there is; zero where nobody offers."""
        return {"symbol": self.symbol.name, **self._best()}

    def full(self, now_ms: int, width_ms: int = DAY_MS) -> dict[str, Any]:
        """Return all of the last `width_ms` that does not tell of the book."""
        symbol = self.symbol
        bar, change = self._bar(now_ms, width_ms), self._change(now_ms, width_ms)
        return {
            "symbol": symbol.name,
            "priceChange": change[0],
            "priceChangePercent": change[1],
            "weightedAvgPrice": symbol.average(bar.notional, bar.volume),
            **self._prices(bar),
            **self._sums(bar, now_ms, width_ms),
        }

    def day(self, now_ms: int) -> dict[str, Any]:
        """Return the last 24 hours and the book's best prices."""
        return {
            **self.full(now_ms),
            "prevClosePrice": self.symbol.price(self._before(now_ms)),
            "lastQty": self.symbol.quantity(self._flow.quantity),
            **self._best(),
        }

    def mini(self, now_ms: int, width_ms: int = DAY_MS) -> dict[str, Any]:
        """Return the prices and sums of the last `width_ms`."""
        bar = self._bar(now_ms, width_ms)
        return {
            "symbol": self.symbol.name,
            **self._prices(bar),
            **self._sums(bar, now_ms, width_ms),
        }

    def average(self, now_ms: int) -> dict[str, Any]:
        """Return the average price of the last five minutes, weighted; else the last price."""
        return {
            "mins": AVERAGE_MINUTES,
            "price": self._average(now_ms),
            "closeTime": self._flow.time_ms,
        }

    # ---- events -------------------------------------------------------------------------------

    def book_event(self) -> dict[str, Any]:
        """Return the event of ``@bookTicker``, which has no type and no time."""
        best = self._best()
        return {
            "u": self._view.seq,
            "s": self.symbol.name,
            "b": best["bidPrice"],
            "B": best["bidQty"],
            "a": best["askPrice"],
            "A": best["askQty"],
        }

    def mini_event(self, now_ms: int, scale: int) -> dict[str, Any]:
        """Return the event of ``@miniTicker``; `scale` is 1 for milliseconds, 1000 for less."""
        mini = self.mini(now_ms)
        return {
            "e": "24hrMiniTicker",
            "E": now_ms * scale,
            "s": self.symbol.name,
            "c": mini["lastPrice"],
            "o": mini["openPrice"],
            "h": mini["highPrice"],
            "l": mini["lowPrice"],
            "v": mini["volume"],
            "q": mini["quoteVolume"],
        }

    def day_event(self, now_ms: int, scale: int) -> dict[str, Any]:
        """Return the event of ``@ticker``."""
        day = self.day(now_ms)
        event = self._window_event("24hrTicker", day, now_ms, scale)
        return {
            **event,
            "x": day["prevClosePrice"],
            "Q": day["lastQty"],
            "b": day["bidPrice"],
            "B": day["bidQty"],
            "a": day["askPrice"],
            "A": day["askQty"],
        }

    def window_event(self, name: str, now_ms: int, scale: int) -> dict[str, Any]:
        """Return the event of ``@ticker_<name>``."""
        return self._window_event(f"{name}Ticker", self.full(now_ms, WINDOWS[name]), now_ms, scale)

    def _window_event(
        self, kind: str, full: dict[str, Any], now_ms: int, scale: int
    ) -> dict[str, Any]:
        return {
            "e": kind,
            "E": now_ms * scale,
            "s": self.symbol.name,
            "p": full["priceChange"],
            "P": full["priceChangePercent"],
            "w": full["weightedAvgPrice"],
            "o": full["openPrice"],
            "h": full["highPrice"],
            "l": full["lowPrice"],
            "c": full["lastPrice"],
            "v": full["volume"],
            "q": full["quoteVolume"],
            "O": full["openTime"] * scale,
            "C": full["closeTime"] * scale,
            "F": full["firstId"],
            "L": full["lastId"],
            "n": full["count"],
        }

    def average_event(self, now_ms: int, scale: int) -> dict[str, Any]:
        """Return the event of ``@avgPrice``."""
        return {
            "e": "avgPrice",
            "E": now_ms * scale,
            "s": self.symbol.name,
            "i": f"{AVERAGE_MINUTES}m",
            "w": self._average(now_ms),
            "T": self._flow.time_ms * scale,
        }

    # ---- parts --------------------------------------------------------------------------------

    def _bar(self, now_ms: int, width_ms: int) -> Bar:
        bar = self._flow.window(now_ms, width_ms)
        return empty(now_ms, self._flow.price or 0) if bar is None else bar

    def _before(self, now_ms: int) -> int:
        """Return the last price before the 24 hours; the first one of them if that is unknown."""
        before = self._flow.close_before(now_ms - DAY_MS - MINUTE_MS + 1)
        return self._bar(now_ms, DAY_MS).open if before is None else before

    def _change(self, now_ms: int, width_ms: int) -> tuple[str, str]:
        """Return by how much the price has changed, and by how many percent, rounded."""
        bar = self._bar(now_ms, width_ms)
        change = bar.close - bar.open
        thousandths = (200_000 * change + bar.open) // (2 * bar.open) if bar.open else 0
        return self.symbol.price(change), plain(thousandths, 3)

    def _average(self, now_ms: int) -> str:
        minute_ms = now_ms - now_ms % MINUTE_MS
        bar = total(self._flow.since(minute_ms - (AVERAGE_MINUTES - 1) * MINUTE_MS))
        if bar is None:
            return self.symbol.price(self._flow.price)
        return self.symbol.average(bar.notional, bar.volume)

    def _best(self) -> dict[str, str]:
        symbol, depth = self.symbol, self._view.depth
        bid, ask = depth.best(BID) or (0, 0), depth.best(ASK) or (0, 0)
        return {
            "bidPrice": symbol.price(bid[0]),
            "bidQty": symbol.quantity(bid[1]),
            "askPrice": symbol.price(ask[0]),
            "askQty": symbol.quantity(ask[1]),
        }

    def _prices(self, bar: Bar) -> dict[str, str]:
        symbol = self.symbol
        return {
            "openPrice": symbol.price(bar.open),
            "highPrice": symbol.price(bar.high),
            "lowPrice": symbol.price(bar.low),
            "lastPrice": symbol.price(bar.close),
        }

    def _sums(self, bar: Bar, now_ms: int, width_ms: int) -> dict[str, Any]:
        symbol = self.symbol
        return {
            "volume": symbol.quantity(bar.volume),
            "quoteVolume": symbol.notional(bar.notional),
            "openTime": now_ms - width_ms,
            "closeTime": now_ms,
            "firstId": bar.first_id,
            "lastId": bar.last_id,
            "count": bar.fills,
        }
