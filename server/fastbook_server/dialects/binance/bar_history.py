"""The bars of the past, read from the database and remembered once they are final."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from fastbook_server.dialects.binance.bars import Bar, folded, of_candle
from fastbook_server.dialects.binance.refused import busy, outcome_unknown
from fastbook_server.gateway.http.history_queue import HistoryOverloaded, HistoryQueue
from fastbook_server.store import FillSpan, StoredFill, StoreUnavailable
from fastbook_server.values.candles import Candle
from fastbook_wire.words import INTERVALS, Interval

PAGE = 5_000
FILLS_MAX = 200_000
"""So many fills are read for one answer; what is older is told from candles."""
BARS_KEPT = 5_000

T = TypeVar("T")


@dataclass
class _Span:
    """Final bars from ``start_ms`` up to ``end_ms``; buckets without any have traded nothing."""

    start_ms: int
    end_ms: int
    bars: list[Bar] = field(default_factory=list)


class BarHistory:
    """Bars of our own intervals, made of candles and of the fills that they were made of.

    What fills say is exact. Of a bucket whose fills have been dropped, or are too many to read,
    the candle tells the prices and the volume; the rest is an estimate.
    """

    def __init__(self, history: HistoryQueue) -> None:
        self._history = history
        self._spans: dict[tuple[str, Interval], _Span] = {}

    async def bars(
        self, security: str, base: Interval, start_ms: int, end_ms: int, *, final_ms: int
    ) -> list[Bar]:
        """Return the bars that begin from `start_ms` up to `end_ms`, oldest first.

        What happened before `final_ms` is all in the database.

        Raises:
            DialectRefusal: the database is away or too busy.
        """
        if start_ms >= end_ms:
            return []
        key, known = (security, base), self._spans.get((security, base))
        if known is None or not known.start_ms <= start_ms <= known.end_ms:
            known = _Span(start_ms, start_ms)
        if known.end_ms < end_ms:
            fresh = await self._read(security, base, known.end_ms, end_ms)
        else:
            fresh = []
        bars = known.bars + fresh
        width_ms = INTERVALS[base]
        until_ms = max(known.end_ms, min(end_ms, final_ms - final_ms % width_ms))
        kept = [bar for bar in bars if bar.start_ms < until_ms]
        from_ms = known.start_ms
        if len(kept) > BARS_KEPT:
            kept = kept[-BARS_KEPT:]
            from_ms = kept[0].start_ms
        self._spans[key] = _Span(from_ms, until_ms, kept)
        return [bar for bar in bars if start_ms <= bar.start_ms < end_ms]

    async def before(self, security: str, base: Interval, time_ms: int) -> Candle | None:
        """Return the last candle before a time. Raises like `bars`."""
        found = await self._candles(security, base, None, time_ms, 1)
        return found[-1] if found else None

    async def first(self, security: str, base: Interval, start_ms: int) -> Candle | None:
        """Return the first candle from a time on. Raises like `bars`."""
        found = await self._candles(security, base, start_ms, None, 1)
        return found[0] if found else None

    async def fills(self, security: str, span: FillSpan) -> tuple[Sequence[StoredFill], bool]:
        """Return fills, oldest first, and whether there are more. Raises like `bars`."""
        return await _answered(self._history.fills(security, span))

    async def _candles(
        self, security: str, base: Interval, start_ms: int | None, end_ms: int | None, limit: int
    ) -> Sequence[Candle]:
        asked = self._history.candles(security, base, start_ms=start_ms, end_ms=end_ms, limit=limit)
        return (await _answered(asked))[0]

    async def _read(self, security: str, base: Interval, start_ms: int, end_ms: int) -> list[Bar]:
        width_ms = INTERVALS[base]
        count = -(-(end_ms - start_ms) // width_ms)
        candles = await self._candles(security, base, start_ms, end_ms, count)
        bars = {candle.start_ms: of_candle(candle) for candle in candles}
        exact = folded(await self._fills(security, start_ms, end_ms), width_ms)
        for bar in exact:  # the oldest may have lost some of its fills
            candle = bars.get(bar.start_ms)
            if candle is None or bar.volume >= candle.volume:
                bars[bar.start_ms] = bar
        return [bars[start] for start in sorted(bars)]

    async def _fills(self, security: str, start_ms: int, end_ms: int) -> list[StoredFill]:
        """Return the newest fills of a time, at most so many."""
        pages: list[Sequence[StoredFill]] = []
        count, before = 0, None
        while count < FILLS_MAX:
            span = FillSpan(before=before, end_ms=end_ms, limit=PAGE)
            found, more = await self.fills(security, span)
            pages.append(found)
            count += len(found)
            if not found or not more or found[0].time_ms < start_ms:
                break
            before = found[0].fill_id
        return [fill for page in reversed(pages) for fill in page if fill.time_ms >= start_ms]


async def _answered(asked: Awaitable[T]) -> T:
    try:
        return await asked
    except HistoryOverloaded:
        raise busy(None) from None
    except StoreUnavailable:
        raise outcome_unknown() from None
