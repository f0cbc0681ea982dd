"""The queue of unread events, bounded however slowly the program reads.

Books, tickers, candles and depth changes are conflated: a new frame is merged into the unread one.
All other events (trades, the user's own orders, changes of the connection) are queued one by one,
up to a bound. Some of them are barriers, over which nothing is merged:

========================  =====================================================
barrier                   ends the merging of
========================  =====================================================
Disconnected, Resynced    everything
TradesMissed, FillsMissed every channel of its security
BookReset                 the depth changes of its security
Subscribed, Unsubscribed  its channel (as events: when no caller awaits them)
========================  =====================================================

A reply is no event, and yet has its place in the sequence: what follows it can be read only after
the caller of the command has resumed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from msgspec.structs import replace

from fastbook_client.errors import FastbookError, TooSlow
from fastbook_client.events import (
    BookReset,
    Disconnected,
    Event,
    FillsMissed,
    Resynced,
    TradesMissed,
)
from fastbook_wire.frames import (
    AggOrderBook,
    Candles,
    CandleView,
    Depth,
    LevelChange,
    Subscribed,
    Ticker,
    Unsubscribed,
)

CANDLES_MAX = 5_000
"""Unread candles per channel; the oldest beyond it are dropped (`/api/candles` has them)."""

HEAD_START_TURNS = 4
"""Turns of the event loop between a reply and what follows it. A caller that awaits the command
resumes in the first; one that awaits it through a task, ``wait_for`` or ``gather``, in the third.
The fourth is for replies that came later in the same turn."""

Key = tuple[str, str]
"""The channel and the security of a conflated event."""
_CONFLATED = (AggOrderBook, Ticker, Candles, Depth)
_BARRIERS = (
    *(Disconnected, Resynced, TradesMissed, FillsMissed, BookReset),
    *(Subscribed, Unsubscribed),
)


class _Conflated(Protocol):
    """An unread event into which later frames of the same channel are merged."""

    key: Key

    def merge(self, frame: Event) -> None:
        """Merge a later frame."""

    def event(self) -> Event:
        """Return the merged event."""


class _Newest:
    """A book or ticker: the newest frame replaces the one before."""

    def __init__(self, key: Key, frame: Event) -> None:
        self.key = key
        self._frame = frame

    def merge(self, frame: Event) -> None:
        self._frame = frame

    def event(self) -> Event:
        return self._frame


class _MergedCandles:
    """Candles: the newest state of each bucket."""

    def __init__(self, key: Key, frame: Candles) -> None:
        self.key = key
        self._frame = frame
        self._by_time: dict[int, CandleView] | None = None

    def merge(self, frame: Event) -> None:
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


class _MergedDepth:
    """Depth changes: the newest amount of each level, as if one batch had made them all."""

    def __init__(self, key: Key, frame: Depth) -> None:
        self.key = key
        self._frame = frame
        self._sides: tuple[dict[float, float], dict[float, float]] | None = None

    def merge(self, frame: Event) -> None:
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
        if first.prev_seq is None:  # a whole book lists no removed levels
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


def _conflated(frame: Event) -> _Conflated | None:
    """Return the start of a conflated event, or None if `frame` must be queued by itself."""
    match frame:
        case AggOrderBook():
            return _Newest(("book", frame.security), frame)
        case Ticker():
            return _Newest(("ticker", frame.security), frame)
        case Candles():
            return _MergedCandles((f"candles:{frame.interval}", frame.security), frame)
        case Depth():
            return _MergedDepth(("depth", frame.security), frame)
    return None


def _ends_merging(event: Event, key: Key) -> bool:
    """Return whether nothing of the channel and security `key` may be merged over `event`."""
    channel, security = key
    match event:
        case Disconnected() | Resynced():
            return True
        case TradesMissed() | FillsMissed():
            return security == event.security
        case BookReset():
            return key == ("depth", event.security)
        case Subscribed() | Unsubscribed():
            return (channel, security) == (event.channel, event.security)
    return False


class Reply:
    """The place of a reply among the events; ``unclaimed`` is the reply if its caller is gone."""

    __slots__ = ("unclaimed",)

    def __init__(self) -> None:
        self.unclaimed: Event | None = None


class _HeldBack:
    """The replies of one turn of the loop and the events after them, until their callers resume."""

    __slots__ = ("items", "turns_left")

    def __init__(self) -> None:
        self.items: list[Reply | Event] = []
        self.turns_left = HEAD_START_TURNS


class Mailbox:
    """The queue between the connection, which never waits, and the program, which may be slow.

    `queue_max` bounds the events that are queued one by one; with 0 every event is dropped. A
    conflated event counts too once a barrier has ended its merging.
    """

    def __init__(self, queue_max: int) -> None:
        self.queue_max = queue_max
        self._queue: deque[Event | _Conflated] = deque()
        self._held: deque[_HeldBack] = deque()
        self._unread: dict[Key, _Conflated] = {}  # those that may still be merged into
        self._single = 0  # events that are queued one by one
        self._changed = asyncio.Event()
        self._ended = False
        self._error: FastbookError | None = None

    def put(self, event: Event) -> None:
        """Queue an event.

        Raises:
            TooSlow: `queue_max` events are unread; this one is not queued.
        """
        if self._ended or not self.queue_max:
            return
        if not isinstance(event, _CONFLATED):
            if self._single >= self.queue_max:
                raise TooSlow(self.queue_max)
            self._single += 1
        if self._held:
            self._held[-1].items.append(event)
        else:
            self._enqueue(event)

    def replied(self) -> Reply:
        """Hold back what is put from now on until the caller of a command has its reply.

        Nothing is held back for longer than ``HEAD_START_TURNS``, whatever the caller does.
        """
        reply = Reply()
        if not self.queue_max:
            return reply
        if not self._held or self._held[-1].turns_left < HEAD_START_TURNS:
            self._held.append(_HeldBack())
            asyncio.get_running_loop().call_soon(self._turn, self._held[-1])
        self._held[-1].items.append(reply)
        return reply

    def _turn(self, held: _HeldBack) -> None:
        held.turns_left -= 1
        if held.turns_left:
            asyncio.get_running_loop().call_soon(self._turn, held)
            return
        released = self._held.popleft()
        assert released is held, "they are released in their order"
        for item in held.items:
            if not isinstance(item, Reply):
                self._enqueue(item)
            elif item.unclaimed is not None:
                self._single += 1
                self._enqueue(item.unclaimed)
        self._changed.set()  # also for those who wait for the end

    def _enqueue(self, event: Event) -> None:
        conflated = _conflated(event)
        if conflated is None:
            if isinstance(event, _BARRIERS):
                self._end_merging(event)
            self._queue.append(event)
        elif conflated.key in self._unread:
            self._unread[conflated.key].merge(event)
        else:
            self._unread[conflated.key] = conflated
            self._queue.append(conflated)
        self._changed.set()

    def _end_merging(self, barrier: Event) -> None:
        for key in [key for key in self._unread if _ends_merging(barrier, key)]:
            del self._unread[key]
            self._single += 1

    def end(self, error: FastbookError | None) -> None:
        """Accept no more events; once the queue is empty `get` raises `error` or ends."""
        if not self._ended:
            self._ended, self._error = True, error
            self._changed.set()

    async def get(self) -> Event:
        """Return the next event.

        Raises:
            FastbookError: the queue is empty and `end` was called with this error.
            StopAsyncIteration: the queue is empty and `end` was called with None.
        """
        while not self._queue:
            if self._ended and not self._held:
                raise self._error or StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        first = self._queue.popleft()
        if isinstance(first, _Newest | _MergedCandles | _MergedDepth):
            if self._unread.get(first.key) is first:
                del self._unread[first.key]
            else:
                self._single -= 1
            return first.event()
        self._single -= 1
        return first  # type: ignore[return-value]  # the queue holds nothing else

    def __len__(self) -> int:
        """Return the number of unread events; a conflated one counts once."""
        return len(self._queue) + sum(len(held.items) for held in self._held)
