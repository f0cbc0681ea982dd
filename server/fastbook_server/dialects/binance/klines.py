"""Klines: bars of every interval, without holes, from what is in memory and in the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fastbook_server.dialects.binance.bar_history import BarHistory
from fastbook_server.dialects.binance.bars import Bar, empty
from fastbook_server.dialects.binance.intervals import KlineInterval
from fastbook_server.dialects.binance.symbols import Symbol
from fastbook_server.dialects.binance.trade_flow import TradeFlow
from fastbook_server.values.candles import Candle
from fastbook_wire.words import INTERVALS, Interval


class Klines:
    """The klines of all symbols.

    A bucket in which nothing traded repeats the last price with volume 0; before the first trade
    of a symbol there are none. `final_ms` returns until when all is in the database.
    """

    def __init__(
        self, flows: Mapping[str, TradeFlow], history: BarHistory, final_ms: Callable[[], int]
    ) -> None:
        self._flows = flows
        self._history = history
        self._final_ms = final_ms

    async def bars(
        self,
        security: str,
        interval: KlineInterval,
        *,
        now_ms: int,
        limit: int,
        start_ms: int | None = None,
        end_ms: int | None = None,
        offset_ms: int = 0,
    ) -> list[Bar]:
        """Return at most `limit` bars, oldest first, that begin in [`start_ms`, `end_ms`].

        With `start_ms` the first of them, without it the last; none begins after `now_ms`. Buckets
        are those of UTC moved by `offset_ms`.

        Raises:
            DialectRefusal: the database is away or too busy.
        """
        last = now_ms if end_ms is None else min(now_ms, end_ms)
        if start_ms is None:
            first = interval.back(interval.start(last, offset_ms), limit - 1, offset_ms)
        else:
            first = interval.start(start_ms, offset_ms)
            if first < start_ms:
                first = interval.end(first, offset_ms)
        if first > last:
            return []
        base = interval.base(offset_ms)
        close = await self._close_before(security, base, first)
        if close is None:
            found = await self._first(security, base, first)
            if found is None or interval.start(found.start_ms, offset_ms) > last:
                return []
            first, close = interval.start(found.start_ms, offset_ms), found.open
        ends = list(_ends(interval, first, last, limit, offset_ms))
        parts = await self._parts(security, base, first, ends[-1])
        return _without_holes(first, ends, parts, close)

    async def _close_before(self, security: str, base: Interval, time_ms: int) -> int | None:
        flow = self._flows[security]
        if base != "1s" and time_ms >= flow.from_ms:
            close = flow.close_before(time_ms)
            if close is not None:
                return close
        candle = await self._history.before(security, base, time_ms)
        return None if candle is None else candle.close

    async def _first(self, security: str, base: Interval, start_ms: int) -> Candle | Bar | None:
        """Return the first candle from a time on, be it only in memory yet."""
        found = await self._history.first(security, base, start_ms)
        if found is None and base != "1s":
            return next(iter(self._flows[security].since(start_ms)), None)
        return found

    async def _parts(
        self, security: str, base: Interval, start_ms: int, end_ms: int
    ) -> Sequence[Bar]:
        """Return the bars that buckets are made of: what is in memory is not asked for."""
        flow, width_ms = self._flows[security], INTERVALS[base]
        if base == "1s":
            memory_ms = end_ms
        else:
            memory_ms = max(start_ms, -(-flow.from_ms // width_ms) * width_ms)
        old = await self._history.bars(
            security, base, start_ms, min(memory_ms, end_ms), final_ms=self._final_ms()
        )
        return [*old, *(bar for bar in flow.since(memory_ms) if bar.start_ms < end_ms)]


def _ends(
    interval: KlineInterval, first_ms: int, last_ms: int, limit: int, offset_ms: int
) -> Iterator[int]:
    """Yield when buckets end, of which the first begins at `first_ms`, none after `last_ms`."""
    start_ms = first_ms
    for _ in range(limit):
        if start_ms > last_ms:
            return
        start_ms = interval.end(start_ms, offset_ms)
        yield start_ms


def _without_holes(
    first_ms: int, ends: Sequence[int], parts: Sequence[Bar], close: int
) -> list[Bar]:
    bars: list[Bar] = []
    start_ms, n = first_ms, 0
    for end_ms in ends:
        bar = empty(start_ms, close)
        while n < len(parts) and parts[n].start_ms < end_ms:
            bar.merge(parts[n])
            n += 1
        bars.append(bar)
        close, start_ms = bar.close, end_ms
    return bars


def row(symbol: Symbol, bar: Bar, end_ms: int) -> list[Any]:
    """Return the 12 columns of a kline; its close time is the last millisecond of the bucket."""
    return [
        bar.start_ms,
        symbol.price(bar.open),
        symbol.price(bar.high),
        symbol.price(bar.low),
        symbol.price(bar.close),
        symbol.quantity(bar.volume),
        end_ms - 1,
        symbol.notional(bar.notional),
        bar.fills,
        symbol.quantity(bar.bought),
        symbol.notional(bar.bought_notional),
        "0",
    ]


def told(symbol: Symbol, interval: str, bar: Bar, end_ms: int, *, closed: bool) -> dict[str, Any]:
    """Return the kline of a stream's event; its two times are in milliseconds."""
    return {
        "t": bar.start_ms,
        "T": end_ms - 1,
        "s": symbol.name,
        "i": interval,
        "f": bar.first_id,
        "L": bar.last_id,
        "o": symbol.price(bar.open),
        "c": symbol.price(bar.close),
        "h": symbol.price(bar.high),
        "l": symbol.price(bar.low),
        "v": symbol.quantity(bar.volume),
        "n": bar.fills,
        "x": closed,
        "q": symbol.notional(bar.notional),
        "V": symbol.quantity(bar.bought),
        "Q": symbol.notional(bar.bought_notional),
        "B": "0",
    }
