"""What everybody may ask of prices: klines, tickers, averages, aggregate trades."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastbook_server.dialects.binance import agg_trades, klines
from fastbook_server.dialects.binance.bar_history import BarHistory
from fastbook_server.dialects.binance.calls import Call, Offer
from fastbook_server.dialects.binance.intervals import kline_interval, offset_of
from fastbook_server.dialects.binance.klines import Klines
from fastbook_server.dialects.binance.parameters import Parameters
from fastbook_server.dialects.binance.refused import DialectRefusal, missing
from fastbook_server.dialects.binance.symbols import Symbols
from fastbook_server.dialects.binance.tickers import Tickers

ROWS_MAX = 1_000
_WINDOW_UNITS_MS = {"m": (60_000, 59), "h": (3_600_000, 23), "d": (86_400_000, 1)}
"""The units of a window, and how many of each there may be; we know one day."""


class PriceFunctions:
    """Klines, tickers, averages, aggregate trades."""

    def __init__(
        self,
        symbols: Symbols,
        tickers: Mapping[str, Tickers],
        klines_of_all: Klines,
        history: BarHistory,
    ) -> None:
        self._symbols = symbols
        self._tickers = tickers
        self._klines = klines_of_all
        self._history = history

    def entries(self) -> list[Offer]:
        """Return the functions and where they are found."""
        return [
            Offer("GET", "aggTrades", "trades.aggregate", 4, self.agg_trades),
            Offer("GET", "klines", "klines", 2, self.klines),
            Offer("GET", "uiKlines", "uiKlines", 2, self.klines),
            Offer("GET", "avgPrice", "avgPrice", 2, self.average),
            Offer("GET", "ticker/24hr", "ticker.24hr", _day_weight, self.day),
            Offer("GET", "ticker/price", "ticker.price", _all_weight, self.price),
            Offer("GET", "ticker/bookTicker", "ticker.book", _all_weight, self.book),
            Offer("GET", "ticker", "ticker", _window_weight, self.window),
        ]

    async def agg_trades(self, call: Call) -> list[dict[str, Any]]:
        """Return aggregate trades, oldest first."""
        params = call.params
        symbol = self._symbols[params.text("symbol")]
        limit, from_id = params.limit(500, ROWS_MAX), params.integer("fromId")
        start_ms, end_ms = _times(params)
        if from_id is not None and (start_ms is not None or end_ms is not None):
            raise DialectRefusal(-1128, "Combination of optional parameters invalid.")
        found = await agg_trades.read(
            *(self._history, symbol.security),
            limit=limit,
            from_id=from_id,
            start_ms=start_ms,
            end_ms=end_ms,
        )
        return [agg_trades.told(symbol, trade) for trade in found]

    async def klines(self, call: Call) -> list[list[Any]]:
        """Return klines without holes, oldest first."""
        params = call.params
        symbol = self._symbols[params.text("symbol")]
        interval = kline_interval(params.text("interval"))
        start_ms, end_ms = _times(params)
        zone = params.optional("timeZone") or "0"
        try:
            offset_ms = offset_of(zone)
        except ValueError:
            raise DialectRefusal(
                -1130, "Data sent for parameter 'timeZone' is not valid."
            ) from None
        bars = await self._klines.bars(
            *(symbol.security, interval),
            now_ms=call.now_ms,
            limit=params.limit(500, ROWS_MAX),
            start_ms=start_ms,
            end_ms=end_ms,
            offset_ms=offset_ms,
        )
        return [klines.row(symbol, bar, interval.end(bar.start_ms, offset_ms)) for bar in bars]

    async def average(self, call: Call) -> dict[str, Any]:
        """Return the average price of the last minutes."""
        return self._one(call.params.text("symbol")).average(call.now_ms)

    async def day(self, call: Call) -> Any:
        """Return the last 24 hours of one symbol, of some, or of all."""
        if _kind(call.params) == "MINI":
            return self._told(call.params, lambda tickers: tickers.mini(call.now_ms))
        return self._told(call.params, lambda tickers: tickers.day(call.now_ms))

    async def price(self, call: Call) -> Any:
        """Return the last price of one symbol, of some, or of all."""
        return self._told(call.params, Tickers.price)

    async def book(self, call: Call) -> Any:
        """Return the best prices of one symbol, of some, or of all."""
        return self._told(call.params, Tickers.best)

    async def window(self, call: Call) -> Any:
        """Return a window of at most a day of one symbol or of some."""
        params, now_ms = call.params, call.now_ms
        width_ms = _width_ms(params.optional("windowSize") or "1d")
        if "symbol" not in params and "symbols" not in params:
            raise missing("symbol")
        if _kind(params) == "MINI":
            return self._told(params, lambda tickers: tickers.mini(now_ms, width_ms))
        return self._told(params, lambda tickers: tickers.full(now_ms, width_ms))

    def _told(self, params: Parameters, tell: Callable[[Tickers], dict[str, Any]]) -> Any:
        """Return one object for ``symbol``, a list for ``symbols`` or for all."""
        one, several = params.optional("symbol"), params.names("symbols")
        if one is not None and several is not None:
            raise DialectRefusal(-1128, "Combination of optional parameters invalid.")
        if one is not None:
            return tell(self._one(one))
        names = list(self._symbols.by_name) if several is None else several
        return [tell(self._one(name)) for name in names]

    def _one(self, name: str) -> Tickers:
        return self._tickers[self._symbols[name].security]


def _times(params: Parameters) -> tuple[int | None, int | None]:
    start_ms, end_ms = params.integer("startTime"), params.integer("endTime")
    if start_ms is not None and end_ms is not None and end_ms < start_ms:
        raise DialectRefusal(-1128, "Combination of optional parameters invalid.")
    return start_ms, end_ms


def _kind(params: Parameters) -> str:
    return params.one_of("type", ("FULL", "MINI"), "FULL")


def _width_ms(text: str) -> int:
    width_ms, most = _WINDOW_UNITS_MS.get(text[-1:], (0, 0))
    count = text[:-1]
    if not (count.isascii() and count.isdigit() and 1 <= int(count) <= most):
        raise DialectRefusal(-1130, "Data sent for parameter 'windowSize' is not valid.")
    return int(count) * width_ms


def _all_weight(params: Parameters) -> int:
    return 2 if "symbol" in params else 4


def _day_weight(params: Parameters) -> int:
    several = params.names("symbols")
    if "symbol" in params or (several is not None and len(several) <= 20):
        return 2
    return 40 if several is not None and len(several) <= 100 else 80


def _window_weight(params: Parameters) -> int:
    several = params.names("symbols") or ()
    return min(4 * max(len(several), 1), 200)
