"""The market that the database is measured with goes on where a store ends."""

from __future__ import annotations

from benchmarks.database.market import SPEC, START_MS, Market

from fastbook_server.store.memory import MemoryDatabase, MemoryStore
from fastbook_server.values.events import OrderCancelled, OrderFilled


async def test_its_batches_are_consistent_over_a_restart():
    data = MemoryDatabase()
    seen = set()
    for _ in range(2):
        store = MemoryStore(data)
        past = await store.open([SPEC], 0)
        market = Market(past, live=100)
        started_ms = market.time_ms
        for _ in range(4):
            batch = market.batch(150, step_ms=20)
            await store.commit(store.prepare(batch))
            seen |= {type(event) for event in batch.events}
        assert market.time_ms == started_ms + 4 * 150 * 20
        assert market.commands == 600 > market.orders > 200
        assert 50 < len(data.open_orders) < 400
    assert seen >= {OrderFilled, OrderCancelled}
    assert started_ms > START_MS, "the second market goes on in time"
