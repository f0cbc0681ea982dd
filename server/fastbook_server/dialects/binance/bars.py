"""Bars: what traded in a time, with what klines and tickers say beyond a candle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from fastbook_server.values.candles import Candle
from fastbook_server.values.persisted import StoredFill

NO_ID = -1


@dataclass(slots=True)
class Bar:
    """The fills of one bucket: prices in ticks, volumes in lots, notionals in ticks x lots.

    ``bought`` is the part whose takers were buyers. Without fills, ``fills`` is 0 and the ids are
    -1: such a bar stands for a bucket in which nothing traded.
    """

    start_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int = 0
    notional: int = 0
    fills: int = 0
    bought: int = 0
    bought_notional: int = 0
    first_id: int = NO_ID
    last_id: int = NO_ID

    def add(self, fill: StoredFill) -> None:
        """Add a fill, never older than the one before it."""
        price, quantity = fill.price, fill.quantity
        if not self.fills:
            self.open = self.high = self.low = price
        self.high, self.low, self.close = max(self.high, price), min(self.low, price), price
        self.volume += quantity
        self.notional += price * quantity
        self.fills += 1
        if fill.side == "bid":
            self.bought += quantity
            self.bought_notional += price * quantity
        if self.first_id == NO_ID:
            self.first_id = fill.fill_id
        self.last_id = fill.fill_id

    def merge(self, later: Bar) -> None:
        """Add a later part of the same bucket."""
        if not later.fills:
            return
        if not self.fills:
            self.open, self.high, self.low = later.open, later.high, later.low
        self.high, self.low = max(self.high, later.high), min(self.low, later.low)
        self.close = later.close
        self.volume += later.volume
        self.notional += later.notional
        self.fills += later.fills
        self.bought += later.bought
        self.bought_notional += later.bought_notional
        if self.first_id == NO_ID:
            self.first_id = later.first_id
        if later.last_id != NO_ID:
            self.last_id = later.last_id


def empty(start_ms: int, price: int) -> Bar:
    """Return the bar of a bucket in which nothing traded, at the price of before."""
    return Bar(start_ms, price, price, price, price)


def of_candle(candle: Candle) -> Bar:
    """Return what a candle says: its fills have been dropped, so the rest is an estimate.

    Every trade counts as one fill at the mean of the four prices; who bought is not known.
    """
    four = candle.open + candle.high + candle.low + candle.close
    return Bar(
        *(candle.start_ms, candle.open, candle.high, candle.low, candle.close),
        volume=candle.volume,
        notional=candle.volume * four // 4,
        fills=max(candle.trades, 1),
    )


def folded(fills: Iterable[StoredFill], width_ms: int) -> list[Bar]:
    """Return the bars of all buckets with fills; both are oldest first."""
    bars: list[Bar] = []
    for fill in fills:
        start_ms = fill.time_ms - fill.time_ms % width_ms
        if not bars or bars[-1].start_ms != start_ms:
            bars.append(empty(start_ms, fill.price))
        bars[-1].add(fill)
    return bars


def total(bars: Iterable[Bar]) -> Bar | None:
    """Return all bars as one, or None if there is none."""
    whole: Bar | None = None
    for bar in bars:
        if whole is None:
            whole = replace(bar)
        else:
            whole.merge(bar)
    return whole


def ids_known(bars: Iterable[Bar]) -> Iterator[int]:
    """Yield the number of the last fill of each bar that knows it."""
    return (bar.last_id for bar in bars if bar.last_id != NO_ID)
