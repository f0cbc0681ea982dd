"""Candles: the trading of each time bucket, in integers, computed from fills alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass
class Candle:
    """One bucket in which something traded; prices in ticks, ``volume`` in lots.

    ``start_ms`` is a multiple of the interval. ``trades`` counts the incoming orders that traded,
    not their fills.
    """

    start_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    trades: int

    def add(self, price: int, quantity: int, is_first: bool) -> None:
        """Add a fill; `is_first` marks the first fill of its incoming order."""
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.close = price
        self.volume += quantity
        self.trades += is_first

    def merge(self, later: Candle) -> None:
        """Add a later part of the same bucket."""
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close = later.close
        self.volume += later.volume
        self.trades += later.trades


class CandleSeries:
    """The last `kept` candles of one security and one interval, oldest first (0: all).

    ``ended`` collects completed candles for a reader that empties it; with None, none are.
    """

    def __init__(self, interval_ms: int, kept: int, past: Iterable[Candle] = ()) -> None:
        self.interval_ms = interval_ms
        self.candles: deque[Candle] = deque(past, maxlen=kept or None)
        self.ended: list[Candle] | None = None

    def add(self, time_ms: int, price: int, quantity: int, is_first: bool) -> Candle:
        """Add a fill, never older than the one before it; return its candle."""
        start_ms = time_ms - time_ms % self.interval_ms
        if self.candles and self.candles[-1].start_ms == start_ms:
            candle = self.candles[-1]
            candle.add(price, quantity, is_first)
        else:
            candle = Candle(start_ms, price, price, price, price, quantity, int(is_first))
            self._begin(candle)
        return candle

    def merge(self, part: Candle) -> Candle:
        """Add a candle of a shorter interval that divides this one; return the candle it went into.

        Parts must arrive in order of time.
        """
        start_ms = part.start_ms - part.start_ms % self.interval_ms
        if self.candles and self.candles[-1].start_ms == start_ms:
            candle = self.candles[-1]
            candle.merge(part)
        else:
            candle = replace(part, start_ms=start_ms)
            self._begin(candle)
        return candle

    def _begin(self, candle: Candle) -> None:
        if self.ended is not None and self.candles:
            self.ended.append(self.candles[-1])
        self.candles.append(candle)
