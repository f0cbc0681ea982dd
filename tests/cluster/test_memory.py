"""The log and the line in memory: at once and in order, or as bad as a seed makes them."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from fakes import FakeClock, settle

from fastbook_server.cluster.log import LogEntry, LogMoved, LogUnavailable
from fastbook_server.cluster.memory import (
    Cable,
    LogFaults,
    MemoryHub,
    MemoryLine,
    MemoryLog,
    MemoryLogData,
)


class Reader:
    """Follows a log and keeps what it reads."""

    def __init__(self, log: MemoryLog, after: int = 0) -> None:
        self.entries: list[LogEntry] = []
        self._task = asyncio.create_task(self._read(log, after))

    async def _read(self, log: MemoryLog, after: int) -> None:
        async for entry in log.follow(after):
            self.entries.append(entry)

    @property
    def numbers(self) -> list[int]:
        return [entry.number for entry in self.entries]


def faulty(seed: int = 1, **rates: float) -> tuple[FakeClock, LogFaults]:
    clock = FakeClock()
    return clock, LogFaults(timers=clock, chance=random.Random(seed), **rates)


async def test_without_faults_a_follower_has_an_entry_in_the_next_turns():
    data = MemoryLogData()
    writer, reader = MemoryLog(data), Reader(MemoryLog(data))
    for n in range(3):
        await writer.append(b"%d" % n, f"s{n}", after=n)
    await settle()
    assert reader.entries == [LogEntry(n + 1, f"s{n}", b"%d" % n) for n in range(3)]


@pytest.mark.parametrize(
    ("fault", "is_in"), [("append_lost", False), ("append_overdue", False), ("answer_lost", True)]
)
async def test_an_append_fails_with_or_without_effect_and_may_be_repeated(fault, is_in):
    clock, faults = faulty(**{fault: 1.0})
    data = MemoryLogData(faults=faults)
    log = MemoryLog(data)
    with pytest.raises(LogUnavailable):
        await log.append(b"one", "s", after=0)
    assert (data.end == 1) == is_in
    data.faults = None
    await log.append(b"one", "s", after=0)
    clock.advance(1)
    assert data.entries == [LogEntry(1, "s", b"one")]


async def test_an_overdue_append_arrives_after_it_was_given_up_unless_another_came_first():
    clock, faults = faulty(append_overdue=1.0)
    first, second = MemoryLogData(faults=faults), MemoryLogData(faults=faults)
    for data in (first, second):
        with pytest.raises(LogUnavailable):
            await MemoryLog(data).append(b"mine", "mine", after=0)
    second.faults = None
    await MemoryLog(second).append(b"other", "other", after=0)
    clock.advance(1)
    assert [first.entries[0].stamp, second.entries[0].stamp] == ["mine", "other"]
    with pytest.raises(LogMoved):
        await MemoryLog(second).append(b"mine", "mine", after=0)


async def test_a_late_append_and_a_late_follower_wait_for_the_clock():
    clock, faults = faulty(append_late=1.0, follower_late=1.0)
    data = MemoryLogData(faults=faults)
    reader = Reader(MemoryLog(data))
    append = asyncio.create_task(MemoryLog(data).append(b"one", "s", after=0))
    seen = []
    for _ in range(3):
        await settle()
        seen.append((data.end, append.done(), reader.numbers))
        clock.advance(0.5)
    await settle()
    assert seen[0] == (0, False, [])
    assert seen[1] == (1, False, [])
    assert (append.done(), reader.numbers) == (True, [1])


async def test_a_log_that_is_away_answers_nobody_and_followers_wait():
    data = MemoryLogData()
    log = MemoryLog(data)
    data.go_away()
    reader = Reader(log)
    calls: list[Callable[..., object]] = [log.last, log.end, partial(log.purge, 1)]
    for call in (partial(log.append, b"one", "s", after=0), *calls):
        with pytest.raises(LogUnavailable):
            await call()
    data.entries.append(LogEntry(1, "s", b"one"))
    await settle()
    assert reader.numbers == []
    data.come_back()
    await settle()
    assert reader.numbers == [1]


async def test_a_cable_cuts_off_one_process_and_no_other():
    data, hub, cable = MemoryLogData(), MemoryHub(), Cable()
    mine, other = MemoryLog(data, cable), MemoryLog(data)
    reader, heard = Reader(mine), []
    line = MemoryLine(hub, cable)
    await line.listen("s", heard.append)
    cable.cut()
    await other.append(b"one", "s", after=0)
    MemoryLine(hub).send("s", b"lost")
    await settle()
    with pytest.raises(LogUnavailable):
        await mine.end()
    with pytest.raises(LogUnavailable):
        await line.listen("t", heard.append)
    assert (reader.numbers, heard) == ([], [])
    cable.mend()
    MemoryLine(hub).send("s", b"heard")
    await settle()
    assert (reader.numbers, heard) == ([1], [b"heard"])


async def test_a_sleeping_process_appends_and_hears_when_it_wakes():
    data, hub, cable = MemoryLogData(), MemoryHub(), Cable()
    mine, reader, heard, told = MemoryLog(data, cable), Reader(MemoryLog(data, cable)), [], []
    line, other = MemoryLine(hub, cable), MemoryLine(hub)
    await line.listen("in", heard.append)
    await other.listen("out", told.append)
    cable.sleep()
    append = asyncio.create_task(mine.append(b"mine", "mine", after=0))
    line.send("out", b"said asleep")
    other.send("in", b"first")
    await settle()
    await MemoryLog(data).append(b"other", "other", after=0)
    assert (append.done(), reader.numbers, heard, told) == (False, [], [], [])
    cable.wake()
    other.send("in", b"second")
    await settle()
    assert (reader.numbers, heard, told) == ([1], [b"first", b"second"], [b"said asleep"])
    with pytest.raises(LogMoved):
        await append


async def test_messages_of_the_line_are_lost_doubled_and_late_by_the_seed():
    async def run(seed: int) -> list[bytes]:
        clock, faults = faulty(seed, line_lost=0.3, line_doubled=0.3, line_late=0.3)
        hub, heard = MemoryHub(faults), []
        await MemoryLine(hub).listen("s", heard.append)
        for n in range(100):
            MemoryLine(hub).send("s", b"%d" % n)
            clock.advance(0.1)
            await settle()
        clock.advance(1)
        return heard

    heard = await run(1)
    assert heard == await run(1)
    assert heard != await run(2)
    assert len(set(heard)) < 100  # lost
    assert len(set(heard)) < len(heard)  # doubled
    assert heard != sorted(heard, key=int)  # late


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_the_seed_what_is_acknowledged_is_in_once(seed):
    clock, faults = faulty(
        seed,
        append_lost=0.1,
        answer_lost=0.1,
        append_overdue=0.1,
        append_late=0.1,
        follower_late=0.1,
    )
    data, acknowledged = MemoryLogData(faults=faults), {}
    reader = Reader(MemoryLog(data))

    async def write(name: str) -> None:
        """Append where the log ends; whoever is told that others were there has a new message."""
        log = MemoryLog(data)
        for n in range(20):
            after = await log.end()
            with contextlib.suppress(LogMoved):
                await repeated(partial(log.append, b"", f"{name}{n}", after=after))
                acknowledged[after + 1] = f"{name}{n}"

    async def repeated(call: Callable[[], Awaitable[None]]) -> None:
        while True:
            with contextlib.suppress(LogUnavailable):
                await call()
                return
            await asyncio.sleep(0)

    writing = asyncio.gather(write("a"), write("b"))
    while not (writing.done() and len(reader.entries) == data.end):
        await settle()
        clock.advance(0.1)
    await writing
    assert reader.entries == data.entries
    assert reader.numbers == list(range(1, data.end + 1))
    stamps = {entry.number: entry.stamp for entry in data.entries}
    assert acknowledged.items() <= stamps.items()
    assert len({*stamps.values()}) == len(stamps) > 10


async def test_a_closed_log_fails():
    log = MemoryLog(MemoryLogData())
    await log.close()
    with pytest.raises(LogUnavailable):
        await log.end()
