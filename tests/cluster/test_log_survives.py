"""The log on three NATS servers, of which some are killed, and on one that comes back."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from fastbook_server.cluster.log import LogEntry, LogUnavailable, ReplicatedLog

if TYPE_CHECKING:
    from fastbook_server.cluster.nats.connection import NatsConnection
    from fastbook_server.cluster.nats.stream import NatsLog

PATIENCE_S = 40


class Writer:
    """Appends one message after the other, each until it is known to be in."""

    def __init__(self, log: ReplicatedLog) -> None:
        self._log = log
        self.acknowledged = 0
        self.failures = 0
        self._is_to_stop = False
        self._acknowledgement = asyncio.Event()
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(lambda _: self._acknowledgement.set())

    async def _run(self) -> None:
        while not self._is_to_stop:
            number = self.acknowledged + 1
            try:
                await self._log.append(b"%d" % number, f"stamp {number}", after=number - 1)
            except LogUnavailable:
                self.failures += 1
                await asyncio.sleep(0.02)
                continue
            self.acknowledged = number
            self._acknowledgement.set()

    async def until(self, number: int) -> None:
        """Wait until so many are acknowledged."""
        while self.acknowledged < number:
            assert not self._task.done(), self._task.exception()
            self._acknowledgement.clear()
            await self._acknowledgement.wait()

    async def stop(self) -> None:
        """Stop once the outcome of the last append is known."""
        self._is_to_stop = True
        await self._task


class Reader:
    """Follows a log from its beginning."""

    def __init__(self, log: ReplicatedLog) -> None:
        self.entries: list[LogEntry] = []
        self._arrival = asyncio.Event()
        self._task = asyncio.create_task(self._run(log))
        self._task.add_done_callback(lambda _: self._arrival.set())

    async def _run(self, log: ReplicatedLog) -> None:
        async with contextlib.aclosing(log.follow(0)) as following:
            async for entry in following:
                self.entries.append(entry)
                self._arrival.set()

    async def until(self, number: int) -> None:
        while len(self.entries) < number:
            assert not self._task.done(), self._task.exception()
            self._arrival.clear()
            await self._arrival.wait()

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


async def created(connection: NatsConnection, shard: str, replicas: int) -> NatsLog:
    """Return a new log; servers that have just started may need some time to make it."""
    from fastbook_server.cluster.nats.stream import NatsLog

    log = NatsLog(connection, shard)
    while True:
        with contextlib.suppress(LogUnavailable):
            await log.create_stream(replicas=replicas, bytes_max=2**24)
            return log
        await asyncio.sleep(0.1)


async def leader(log: NatsLog) -> str:
    """Return the name of the server that leads a log."""
    (leads,) = [replica.server for replica in (await log.health()).replicas if replica.leads]
    return leads


async def until_away(log: NatsLog, server: str) -> None:
    """Wait until the others agree that a server, and no other, is behind."""
    while True:
        replicas = (await log.health()).replicas
        assert len(replicas) == 3
        if [replica.server for replica in replicas if not replica.is_current] == [server]:
            return
        await asyncio.sleep(0.1)


def unexpected(entries: list[LogEntry], end: int) -> tuple[list[LogEntry], list[int], int]:
    """Return entries that are not what was written, or not in order; what is missing; how many."""
    written = [LogEntry(n, f"stamp {n}", b"%d" % n) for n in range(1, end + 1)]
    odd = [entry for entry, other in zip(entries, written, strict=False) if entry != other]
    numbers = {entry.number for entry in entries}
    return odd[:5], [n for n in range(1, end + 1) if n not in numbers][:5], len(entries)


@pytest.mark.timeout(2 * PATIENCE_S)
async def test_when_the_leader_is_killed_nothing_is_lost_and_nothing_comes_twice(
    three_nodes, connect
):
    async with asyncio.timeout(PATIENCE_S):
        mine, other = await connect(three_nodes.urls), await connect(three_nodes.urls)
        log = await created(mine, "killed", 3)
        leads = three_nodes.names.index(await leader(log))
        # Those who are connected to the leader lose their server too.
        at_leader = await connect([three_nodes.urls[leads]])
        from fastbook_server.cluster.nats.stream import NatsLog

        readers = [Reader(NatsLog(c, "killed")) for c in (other, at_leader)]
        writer = Writer(log)
        await writer.until(200)
        three_nodes.kill(leads)
        await writer.until(writer.acknowledged + 200)
        await until_away(log, three_nodes.names[leads])
        assert await leader(log) != three_nodes.names[leads]
        three_nodes.restart(leads)
        await three_nodes.ready()
        await writer.until(writer.acknowledged + 200)
        await writer.stop()
        end = await log.end()
        for reader in readers:
            await reader.until(end)
            await reader.stop()
    assert end == writer.acknowledged
    assert writer.failures > 0
    for reader in readers:
        assert unexpected(reader.entries, end) == ([], [], end)
