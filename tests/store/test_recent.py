"""A database that keeps nothing: the recent past, in bounded memory."""

from __future__ import annotations

import itertools

import pytest
from trading import PRIVATE, SPECS, Floor, ask, bid

from fastbook_server.store import large_batches, recent
from fastbook_server.store.memory import MemoryDatabase, MemoryStore
from fastbook_server.store.recent import RecentDatabase
from fastbook_server.values.persisted import Batch, FillSpan
from fastbook_wire.words import INTERVALS

FILLS = 200
EVENTS_MAX = 30
SECURITY = SPECS[0].security


async def after_fills(database: MemoryDatabase) -> MemoryStore:
    """Return a store after FILLS fills of one lot each, one batch per command."""
    store, floor = MemoryStore(database), Floor()
    await store.open(SPECS, 0)
    for n in range(2 * FILLS):
        command = (bid if n % 2 else ask)(10, 1, client_order_id=f"mine-{n}")
        events = tuple(e for e in floor.do("user#1", command) if type(e) not in PRIVATE)
        await store.commit(store.prepare(Batch(n + 1, floor.now_ms, events)))
    return store


async def test_the_most_recent_events_are_remembered_and_older_ones_forgotten():
    whole = await after_fills(MemoryDatabase())
    recent = await after_fills(RecentDatabase(EVENTS_MAX))
    count = len(recent.data.events)
    assert EVENTS_MAX <= count <= EVENTS_MAX * 5 // 4
    assert recent.data.events == whole.data.events[-count:]
    trades = len(recent.data.trades[SECURITY])
    assert EVENTS_MAX <= trades <= EVENTS_MAX * 5 // 4
    assert recent.data.trades[SECURITY] == whole.data.trades[SECURITY][-trades:]
    assert (len(whole.data.client_orders), len(recent.data.client_orders)) == (2 * FILLS, 0)
    assert (len(whole.data.order_ids), len(recent.data.order_ids)) == (2 * FILLS, 0)


async def test_what_a_large_batch_brings_is_forgotten_a_portion_at_a_time(monkeypatch):
    monkeypatch.setattr(recent, "PORTION", 7)
    store, floor = MemoryStore(RecentDatabase(EVENTS_MAX)), Floor()
    await store.open(SPECS, 0)
    commands = [(bid if n % 2 else ask)(10, 1) for n in range(2 * FILLS)]
    events = [e for each in commands for e in floor.do("user#1", each) if type(e) not in PRIVATE]
    await store.commit(store.prepare(Batch(1, floor.now_ms, tuple(events))))
    counts = [len(store.data.events)]
    while counts[-1] > EVENTS_MAX:
        number = store.data.batch_no + 1
        await store.commit(store.prepare(Batch(number, floor.now_ms, ())))
        counts.append(len(store.data.events))
        assert store.data.events == events[-counts[-1] :]
    steps = {before - after for before, after in itertools.pairwise(counts)}
    assert counts[0] == len(events) - 7
    assert max(steps) == 7
    await store.commit(store.prepare(Batch(store.data.batch_no + 1, floor.now_ms, ())))
    assert len(store.data.events) == EVENTS_MAX


async def test_questions_about_the_recent_past_are_answered():
    histories = [
        (await after_fills(database)).history(())
        for database in (MemoryDatabase(), RecentDatabase(EVENTS_MAX))
    ]
    whole, recent = [
        (
            await history.trades(SECURITY, before_seq=None, limit=5),
            await history.fills(SECURITY, FillSpan(limit=5)),
            await history.own_fills("user#1", SECURITY, FillSpan(limit=5)),
        )
        for history in histories
    ]
    assert [len(found) for found in whole] == [5, 5, 10]
    assert recent == whole


@pytest.mark.parametrize("interval", INTERVALS)
async def test_candles_outlive_the_fills_they_are_made_of(interval):
    whole, recent = [
        await (await after_fills(database))
        .history(())
        .candles(SECURITY, interval, start_ms=None, end_ms=None, limit=1_000)
        for database in (MemoryDatabase(), RecentDatabase(EVENTS_MAX))
    ]
    assert sum(candle.volume for candle in whole) == FILLS
    assert recent == whole


async def test_open_orders_are_kept_however_old_they_are():
    store, floor = MemoryStore(RecentDatabase(1)), Floor()
    await store.open(SPECS, 0)
    for n in range(100):
        events = tuple(e for e in floor.do("user#1", bid(10, 1)) if type(e) not in PRIVATE)
        await store.commit(store.prepare(Batch(n + 1, floor.now_ms, events)))
    assert len(store.data.open_orders) == 100
    assert len(store.data.events) == 1


async def test_no_two_share_the_key_of_their_tokens():
    keys = {RecentDatabase(1).token_key for _ in range(10)}
    assert (len(keys), {len(key) for key in keys}) == (10, {32})


async def test_however_many_large_batches_follow_each_other_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(recent, "PORTION", 7)
    monkeypatch.setattr(large_batches, "LARGE", 10)
    monkeypatch.setattr(large_batches, "PORTION", 7)
    store, floor = MemoryStore(RecentDatabase(EVENTS_MAX)), Floor()
    await store.open(SPECS, 0)
    counts = []
    for number in range(1, 9):
        commands = [(bid if n % 2 else ask)(10, 1) for n in range(FILLS)]
        every = (e for each in commands for e in floor.do("user#1", each))
        events = tuple(e for e in every if type(e) not in PRIVATE)
        await store.commit(store.prepare(Batch(number, floor.now_ms, events)))
        counts.append(len(store.data.events))
    assert max(counts) <= counts[0]
