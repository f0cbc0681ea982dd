"""The kline of this moment: it follows every fill, and each bucket ends exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace

from fastbook_server.dialects.binance.bars import Bar, empty
from fastbook_server.dialects.binance.intervals import KlineInterval
from fastbook_server.dialects.binance.refused import DialectRefusal
from fastbook_server.values.persisted import StoredFill

AGAIN_S = 1.0
SKIPPED_MAX = 1_000
"""After a longer silence the empty buckets in between are not told."""

Load = Callable[[], Awaitable[list[Bar]]]
"""Reads the kline of now; it is empty before the first trade of all."""


class LiveKline:
    """One symbol's open kline of one interval; it asks once for what has been in it already."""

    def __init__(self, interval: KlineInterval, offset_ms: int, load: Load) -> None:
        self._interval = interval
        self._offset_ms = offset_ms
        self._load = load
        self._bar: Bar | None = None
        self._changed = False
        self._early: list[StoredFill] | None = []
        self._waiting: list[Callable[[], None]] = []
        self._task = asyncio.create_task(self._begin(), name="kline")

    def when_ready(self, call: Callable[[], None]) -> None:
        """Call `call` once it knows what has been: at once, or later."""
        if self._early is None:
            call()
        else:
            self._waiting.append(call)

    def stop(self) -> None:
        """Follow nothing more."""
        self._task.cancel()

    async def _begin(self) -> None:
        while True:
            try:
                found = await self._load()
                break
            except DialectRefusal:  # the database is away for the moment
                await asyncio.sleep(AGAIN_S)
        early, self._early = self._early or (), None
        self._bar = found[-1] if found else None
        known = -1 if self._bar is None else self._bar.last_id
        self.add([fill for fill in early if fill.fill_id > known])
        for call in self._waiting:
            call()
        self._waiting.clear()

    @property
    def now(self) -> tuple[Bar, int] | None:
        """The open kline and when it ends; None before the first trade."""
        return None if self._bar is None else (self._bar, self._end_ms)

    @property
    def _end_ms(self) -> int:
        assert self._bar is not None, "there is a kline"
        return self._interval.end(self._bar.start_ms, self._offset_ms)

    def add(self, fills: Sequence[StoredFill]) -> list[tuple[Bar, int]]:
        """Follow new fills; return the klines that they have ended, with their ends."""
        ended: list[tuple[Bar, int]] = []
        if self._early is not None:
            self._early.extend(fills)
            return ended
        for fill in fills:
            ended += self.advance(fill.time_ms)
            if self._bar is None:
                start_ms = self._interval.start(fill.time_ms, self._offset_ms)
                self._bar = empty(start_ms, fill.price)
            if fill.fill_id > self._bar.last_id:
                self._bar.add(fill)
                self._changed = True
        return ended

    def advance(self, settled_ms: int) -> Iterator[tuple[Bar, int]]:
        """Yield the klines that are over at a time, with their ends, and begin the next one."""
        for _ in range(SKIPPED_MAX):
            if self._bar is None or settled_ms < self._end_ms:
                return
            over, end_ms = self._bar, self._end_ms
            self._bar, self._changed = empty(end_ms, over.close), True
            yield over, end_ms
        if self._bar is not None and settled_ms >= self._end_ms:
            start_ms = self._interval.start(settled_ms, self._offset_ms)
            self._bar = replace(self._bar, start_ms=start_ms)

    def take_change(self) -> tuple[Bar, int] | None:
        """Return the open kline if it has changed since the last call."""
        changed, self._changed = self._changed, False
        return self.now if changed else None
