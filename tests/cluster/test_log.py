"""One contract for every log: in memory, and on a NATS server."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from fastbook_server.cluster.log import (
    LogBroken,
    LogEntry,
    LogMoved,
    LogUnavailable,
    ReplicatedLog,
)
from fastbook_server.cluster.memory import MemoryLog, MemoryLogData

if TYPE_CHECKING:
    from fastbook_server.cluster.nats_nodes import NatsNodes

Another = Callable[[], ReplicatedLog]
OpenLog = Callable[..., Awaitable[Another]]
PATIENCE_S = 30
shards = (f"s{number}" for number in itertools.count())


@pytest.fixture(params=["memory", "nats"])
async def open_log(request: pytest.FixtureRequest) -> AsyncIterator[OpenLog]:
    """A function that makes a log and returns one that returns connections to it."""
    if request.param == "memory":

        async def in_memory(first: int = 1) -> Another:
            data = MemoryLogData(first)
            return lambda: MemoryLog(data)

        yield in_memory
        return
    nodes: NatsNodes = request.getfixturevalue("one_node")
    from fastbook_server.cluster.nats.connection import NatsConnection
    from fastbook_server.cluster.nats.stream import NatsLog

    connection = await NatsConnection.connect(nodes.urls, name="test")

    async def on_nats(first: int = 1) -> Another:
        shard = next(shards)
        log = NatsLog(connection, shard)
        await log.create_stream(first_sequence=first, replicas=1, bytes_max=2**20)
        return lambda: NatsLog(connection, shard)

    yield on_nats
    await connection.close()


def entries(numbers: range) -> list[LogEntry]:
    return [LogEntry(n, f"stamp {n}", b"data %d" % n) for n in numbers]


async def append(log: ReplicatedLog, numbers: range) -> None:
    for number, stamp, data in entries(numbers):
        await log.append(data, stamp, after=number - 1)


async def read(log: ReplicatedLog, after: int, count: int) -> list[LogEntry]:
    """Return the next `count` entries."""
    found: list[LogEntry] = []
    async with asyncio.timeout(PATIENCE_S), contextlib.aclosing(log.follow(after)) as following:
        async for entry in following:
            found.append(entry)
            if len(found) == count:
                break
    return found


@pytest.mark.parametrize("first", [1, 4_711])
async def test_an_empty_log_ends_before_its_first_number(open_log, first):
    log = (await open_log(first))()
    assert (await log.last(), await log.end()) == (None, first - 1)
    await append(log, range(first, first + 2))
    assert (await log.last(), await log.end()) == (
        entries(range(first + 1, first + 2))[0],
        first + 1,
    )
    assert await read(log, first - 1, 2) == entries(range(first, first + 2))


async def test_an_append_whose_answer_was_lost_is_repeated_without_effect(open_log):
    log = (await open_log())()
    await append(log, range(1, 4))
    await append(log, range(3, 4))
    assert await log.end() == 3
    assert await read(log, 0, 3) == entries(range(1, 4))


async def test_an_append_where_another_has_appended_is_refused(open_log):
    another = await open_log()
    mine, other = another(), another()
    await append(mine, range(1, 3))
    await other.append(b"other", "other", after=2)
    for stamp, after in (("stamp 3", 2), ("other", 1), ("stamp 1", 0)):
        with pytest.raises(LogMoved):
            await mine.append(b"mine", stamp, after=after)
    await other.append(b"more", "more", after=3)
    with pytest.raises(LogMoved):  # it was in, but others have gone on
        await mine.append(b"other", "other", after=2)
    assert await mine.last() == LogEntry(4, "more", b"more")


async def test_of_first_claims_that_meet_one_wins(open_log):
    another = await open_log()

    async def claim(name: str) -> str | None:
        log = another()
        while True:
            try:
                await log.append(name.encode(), name, after=0)
            except LogUnavailable:
                await asyncio.sleep(0)
            except LogMoved:
                return None
            else:
                return name

    won = await asyncio.gather(*(claim(f"claim {n}") for n in range(8)))
    (winner,) = filter(None, won)
    assert await another().last() == LogEntry(1, winner, winner.encode())


async def test_followers_begin_where_they_want_while_others_append(open_log):
    another = await open_log()
    await append(another(), range(1, 50))
    starts = (0, 20, 49, 80)
    reading = [asyncio.create_task(read(another(), after, 100 - after)) for after in starts]
    await append(another(), range(50, 101))
    for after, entries_read in zip(starts, await asyncio.gather(*reading), strict=True):
        assert entries_read == entries(range(after + 1, 101))


async def test_what_was_purged_cannot_be_followed_and_the_last_message_stays(open_log):
    another = await open_log()
    log = another()
    await append(log, range(1, 11))
    await log.purge(6)
    assert await read(another(), 5, 5) == entries(range(6, 11))
    with pytest.raises(LogBroken):
        await read(another(), 4, 1)
    await log.purge(99)
    assert (await log.last(), await log.end()) == (entries(range(10, 11))[0], 10)
    assert await read(another(), 9, 1) == entries(range(10, 11))
    await append(log, range(11, 12))
    assert await read(another(), 9, 2) == entries(range(10, 12))
    await log.purge(1)


async def test_an_empty_log_stays_as_it_is_when_purged(open_log):
    log = (await open_log(7))()
    await log.purge(100)
    assert await log.end() == 6
    await append(log, range(7, 8))


async def test_data_is_any_bytes_and_large(open_log):
    log = (await open_log())()
    large = bytes(range(256)) * 2_100  # more than a part of a message
    await log.append(b"", "empty", after=0)
    await log.append(large, "large", after=1)
    assert await read(log, 0, 2) == [LogEntry(1, "empty", b""), LogEntry(2, "large", large)]
    assert await log.last() == LogEntry(2, "large", large)


async def test_a_closed_log_fails(open_log):
    log = (await open_log())()
    await log.close()
    for call in (log.end, log.last, lambda: log.append(b"", "s", after=0)):
        with pytest.raises(LogUnavailable):
            await call()
