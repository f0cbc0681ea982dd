"""The memory store fails and waits when a test asks it to."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from fastbook_server.store import Position, StoreFenced, StoreUnavailable
from fastbook_server.store.memory import MemoryDatabase, MemoryStore
from fastbook_server.values.events import BalanceChanged, CancelRuleChanged, OrdersListed
from fastbook_server.values.persisted import Batch, CancelRule
from fastbook_server.values.shards import Shard


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


async def test_shards_are_recorded_by_themselves_and_read_with_what_is_their_own(specs, flow):
    data = MemoryDatabase()
    whole = MemoryStore(data)
    source = flow(await whole.open(specs, 0))
    await whole.commit(whole.prepare(source.batch(200)))
    left, right = (
        MemoryStore(data, Shard(name, (spec.security,)))
        for name, spec in zip("ab", specs, strict=True)
    )
    await left.open_to_record(specs)
    for store, number, time_ms in ((left, 1, 7), (left, 2, 7), (right, 1, 9)):
        rule = CancelRuleChanged("ann", number, None)
        batch = Batch(number, time_ms, (rule,), previous=number - 1, epoch=3)
        for _ in range(2):  # a second time it is known already
            await store.commit(store.prepare(batch))
    await left.commit(left.prepare(Batch(3, 8, (CancelRuleChanged("bob", 5, None),), epoch=3)))
    assert (await left.position(), await right.position()) == ((3, 3, 8), (3, 1, 9))
    with pytest.raises(StoreFenced, match="expected epoch 2"):
        await right.commit(right.prepare(Batch(2, 9, (), epoch=2)))
    every, parts = (
        data.recovered(tuple(data.instruments.values()), 5),
        (left.part(5), right.part(5)),
    )
    assert [(p.epoch, p.batch_no, p.time_ms) for p in parts] == [(3, 3, 8), (3, 1, 9)]
    rules = {"ann": CancelRule(2, None), "bob": CancelRule(5, None)}
    assert [p.cancel_rules for p in parts] == [rules, {"ann": CancelRule(1, None)}]
    for name in ("open_orders", "client_orders"):
        found = [{known.order.id for known in getattr(part, name)} for part in parts]
        assert not found[0] & found[1]
        assert found[0] | found[1] == {known.order.id for known in getattr(every, name)}
    assert whole.part(5) == every
    gone = CancelRuleChanged("ann", None, None)
    await right.commit(right.prepare(Batch(2, 9, (gone,), epoch=3)))
    assert right.part(0).cancel_rules == {}
