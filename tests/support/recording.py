"""Recorders of a log in memory, and how a test lets them run."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from trading import SPECS

from fastbook_server.cluster.memory import Cable, MemoryLog, MemoryLogData
from fastbook_server.cluster.recorder import LogRecorder
from fastbook_server.store import RecordStore
from fastbook_server.store.postgres import PostgresStore
from fastbook_server.values.clock import LoopClock
from fastbook_server.values.persisted import Recovered


def recorder_of(data: MemoryLogData, store: RecordStore, **options: Any) -> LogRecorder:
    """Return a recorder of a log in memory, with a cable of its own."""
    return LogRecorder(MemoryLog(data, Cable()), store, SPECS, LoopClock(), **options)


@contextlib.asynccontextmanager
async def running(*recorders: LogRecorder) -> AsyncIterator[None]:
    """Let recorders run; whatever ends one of them ends the test."""
    test = asyncio.current_task()
    assert test is not None, "a test runs as a task"
    tasks = [asyncio.ensure_future(recorder.run()) for recorder in recorders]
    for task in tasks:
        task.add_done_callback(lambda ended: ended.cancelled() or test.cancel())
    try:
        async with asyncio.timeout(30):
            yield
    except asyncio.CancelledError:
        for task in tasks:
            if task.done():
                task.result()
        raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(
    condition: Callable[[], bool], meanwhile: Callable[[], None] = lambda: None
) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(30):
        while not condition():
            meanwhile()
            await asyncio.sleep(0.001)


async def prepared(store: PostgresStore) -> Recovered:
    """Prepare a database as a recorder does; return what a matcher reads there, for its epoch."""
    await store.open_to_record(SPECS)
    async with store.read(SPECS, 0) as (parts, _):
        past = parts["main"]
        return msgspec.structs.replace(past, epoch=past.epoch + 1)
