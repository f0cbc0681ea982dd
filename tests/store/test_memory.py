"""The memory store fails and waits when a test asks it to."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from fastbook_server.store import Position, StoreUnavailable
from fastbook_server.store.memory import MemoryDatabase, MemoryStore
from fastbook_server.values.events import BalanceChanged, OrdersListed
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


async def test_a_recorder_finds_where_it_stands_and_makes_nobody_an_owner(specs):
    data = MemoryDatabase()
    owner = MemoryStore(data)
    await owner.open(specs, 0)
    await owner.commit(owner.prepare(Batch(1, 5, ())))
    recorder = MemoryStore(data)
    found = await recorder.open_to_record(specs)
    assert [instrument.security for instrument in found] == [spec.security for spec in specs]
    assert await recorder.position() == Position(1, 1, 5)


async def test_balances_are_recovered_as_they_were_told_or_recovered_before(specs):
    store = MemoryStore()
    await store.open(specs, 0)
    store.data.balances["api#bob", "BTC"] = Decimal("0.5")
    told = BalanceChanged("api#alice", "USDT", free=150, locked=50, decimals=2)
    await store.commit(store.prepare(Batch(1, 5, (told,))))
    recovered = await MemoryStore(store.data).open(specs, 0)
    assert recovered.balances == {
        ("api#bob", "BTC"): Decimal("0.5"),
        ("api#alice", "USDT"): Decimal("2.00"),
    }
