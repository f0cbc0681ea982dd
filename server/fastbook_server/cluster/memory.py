"""A log and a line in memory, on one event loop: for tests, and as bad as they want them.

Without `LogFaults` everything happens at once and in order. With them, what goes wrong follows from
their seed. A `Cable` joins one simulated process to the log and the line: it may be cut, and the
process may sleep.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial

from fastbook_server.cluster.log import LogBroken, LogEntry, LogMoved, LogUnavailable
from fastbook_server.values.clock import Timers


@dataclass(kw_only=True)
class LogFaults:
    """How often what goes wrong, from 0 (never) to 1; what is late is so by up to `late_s_max`.

    A test may change them at any time. An append fails in one of three ways: it is lost, its answer
    is lost, or it arrives after it has been given up, if the log then still ends where it expects.
    """

    timers: Timers
    chance: random.Random
    append_lost: float = 0.0
    answer_lost: float = 0.0
    append_overdue: float = 0.0
    append_late: float = 0.0  # the append, or its answer
    follower_late: float = 0.0
    line_lost: float = 0.0
    line_doubled: float = 0.0
    line_late: float = 0.0
    late_s_max: float = 0.5

    def happens(self, fault: float) -> bool:
        """Return whether something goes wrong this time."""
        return fault > 0 and self.chance.random() < fault

    def later(self, act: Callable[[], None]) -> None:
        """Call `act` in a while."""
        self.timers.call_later(self.chance.uniform(0, self.late_s_max), act)

    async def wait(self) -> None:
        """Wait for a while."""
        over = asyncio.Event()
        self.later(over.set)
        await over.wait()


class _Bell:
    """Wakes all who wait, again and again."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        self._event.set()
        self._event = asyncio.Event()

    async def rings(self) -> None:
        await self._event.wait()


class Cable:
    """What joins a simulated process to the log and the line."""

    def __init__(self) -> None:
        self._is_cut = False
        self._is_asleep = False
        self._bell = _Bell()

    @property
    def is_cut(self) -> bool:
        """Whether nothing comes through."""
        return self._is_cut

    @property
    def is_asleep(self) -> bool:
        """Whether the process sleeps: what it says and hears waits until it wakes."""
        return self._is_asleep

    @property
    def is_whole(self) -> bool:
        """Whether what is said is heard, and now."""
        return not (self._is_cut or self._is_asleep)

    def cut(self) -> None:
        """Let nothing through: calls fail, followers wait, messages of the line are lost."""
        self._is_cut = True

    def mend(self) -> None:
        """Let everything through again."""
        self._is_cut = False
        self._bell.ring()

    def sleep(self) -> None:
        """Let the process sleep. It may be cut off meanwhile."""
        self._is_asleep = True

    def wake(self) -> None:
        """Let the process go on where it was."""
        self._is_asleep = False
        self._bell.ring()

    async def awake(self) -> None:
        """Wait until the process is awake."""
        while self._is_asleep:
            await self._bell.rings()

    async def whole(self) -> None:
        """Wait until the process is awake and not cut off."""
        while not self.is_whole:
            await self._bell.rings()


class MemoryLogData:
    """What several `MemoryLog` share: the messages, from `first` on, and what goes wrong."""

    def __init__(self, first: int = 1, faults: LogFaults | None = None) -> None:
        self.faults = faults
        self.entries: list[LogEntry] = []
        self._first = first
        self._is_away = False
        self._bell = _Bell()

    @property
    def is_away(self) -> bool:
        """Whether the log answers nobody."""
        return self._is_away

    @property
    def end(self) -> int:
        """The number of the last message, or the one before the first."""
        return self._first + len(self.entries) - 1

    def go_away(self) -> None:
        """Answer nobody: calls fail, followers wait."""
        self._is_away = True

    def come_back(self) -> None:
        """Answer again."""
        self._is_away = False
        self._bell.ring()

    def add(self, data: bytes, stamp: str, after: int) -> None:
        """See `ReplicatedLog.append`."""
        if self.end == after:
            self.entries.append(LogEntry(after + 1, stamp, data))
            self._bell.ring()
        elif self.end != after + 1 or not self.entries or self.entries[-1].stamp != stamp:
            raise LogMoved(f"expected the log to end at {after}, got {self.end}")

    def add_overdue(self, data: bytes, stamp: str, after: int) -> None:
        """Take an append that has been given up, if it still fits."""
        if self.end == after:
            self.add(data, stamp, after)

    def at(self, number: int) -> LogEntry | None:
        """Return a message, or None if there is none yet.

        Raises:
            LogBroken: it has been removed.
        """
        if number < self._first:
            raise LogBroken(f"the log begins at {self._first}: {number} has been removed")
        return self.entries[number - self._first] if number <= self.end else None

    def remove(self, before: int) -> None:
        """See `ReplicatedLog.purge`."""
        count = max(0, min(before - self._first, len(self.entries) - 1))
        del self.entries[:count]
        self._first += count

    async def changed(self) -> None:
        """Wait until a message has been added, or the log has come back."""
        await self._bell.rings()


class MemoryLog:
    """A connection to a log in memory: a `ReplicatedLog`."""

    def __init__(self, data: MemoryLogData, cable: Cable | None = None) -> None:
        self._data = data
        self._cable = cable or Cable()
        self._is_closed = False

    async def append(self, data: bytes, stamp: str, *, after: int) -> None:
        """See `ReplicatedLog.append`."""
        await self._reach()
        faults = self._data.faults
        if faults is None:
            self._data.add(data, stamp, after)
            return
        if faults.happens(faults.append_lost):
            raise LogUnavailable("the append is lost")
        if faults.happens(faults.append_overdue):
            faults.later(lambda: self._data.add_overdue(data, stamp, after))
            raise LogUnavailable("the append is overdue")
        if faults.happens(faults.append_late):
            await faults.wait()
            await self._reach()
        self._data.add(data, stamp, after)
        if faults.happens(faults.answer_lost):
            raise LogUnavailable("the answer is lost")
        if faults.happens(faults.append_late):
            await faults.wait()
            await self._reach()

    async def last(self) -> LogEntry | None:
        """See `ReplicatedLog.last`."""
        await self._reach()
        return self._data.entries[-1] if self._data.entries else None

    async def end(self) -> int:
        """See `ReplicatedLog.end`."""
        await self._reach()
        return self._data.end

    async def follow(self, after: int) -> AsyncIterator[LogEntry]:
        """See `ReplicatedLog.follow`."""
        while True:
            await self._cable.whole()
            entry = None if self._data.is_away else self._data.at(after + 1)
            if entry is None:
                await self._data.changed()
                continue
            faults = self._data.faults
            if faults is not None and faults.happens(faults.follower_late):
                await faults.wait()
                await self._cable.whole()
            after = entry.number
            yield entry

    async def purge(self, before: int) -> None:
        """See `ReplicatedLog.purge`."""
        await self._reach()
        self._data.remove(before)

    async def close(self) -> None:
        """Fail all calls from now on."""
        self._is_closed = True

    async def _reach(self) -> None:
        await self._cable.awake()
        if self._is_closed or self._cable.is_cut or self._data.is_away:
            raise LogUnavailable("the log in memory is away")


class MemoryHub:
    """Where the messages of all `MemoryLine` meet, and what goes wrong with them."""

    def __init__(self, faults: LogFaults | None = None) -> None:
        self.faults = faults
        self._listeners: defaultdict[str, list[MemoryLine.Listener]] = defaultdict(list)

    def join(self, subject: str, listener: MemoryLine.Listener) -> None:
        """Call `listener` with each message to `subject`."""
        self._listeners[subject].append(listener)

    def spread(self, subject: str, data: bytes) -> None:
        """Take a message to all who listen, in the next turn of the loop or as faults will."""
        soon = asyncio.get_running_loop().call_soon
        faults = self.faults
        for listener in self._listeners[subject]:
            if faults is None:
                soon(listener, data)
            elif not faults.happens(faults.line_lost):
                for _ in range(1 + faults.happens(faults.line_doubled)):
                    if faults.happens(faults.line_late):
                        faults.later(partial(listener, data))
                    else:
                        soon(listener, data)


class MemoryLine:
    """A connection to a line in memory: an `OrderLine`."""

    Listener = Callable[[bytes], None]

    def __init__(self, hub: MemoryHub, cable: Cable | None = None) -> None:
        self._hub = hub
        self._cable = cable or Cable()
        self._kept: list[Callable[[], None]] = []  # said and heard while asleep
        self._wakes: asyncio.Task[None] | None = None

    def send(self, subject: str, data: bytes) -> None:
        """See `OrderLine.send`."""
        self._when_awake(lambda: self._hub.spread(subject, data))

    async def listen(self, subject: str, take: Callable[[bytes], None]) -> None:
        """See `OrderLine.listen`."""
        await self._cable.awake()
        if self._cable.is_cut:
            raise LogUnavailable("the line in memory is away")
        self._hub.join(subject, lambda data: self._when_awake(lambda: take(data)))

    def _when_awake(self, act: Callable[[], None]) -> None:
        if self._cable.is_cut:
            return
        if self._cable.is_asleep or self._kept:
            self._kept.append(act)
            if self._wakes is None:
                self._wakes = asyncio.create_task(self._catch_up())
        else:
            act()

    async def _catch_up(self) -> None:
        await self._cable.awake()
        kept, self._kept, self._wakes = self._kept, [], None
        for act in kept:
            act()
