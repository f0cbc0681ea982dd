"""Collaborators in the tests' own hands: time, readers, stores."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from fastbook_server.store import History, StoreUnavailable, Upkeep
from fastbook_server.store.memory import MemoryDatabase, MemoryStore
from fastbook_server.values.candles import Candle
from fastbook_server.values.clock import LoopClock
from fastbook_server.values.events import Traded
from fastbook_server.values.holdings import Holding
from fastbook_server.values.instruments import Instrument, InstrumentSpec
from fastbook_server.values.persisted import (
    Amendment,
    Batch,
    ClientOrder,
    FillSpan,
    OrderSpan,
    OwnFill,
    Recovered,
    StoredFill,
)
from fastbook_wire.words import Interval

T0 = 1_767_225_600_000
START_S = 1_000.0


class StampClock(LoopClock):
    """The loop's timers, with the time of day in the test's hands."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        super().__init__()
        self.stamp = now_ms

    def now_ms(self) -> int:
        """Return what the test says."""
        return self.stamp()


class FakeTimer:
    """A timer that has been set."""

    def __init__(self, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.callback: Callable[..., Any] | None = callback
        self.args = args

    def cancel(self) -> None:
        """Never fire."""
        self.callback = None


class FakeClock:
    """A clock that moves when it is told to; timers fire up to `early_s` before their moment."""

    def __init__(self, early_s: float = 0.0) -> None:
        self._now_s = START_S
        self._early_s = early_s
        self._heap: list[tuple[float, int, FakeTimer]] = []
        self._count = 0

    def time(self) -> float:
        """Return the fake time in seconds."""
        return self._now_s

    def now_ms(self) -> int:
        """Return the Unix time, which is T0 at first and goes with the timers."""
        return T0 + int((self._now_s - START_S) * 1_000 + 0.001)

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> FakeTimer:
        """Set a timer."""
        self._count += 1
        timer = FakeTimer(callback, args)
        # An early timer that is set again must come nearer, or nobody would ever get there.
        early = self._early_s if delay > 2 * self._early_s else 0.0
        heapq.heappush(self._heap, (self._now_s + delay - early, self._count, timer))
        return timer

    def advance(self, seconds: float) -> None:
        """Let time pass, and fire what is due on the way."""
        until = self._now_s + seconds
        while self._heap and self._heap[0][0] <= until:
            when, _, timer = heapq.heappop(self._heap)
            self._now_s = max(self._now_s, when)
            if timer.callback is not None:
                timer.callback(*timer.args)
        self._now_s = until

    @property
    def pending(self) -> int:
        """How many timers would still fire."""
        return sum(timer.callback is not None for _, _, timer in self._heap)


class FakeReader:
    """A connection that keeps what it was sent, as decoded JSON; `behind` refuses states."""

    def __init__(self) -> None:
        self.frames: list[Any] = []
        self.later: list[int] = []
        self.behind = False
        self.was_replaced = False

    def send(self, frame: bytes) -> None:
        """Take frames."""
        self.frames += unframed(frame)

    def send_later(self, frames: Iterator[bytes], size: int) -> None:
        """Take frames as if they were read at once."""
        self.later.append(size)
        for frame in frames:
            self.send(frame)

    def send_state(self, frame: bytes) -> bool:
        """Take a state unless it is behind."""
        if self.behind:
            return False
        self.send(frame)
        return True

    def replaced(self) -> None:
        """Note that another connection took over."""
        self.was_replaced = True

    def take(self) -> list[Any]:
        """Return what has come since the last time."""
        frames, self.frames = self.frames, []
        return frames


class TimedLoop:
    """The loop that runs, but for its time: that is a clock's, which moves when it is told to.

    Timers come a little late, as they do: some whose time has just come ask for more of it.
    """

    LATE_S = 0.001

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio.get_running_loop(), name)

    def time(self) -> float:
        """Return the fake time in seconds."""
        return self.clock.time()

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> FakeTimer:
        """Set a timer."""
        return self.clock.call_later(delay + self.LATE_S, callback, *args)

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any) -> FakeTimer:
        """Set a timer."""
        return self.call_later(when - self.clock.time(), callback, *args)


def unframed(data: bytes) -> list[Any]:
    """Return the payloads of unmasked text frames, decoded."""
    payloads = []
    while data:
        assert data[0] == 0x81, f"expected a whole text frame, got {data[:2]!r}"
        length, start = data[1], 2
        if length >= 126:
            start = 4 if length == 126 else 10
            length = int.from_bytes(data[2:start], "big")
        payloads.append(msgspec.json.decode(data[start : start + length]))
        data = data[start + length :]
    return payloads


class ScriptedStore:
    """A store whose commits wait for `answer`, one after the other."""

    place = "database"
    keeps_replies = False

    def __init__(self) -> None:
        self.started: list[Batch] = []
        self.prepared: list[Batch] = []
        self.in_flight = 0
        self._answers: asyncio.Queue[Exception | None] = asyncio.Queue()
        self._changed = asyncio.Event()

    async def open(self, specs: Sequence[InstrumentSpec], last_trades: int) -> Recovered:
        """Is not asked for."""
        raise NotImplementedError

    def prepare(self, batch: Batch) -> object:
        """Keep the batch; what is returned is new each time."""
        self.prepared.append(batch)
        return ("prepared", len(self.prepared), batch)

    async def commit(self, prepared: object) -> None:
        """Wait for an answer."""
        assert isinstance(prepared, tuple)
        self.in_flight += 1
        assert self.in_flight == 1, "two commits at once"
        self.started.append(prepared)
        self._changed.set()
        try:
            error = await self._answers.get()
        finally:
            self.in_flight -= 1
        if error is not None:
            raise error

    async def close(self) -> None:
        """Do nothing."""

    def answer(self, error: Exception | None = None) -> None:
        """Let the commit in flight, or the next, succeed or fail."""
        self._answers.put_nowait(error)

    async def attempts(self, count: int) -> None:
        """Wait until `count` commits have begun."""
        while len(self.started) < count:
            self._changed.clear()
            await self._changed.wait()


async def settle() -> None:
    """Let everything that is ready run."""
    for _ in range(10):
        await asyncio.sleep(0)


class PastStore(MemoryStore):
    """A store in memory; ``questions`` counts those about the past, ``failing`` fails them."""

    def __init__(self, database: MemoryDatabase | None = None) -> None:
        super().__init__(database)
        self.questions = 0
        self.failing = False
        self.seen = Upkeep()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    def history(
        self, instruments: Sequence[Instrument], *, timeout_s: float | None = None
    ) -> PastStore.Past:
        """Return a reader of what has been committed."""
        return PastStore.Past(self, super().history(instruments))

    class Past:
        """The past of a store, when it may answer."""

        def __init__(self, store: PastStore, history: History) -> None:
            self._store = store
            self._history = history

        async def _asked(self) -> None:
            self._store.questions += 1
            await self._store.may_answer.wait()
            if self._store.failing:
                raise StoreUnavailable("cut")

        async def trades(self, security: str, **which: Any) -> Sequence[Traded]:
            """See `History.trades`."""
            await self._asked()
            return await self._history.trades(security, **which)

        async def candles(
            self, security: str, interval: Interval, **which: Any
        ) -> Sequence[Candle]:
            """See `History.candles`."""
            await self._asked()
            return await self._history.candles(security, interval, **which)

        async def fills(self, security: str, span: FillSpan) -> Sequence[StoredFill]:
            """See `History.fills`."""
            await self._asked()
            return await self._history.fills(security, span)

        async def own_fills(self, user_id: str, security: str, span: FillSpan) -> Sequence[OwnFill]:
            """See `History.own_fills`."""
            await self._asked()
            return await self._history.own_fills(user_id, security, span)

        async def ended_orders(
            self, user_id: str, security: str, span: OrderSpan
        ) -> Sequence[ClientOrder]:
            """See `History.ended_orders`."""
            await self._asked()
            return await self._history.ended_orders(user_id, security, span)

        async def order(self, order_id: str) -> ClientOrder | None:
            """See `History.order`."""
            await self._asked()
            return await self._history.order(order_id)

        async def amendments(self, order_id: str) -> Sequence[Amendment]:
            """See `History.amendments`."""
            await self._asked()
            return await self._history.amendments(order_id)

        async def holdings(self) -> Sequence[Holding]:
            """See `History.holdings`."""
            await self._asked()
            return await self._history.holdings()

        async def upkeep(self) -> Upkeep:
            """See `History.upkeep`; the store is asked about its past only."""
            return self._store.seen

        async def close(self) -> None:
            """See `History.close`."""
            await self._history.close()
