"""The intervals of klines: where their buckets begin, and of which of our candles they are made."""

from __future__ import annotations

from datetime import UTC, datetime

from fastbook_server.dialects.binance.refused import DialectRefusal
from fastbook_wire.words import INTERVALS, Interval

DAY_MS = INTERVALS["1d"]
_HOUR_MS = INTERVALS["1h"]
_EPOCH_TO_MONDAY_MS = 3 * DAY_MS
"""The first day of the epoch was a Thursday: its week began so long before."""


class KlineInterval:
    """An interval; its buckets are those of UTC, moved by the offset of a time zone."""

    def __init__(self, name: str, width_ms: int, base: Interval) -> None:
        self.name = name
        self._width_ms = width_ms
        self._base: Interval = base

    def base(self, offset_ms: int = 0) -> Interval:
        """Return the longest of our own intervals whose buckets divide those of this one."""
        width_ms = INTERVALS[self._base]
        if offset_ms % width_ms == 0:
            return self._base
        shorter = (name for name, ms in INTERVALS.items() if offset_ms % ms == 0 and ms < width_ms)
        return list(shorter)[-1]

    def start(self, time_ms: int, offset_ms: int = 0) -> int:
        """Return when the bucket of a time begins; all times are Unix milliseconds."""
        local = time_ms + offset_ms
        return local - (local + self._shift_ms) % self._width_ms - offset_ms

    @property
    def _shift_ms(self) -> int:
        return _EPOCH_TO_MONDAY_MS if self.name == "1w" else 0

    def end(self, start_ms: int, offset_ms: int = 0) -> int:
        """Return when the bucket that begins at `start_ms` ends, exclusive."""
        del offset_ms
        return start_ms + self._width_ms

    def back(self, start_ms: int, count: int, offset_ms: int = 0) -> int:
        """Return when the bucket `count` buckets before this one begins."""
        del offset_ms
        return start_ms - count * self._width_ms


class Month(KlineInterval):
    """Calendar months."""

    def __init__(self) -> None:
        super().__init__("1M", 0, "1d")

    def start(self, time_ms: int, offset_ms: int = 0) -> int:
        """Return when the month of a time begins."""
        moment = datetime.fromtimestamp((time_ms + offset_ms) // 1_000, UTC)
        return _first_ms(moment.year, moment.month) - offset_ms

    def end(self, start_ms: int, offset_ms: int = 0) -> int:
        """Return when the next month begins."""
        return self.back(start_ms, -1, offset_ms)

    def back(self, start_ms: int, count: int, offset_ms: int = 0) -> int:
        """Return when the month `count` months before this one begins; none is before 1970."""
        moment = datetime.fromtimestamp((start_ms + offset_ms) // 1_000, UTC)
        months = max(moment.year * 12 + moment.month - 1 - count, 1970 * 12)
        return _first_ms(months // 12, months % 12 + 1) - offset_ms


def _first_ms(year: int, month: int) -> int:
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * 1_000


_MINUTE_MS = INTERVALS["1m"]
KLINE_INTERVALS: dict[str, KlineInterval] = {
    interval.name: interval
    for interval in (
        KlineInterval("1s", 1_000, "1s"),
        KlineInterval("1m", _MINUTE_MS, "1m"),
        KlineInterval("3m", 3 * _MINUTE_MS, "1m"),
        KlineInterval("5m", 5 * _MINUTE_MS, "5m"),
        KlineInterval("15m", 15 * _MINUTE_MS, "5m"),
        KlineInterval("30m", 30 * _MINUTE_MS, "5m"),
        *(KlineInterval(f"{n}h", n * _HOUR_MS, "1h") for n in (1, 2, 4, 6, 8, 12)),
        KlineInterval("1d", DAY_MS, "1d"),
        KlineInterval("3d", 3 * DAY_MS, "1d"),
        KlineInterval("1w", 7 * DAY_MS, "1d"),
        Month(),
    )
}
"""By name; upper and lower case differ: 1M is a month, 1m a minute."""

_OFFSET_MIN_MS, _OFFSET_MAX_MS = -12 * _HOUR_MS, 14 * _HOUR_MS


def kline_interval(name: str) -> KlineInterval:
    """Return the interval of this name; DialectRefusal if there is none."""
    interval = KLINE_INTERVALS.get(name)
    if interval is None:
        raise DialectRefusal(-1120, "Invalid interval.")
    return interval


def offset_of(text: str) -> int:
    """Return a time zone such as ``0``, ``8``, ``-3:30`` or ``+08:00`` in milliseconds.

    Raises:
        ValueError: `text` is none, or not from -12:00 to +14:00.
    """
    sign = -1 if text.startswith("-") else 1
    hours, colon, minutes = text.removeprefix("-" if sign < 0 else "+").partition(":")
    digits = hours + (minutes if colon else "0")
    if not (digits.isascii() and digits.isdigit() and hours and (minutes or not colon)):
        raise ValueError(f"expected hours and minutes, got {text[:20]!r}")
    if len(hours) > 2 or len(minutes) > 2 or int(minutes or 0) > 59:
        raise ValueError(f"expected hours and minutes, got {text[:20]!r}")
    offset_ms = sign * (int(hours) * _HOUR_MS + int(minutes or 0) * _MINUTE_MS)
    if not _OFFSET_MIN_MS <= offset_ms <= _OFFSET_MAX_MS:
        raise ValueError(f"expected -12:00 to +14:00, got {text[:20]!r}")
    return offset_ms
