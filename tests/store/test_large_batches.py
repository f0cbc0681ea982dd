"""Large batches are worked on in portions, with the same result, while others have their turn."""

from __future__ import annotations

import asyncio

import pytest
from every_kind import EveryKind
from trading import PRIVATE, SPECS, T0, Floor

from fastbook_server.store import large_batches, rows
from fastbook_server.store.memory import MemoryStore
from fastbook_server.store.postgres import PostgresStore
from fastbook_server.values.persisted import Batch


@pytest.fixture
def batch(monkeypatch):
    """A batch of every kind of event, which counts as large."""
    monkeypatch.setattr(large_batches, "PORTION", 7)
    monkeypatch.setattr(large_batches, "LARGE", 7)
    floor, flow = Floor(), EveryKind(5)
    for n in range(300):
        floor.now_ms = T0 + n
        flow.now_ms = floor.now_ms
        floor.do(*flow.next())
    return Batch(1, floor.now_ms, tuple(e for e in floor.events if type(e) not in PRIVATE))


async def turns_during(work) -> tuple[object, int]:
    """Return the result of `work`, and how many turns others had meanwhile."""
    task, turns = asyncio.ensure_future(work), 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    return task.result(), turns


async def test_its_rows_are_those_of_a_batch_netted_at_once(batch):
    large = large_batches.LargeBatch(batch, candles=True)
    found, turns = await turns_during(large.rows())
    assert repr(found) == repr(rows.net(batch))
    assert turns > len(batch.events) // 7
    assert await large.rows() is found, "a batch is retried unchanged"


def test_a_database_is_given_what_is_large_as_such(batch):
    store = PostgresStore("")
    assert isinstance(store.prepare(batch), large_batches.LargeBatch)
    assert isinstance(store.prepare(Batch(1, T0, batch.events[:7])), rows.Rows)


async def test_a_store_in_memory_takes_it_in_portions(batch):
    store, at_once = MemoryStore(), MemoryStore()
    for each in (store, at_once):
        await each.open(SPECS, 0)
    _, turns = await turns_during(store.commit(store.prepare(batch)))
    assert turns > len(batch.events) // 7
    at_once.data.apply(batch)
    assert await store.open(SPECS, 5) == await at_once.open(SPECS, 5)


async def test_its_rows_are_let_go_of_in_portions(batch):
    large = large_batches.LargeBatch(batch, candles=True)
    found = await large.rows()
    size, fills = found.size, found.fills
    _, turns = await turns_during(large.let_go())
    assert turns > size // 7
    assert fills == []
