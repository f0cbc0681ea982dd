"""The recorder over a real log and a real database: behind what is there, and after purges."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec
import pytest
from log_owner import LogOwner
from recording import prepared, running, until
from trading import SPECS

from fastbook_server.cluster.log import LogBroken
from fastbook_server.cluster.memory import MemoryLogData
from fastbook_server.cluster.recorder import LogRecorder
from fastbook_server.store import StoreFenced
from fastbook_server.values.clock import LoopClock
from fastbook_server.values.persisted import Batch

if TYPE_CHECKING:
    from fastbook_server.cluster.nats.stream import NatsLog
    from fastbook_server.cluster.nats_nodes import NatsNodes

NewLog = Callable[[str, int], Awaitable["NatsLog"]]


@pytest.fixture
async def new_log(one_node: NatsNodes) -> AsyncIterator[NewLog]:
    """Return a function that makes a log of a name, with its first number."""
    from fastbook_server.cluster.nats.connection import NatsConnection
    from fastbook_server.cluster.nats.stream import NatsLog

    connection = await NatsConnection.connect(one_node.urls, name="test")

    async def new(shard: str, first: int) -> NatsLog:
        log = NatsLog(connection, shard)
        await log.create_stream(first_sequence=first, replicas=1, bytes_max=2**24)
        return log

    yield new
    await connection.close()


def recorder_of(log, store, **options):
    return LogRecorder(log, store, SPECS, LoopClock(), **options)


async def written(log, past, batches=10):
    """Append what an owner writes; return how it left the market."""
    data = MemoryLogData(past.batch_no + 1)
    owner = LogOwner(data, past)
    await owner.claim()
    for _ in range(batches):
        await owner.write()
    for entry in data.entries:
        await log.append(entry.data, entry.stamp, after=entry.number - 1)
    return owner


async def test_a_log_that_begins_behind_a_database_is_recorded_through_purges(
    new_log, make_postgres, make_database
):
    store = make_postgres(await make_database("postgres"))
    past = await store.open(SPECS, 0)
    for number in (1, 2, 3):
        await store.commit(store.prepare(Batch(number, 7, ())))
    past = msgspec.structs.replace(past, batch_no=3, epoch=2)
    log = await new_log("behind", 4)
    recorder = recorder_of(log, store, keep_ms=1_000, look_every_s=0.01)
    async with running(recorder):  # on the empty log
        await until(lambda: recorder.ready)
        owner = await written(log, past)
        await recorder.caught_up()
    assert await store.position() == (2, owner.data.end, owner.floor.now_ms)
    await log.purge(await log.end())
    again = recorder_of(log, store)
    async with running(again):
        await until(lambda: again.ready)
        await again.caught_up()
    assert again.position == recorder.position


async def test_the_log_of_another_database_is_refused(new_log, make_postgres, make_database):
    store = make_postgres(await make_database("postgres"))
    log = await new_log("stranger", 1)
    await written(log, await prepared(store))
    ours = await store.open(SPECS, 0)
    for number in range(1, 5):
        await store.commit(store.prepare(Batch(number, 7, ())))
    with pytest.raises(StoreFenced, match="another server has taken over"):
        await recorder_of(log, store).run()
    for number in range(5, await log.end() + 2):
        await store.commit(store.prepare(Batch(number, 7, ())))
    with pytest.raises(LogBroken, match="has lost messages, or is another database's"):
        await recorder_of(log, store, lost_after_s=0.05).run()
    assert ours.epoch == (await store.position()).epoch
