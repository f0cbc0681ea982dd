"""The memory store fails and waits when a test asks it to."""

from __future__ import annotations

import asyncio

import pytest

from fastbook_server.store import StoreUnavailable
from fastbook_server.store.memory import MemoryStore
from fastbook_server.values.events import OrdersListed
from fastbook_server.values.persisted import Batch


@pytest.mark.parametrize("applied", [False, True])
async def test_fail_next_fails_so_many_commits(specs, applied):
    store = MemoryStore()
    await store.open(specs, 0)
    prepared = store.prepare(Batch(1, 5, ()))
    store.fail_next(2, lambda: StoreUnavailable("away"), applied=applied)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="away"):
            await store.commit(prepared)
        assert store.data.batch_no == int(applied)
    await store.commit(prepared)
    assert store.data.batch_no == 1


async def test_an_event_of_no_public_kind_is_refused(specs):
    store = MemoryStore()
    await store.open(specs, 0)
    with pytest.raises(AssertionError, match="unreachable"):
        await store.commit(store.prepare(Batch(1, 5, (OrdersListed("user#1", None, ()),))))
    assert store.data.batch_no == 0
    assert store.data.trades == {}


async def test_hold_keeps_commits_waiting_until_release(specs):
    store = MemoryStore()
    await store.open(specs, 0)
    store.hold()
    commit = asyncio.create_task(store.commit(store.prepare(Batch(1, 5, ()))))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not commit.done()
    store.release()
    await commit
    assert store.data.batch_no == 1
