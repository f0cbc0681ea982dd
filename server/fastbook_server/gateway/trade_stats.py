"""Statistics of one security's fills: candles of every interval, and the last 24 hours.

A fill is added to the current second; the second is added to everything else when it is over or a
reader flushes it. Without readers a fill costs one addition. Prices are in ticks, volumes in lots.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from fastbook_server.values.candles import Candle, CandleSeries
from fastbook_wire.words import INTERVALS, Interval

SECOND_MS = 1_000
MINUTE_MS = 60_000
DAY_MS = 86_400_000
DAY_MINUTES = DAY_MS // MINUTE_MS + 1
"""How many minutes the last 24 hours touch; the minute in which they began counts whole."""


class Day:
    """The last 24 hours, to the minute: a minute counts until all of it is older.

    Adding and dropping a minute is O(1) amortised.
    """

    def __init__(self, minutes: Iterable[Candle] = ()) -> None:
        self.volume = 0
        self._minutes: deque[Candle] = deque()
        self._highs: deque[tuple[int, int]] = deque()  # (minute, price), falling
        self._lows: deque[tuple[int, int]] = deque()  # rising
        for minute in minutes:
            self.add(minute, minute)

    def add(self, part: Candle, minute: Candle) -> None:
        """Add a part of `minute`, which is never older than the newest one."""
        if not self._minutes or self._minutes[-1].start_ms != minute.start_ms:
            self._minutes.append(minute)
            self.advance(minute.start_ms)
        self.volume += part.volume
        _push(self._highs, minute.start_ms, part.high, 1)
        _push(self._lows, minute.start_ms, part.low, -1)

    def advance(self, now_ms: int) -> bool:
        """Drop the minutes that are too old at `now_ms`; return whether there were any."""
        oldest_ms = now_ms - DAY_MS - MINUTE_MS + 1
        minutes, before = self._minutes, len(self._minutes)
        while minutes and minutes[0].start_ms < oldest_ms:
            self.volume -= minutes.popleft().volume
        for extremes in (self._highs, self._lows):
            while extremes and extremes[0][0] < oldest_ms:
                extremes.popleft()
        return len(minutes) < before

    @property
    def next_ms(self) -> int | None:
        """When the oldest minute leaves the last 24 hours; None without fills."""
        return self._minutes[0].start_ms + MINUTE_MS + DAY_MS if self._minutes else None

    @property
    def open(self) -> int | None:
        """The price of the first fill."""
        return self._minutes[0].open if self._minutes else None

    @property
    def high(self) -> int | None:
        """The highest price."""
        return self._highs[0][1] if self._highs else None

    @property
    def low(self) -> int | None:
        """The lowest price."""
        return self._lows[0][1] if self._lows else None


def _push(extremes: deque[tuple[int, int]], start_ms: int, price: int, sign: int) -> None:
    """Add a price, and drop those that can never be the extreme again."""
    while extremes and sign * extremes[-1][1] <= sign * price:
        extremes.pop()
    extremes.append((start_ms, price))


class TradeStats:
    """All candles and the last 24 hours of one security.

    `past` holds candles by interval, oldest first; `kept` of each interval stay in memory.
    ``series``, ``day`` and ``last`` are current after ``flush``.
    """

    def __init__(self, kept: int, past: Mapping[Interval, Iterable[Candle]] | None = None) -> None:
        past = past or {}
        self.series = {
            interval: CandleSeries(ms, kept_of(interval, kept), past.get(interval, ()))
            for interval, ms in INTERVALS.items()
        }
        minutes = self.series["1m"].candles
        self.last = minutes[-1].close if minutes else None
        self.day = Day(minutes)
        self._second: Candle | None = None  # not added to the rest yet

    def add(self, time_ms: int, price: int, quantity: int, is_first: bool) -> None:
        """Add a fill, never older than the one before it."""
        second = self._second
        if second is None or time_ms - second.start_ms >= SECOND_MS:
            self.flush()
            start_ms = time_ms - time_ms % SECOND_MS
            self._second = Candle(start_ms, price, price, price, price, quantity, int(is_first))
        else:
            second.add(price, quantity, is_first)

    def merge(self, second: Candle) -> None:
        """Add the fills of a second, or of a part of it, none older than the one before them."""
        known = self._second
        if known is not None and known.start_ms == second.start_ms:
            known.merge(second)
        else:
            self.flush()
            self._second = second

    def flush(self) -> None:
        """Add the current second to every series and the day."""
        second, self._second = self._second, None
        if second is None:
            return
        for series in self.series.values():
            series.merge(second)
        self.day.add(second, self.series["1m"].candles[-1])
        self.last = second.close


def kept_of(interval: Interval, kept: int) -> int:
    """Return how many candles of an interval must be kept to show the last `kept` of each."""
    return max(kept, DAY_MINUTES) if interval == "1m" else kept
