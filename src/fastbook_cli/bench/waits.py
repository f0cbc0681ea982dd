"""Waiting times in bounded memory: a histogram whose buckets are 1.6% wide or less."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

_FINE_BITS = 6
_FINE = 1 << _FINE_BITS
BARS_MS = tuple(digit * 10**power for power in range(-2, 5) for digit in (1, 2, 5))
"""The upper bounds of the bars of a picture, in ms: 0.01, 0.02, 0.05, … 50,000."""


class Waits:
    """Counts waiting times; all are in milliseconds, kept to the microsecond or to 1.6%."""

    def __init__(self) -> None:
        self.count = 0
        self.max_ms = 0.0
        self._buckets: Counter[int] = Counter()

    def add(self, wait_ms: float) -> None:
        """Count one waiting time; less than none is none."""
        self.count += 1
        self.max_ms = max(self.max_ms, wait_ms)
        self._buckets[_bucket(max(0, int(wait_ms * 1_000)))] += 1

    def __iadd__(self, other: Waits) -> Waits:
        """Count all waiting times of `other` too."""
        self.count += other.count
        self.max_ms = max(self.max_ms, other.max_ms)
        self._buckets += other._buckets
        return self

    def percentile_ms(self, percent: float) -> float:
        """Return a time that `percent` of all do not exceed, but for the width of a bucket; or 0.

        100 is the longest, exactly.
        """
        if percent >= 100:
            return self.max_ms
        wanted, seen = percent / 100 * self.count, 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= wanted:
                return min(_upper(bucket) / 1_000, self.max_ms)
        return 0.0

    def bars(self) -> Iterator[tuple[float, int]]:
        """Yield how many times lie up to each bound of BARS_MS and above the one before.

        The first is the bar of the shortest time, the last that of the longest; what exceeds all
        bounds is in a last bar, up to ``max_ms``.
        """
        counts = [0] * (len(BARS_MS) + 1)
        for bucket, count in self._buckets.items():
            middle_ms = (_upper(bucket) + _upper(bucket - 1)) / 2_000
            counts[sum(middle_ms > bound for bound in BARS_MS)] += count
        used = [n for n, count in enumerate(counts) if count]
        for n in range(used[0], used[-1] + 1) if used else ():
            yield (*BARS_MS, self.max_ms)[n], counts[n]


def _bucket(us: int) -> int:
    """Return the bucket of so many microseconds: exact up to 127, then 64 in each power of two."""
    shift = max(0, us.bit_length() - _FINE_BITS - 1)
    return shift * _FINE + (us >> shift)


def _upper(bucket: int) -> int:
    """Return the least number of microseconds that is beyond a bucket."""
    shift = max(0, bucket // _FINE - 1)
    return (bucket - shift * _FINE + 1) << shift
