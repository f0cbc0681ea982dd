"""What the fills of a batch add to the candles of every interval."""

from __future__ import annotations

from collections.abc import Iterator

from fastbook_server.values.candles import CandleSeries
from fastbook_wire.words import INTERVALS

CandleRow = tuple[str, int, int, int, int, int, int, int, int]
"""Security, interval_ms, time; open, high, low, close in ticks; volume in lots; trades."""


def candle_rows(security: str, seconds: CandleSeries) -> Iterator[CandleRow]:
    """Yield the candles of every interval, each merged from the next shorter one."""
    candles = seconds.candles
    for interval_ms in INTERVALS.values():
        if len(candles) > 1 and interval_ms != seconds.interval_ms:
            longer = CandleSeries(interval_ms, 0)
            for candle in candles:
                longer.merge(candle)
            candles = longer.candles
        for c in candles:  # a single candle differs between intervals only in its start
            yield (
                security, interval_ms, c.start_ms - c.start_ms % interval_ms,
                c.open, c.high, c.low, c.close, c.volume, c.trades,
            )  # fmt: skip
