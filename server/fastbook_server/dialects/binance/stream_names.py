"""The names of streams, such as ``btcusdt@depth@100ms``, and what each means."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fastbook_server.dialects.binance.intervals import KLINE_INTERVALS, KlineInterval, offset_of
from fastbook_server.dialects.binance.symbols import Symbol, Symbols
from fastbook_server.dialects.binance.tickers import WINDOWS

LEVELS = (5, 10, 20)
SIMPLE = ("trade", "aggTrade", "bookTicker", "miniTicker", "ticker", "avgPrice")
BOOK = tuple(
    f"depth{levels}{speed}" for levels in ("", *LEVELS) for speed in ("", "@100ms", "@1000ms")
)
ROLLING = tuple(f"ticker_{window}" for window in WINDOWS)
OF_ALL = ("!miniTicker@arr", "!ticker@arr", *(f"!{name}@arr" for name in ROLLING))
_KLINE = re.compile(r"kline_(\w+)(?:@([+-][0-9]{1,2}:[0-9]{2}))?", re.ASCII)
_OF_ONE = frozenset((*SIMPLE, *BOOK, *ROLLING))


@dataclass(frozen=True)
class StreamName:
    """A stream that exists: its symbol, None if it is of all; of klines, which ones."""

    name: str
    symbol: Symbol | None
    what: str
    interval: KlineInterval | None = None
    offset_ms: int = 0


def parsed(symbols: Symbols, name: str) -> StreamName | None:
    """Return the stream of a name, or None if there is none. Upper and lower case differ."""
    if name in OF_ALL:
        return StreamName(name, None, name)
    lower, _, what = name.partition("@")
    symbol = symbols.by_name.get(lower.upper())
    if symbol is None or lower != lower.lower():
        return None
    if what in _OF_ONE:
        return StreamName(name, symbol, what)
    kline = _KLINE.fullmatch(what)
    if kline is None or kline[1] not in KLINE_INTERVALS:
        return None
    try:
        offset_ms = offset_of(kline[2] or "0")
    except ValueError:
        return None
    return StreamName(name, symbol, what, KLINE_INTERVALS[kline[1]], offset_ms)
