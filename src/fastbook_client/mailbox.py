"""The events that wait for the user: bounded, whatever the user does.

Of books, tickers, candles and depth changes the newest state is kept: a frame that is still unread
takes the next one in. Everything else (trades, the user's own orders, what the connection does) is
kept one by one, up to a bound.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from msgspec.structs import replace

from fastbook_client.errors import FastbookError, TooSlow
from fastbook_client.events import Event
from fastbook_wire.frames import (
    AggOrderBook,
    Candles,
    CandleView,
    Depth,
    LevelChange,
    Ticker,
)

CANDLES_MAX = 5_000
"""Unread candles of one channel; beyond it the oldest are dropped, `/api/candles` has them."""

Key = tuple[str, ...]


class _Unread(Protocol):
    """A place in the queue that takes later frames in."""

    key: Key

    def take(self, frame: Event) -> None:
        """Take a later frame in."""

    def event(self) -> Event:
        """Return what the user gets."""


class _Newest:
    """Of books and tickers the newest says it all."""

    def __init__(self, key: Key, frame: Event) -> None:
        self.key = key
        self._frame = frame

    def take(self, frame: Event) -> None:
        self._frame = frame

    def event(self) -> Event:
        return self._frame


class _AllCandles:
    """Each bucket's newest state."""

    def __init__(self, key: Key, frame: Candles) -> None:
        self.key = key
        self._frame = frame
        self._by_time: dict[int, CandleView] | None = None

    def take(self, frame: Event) -> None:
        assert isinstance(frame, Candles)
        if self._by_time is None:
            self._by_time = {candle.time: candle for candle in self._frame.candles}
        self._by_time.update({candle.time: candle for candle in frame.candles})
        while len(self._by_time) > CANDLES_MAX:
            del self._by_time[min(self._by_time)]

    def event(self) -> Event:
        if self._by_time is None:
            return self._frame
        candles = tuple(self._by_time[time] for time in sorted(self._by_time))
        return replace(self._frame, candles=candles)


class _AllChanges:
    """Each level's newest amount: as if one larger batch had made all the changes."""

    def __init__(self, key: Key, frame: Depth) -> None:
        self.key = key
        self._frame = frame
        self._sides: tuple[dict[float, float], dict[float, float]] | None = None

    def take(self, frame: Event) -> None:
        assert isinstance(frame, Depth)
        if frame.prev_seq is None:
            self._frame, self._sides = frame, None
            return
        first = self._frame
        if self._sides is None:
            self._sides = (
                {level.price: level.amount for level in first.ask},
                {level.price: level.amount for level in first.bid},
            )
        asks, bids = self._sides
        asks.update({level.price: level.amount for level in frame.ask})
        bids.update({level.price: level.amount for level in frame.bid})
        if first.prev_seq is None:  # the whole book holds no level that is gone
            for side, changes in ((asks, frame.ask), (bids, frame.bid)):
                for level in changes:
                    if not level.amount:
                        side.pop(level.price, None)
        self._frame = replace(first, seq=frame.seq, time=frame.time)

    def event(self) -> Event:
        if self._sides is None:
            return self._frame
        asks, bids = self._sides
        return replace(
            self._frame,
            ask=tuple(LevelChange(p, asks[p]) for p in sorted(asks)),
            bid=tuple(LevelChange(p, bids[p]) for p in sorted(bids, reverse=True)),
        )


def _unread(frame: Event) -> _Unread | None:
    match frame:
        case AggOrderBook():
            return _Newest(("book", frame.security), frame)
        case Ticker():
            return _Newest(("ticker", frame.security), frame)
        case Candles():
            return _AllCandles(("candles", frame.security, frame.interval), frame)
        case Depth():
            return _AllChanges(("depth", frame.security), frame)
    return None


class Mailbox:
    """The queue between the connection, which never waits, and the user, who may be slow.

    `queue_max` bounds what is kept one by one; 0: nothing is kept at all.
    """

    def __init__(self, queue_max: int) -> None:
        self.queue_max = queue_max
        self._queue: deque[Event | _Unread] = deque()
        self._open: dict[Key, _Unread] = {}
        self._kept = 0
        self._changed = asyncio.Event()
        self._ended = False
        self._error: FastbookError | None = None

    def put(self, event: Event) -> None:
        """Queue an event.

        Raises:
            TooSlow: `queue_max` of them are unread; this one is not queued any more.
        """
        if self._ended or not self.queue_max:
            return
        unread = _unread(event)
        if unread is None:
            if self._kept >= self.queue_max:
                raise TooSlow(self.queue_max)
            self._kept += 1
            self._queue.append(event)
        elif unread.key in self._open:
            self._open[unread.key].take(event)
        else:
            self._open[unread.key] = unread
            self._queue.append(unread)
        self._changed.set()

    def end(self, error: FastbookError | None) -> None:
        """Let the user read what is queued, and then raise `error`, or end."""
        if not self._ended:
            self._ended, self._error = True, error
            self._changed.set()

    async def get(self) -> Event:
        """Return the next event.

        Raises:
            FastbookError: as `end` was told.
            StopAsyncIteration: there is none any more.
        """
        while not self._queue:
            if self._ended:
                raise self._error or StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        first = self._queue.popleft()
        if isinstance(first, _Newest | _AllCandles | _AllChanges):
            del self._open[first.key]
            return first.event()
        self._kept -= 1
        return first  # type: ignore[return-value]  # the only other kind that is queued

    def __len__(self) -> int:
        """Return how many events wait."""
        return len(self._queue)
