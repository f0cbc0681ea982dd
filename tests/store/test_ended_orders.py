"""A user's ended orders: from every store the same, whenever they were placed."""

from __future__ import annotations

from collections import Counter

import pytest

from fastbook_server.store import OrderSpan
from fastbook_server.store.days import DAY_MS
from fastbook_server.values.events import OrderAccepted


@pytest.mark.parametrize(
    ("step_ms", "pause_ms"), [(7, 0), (60_000, 9 * DAY_MS)], ids=["dense", "days apart"]
)
async def test_ones_ended_orders_are_found_page_by_page_each_as_it_ended(
    make_store, specs, flow, monkeypatch, step_ms, pause_ms
):
    monkeypatch.setattr("fastbook_server.store.ended_orders.SEQS_FIRST", 5)
    store = make_store()
    source = flow(await store.open(specs, 0), step_ms=step_ms)
    for _ in range(12):
        await store.commit(store.prepare(source.batch(40)))
        source.time_ms += pause_ms
    history = store.history(source.instruments)
    placed = [event.order for event in source.past if isinstance(event, OrderAccepted)]
    found = Counter()
    for security in ("BTC-USD", "GAME"):
        for user_id in {order.user_id for order in placed}:
            own = [o for o in placed if (o.user_id, o.instrument.security) == (user_id, security)]
            states = [await history.order(order.id) for order in own]
            ended = [s for s in states if s.status in ("filled", "cancelled")]
            got, before = [], None
            while page := list(
                await history.ended_orders(user_id, security, OrderSpan(before=before, limit=7))
            ):
                got, before = page + got, page[0].order.seq
            assert got == ended
            await check_spans(history, user_id, security, ended)
            found.update(state.status for state in ended)
            found["open"] += len(states) - len(ended)
    assert min(found[status] for status in ("filled", "cancelled", "open")) > 0, found
    assert await history.ended_orders("nobody", "BTC-USD", OrderSpan(limit=9)) == []
    assert await history.ended_orders("ann", "BTC-USD", OrderSpan(limit=0)) == []
    assert await history.ended_orders("ann", "GOLD", OrderSpan(limit=9)) == []
    await history.close()


async def check_spans(history, user_id, security, ended):
    """Compare what is found from a number on, since a time, until a time, with all that ended."""
    if not ended:
        return
    middle, last = ended[len(ended) // 2].order, ended[-1].order
    for span in (
        OrderSpan(since=0, limit=3),
        OrderSpan(since=middle.seq - 1, limit=1_000),
        OrderSpan(since=middle.seq - 1, before=last.seq, limit=5),
        OrderSpan(start_ms=middle.time_ms, limit=4),
        OrderSpan(end_ms=middle.time_ms, limit=6),
        OrderSpan(start_ms=middle.time_ms, end_ms=last.time_ms, limit=1_000),
        OrderSpan(start_ms=last.time_ms + 1, limit=9),
    ):
        wanted = [state for state in ended if span.has(state.order)]
        wanted = wanted[: span.limit] if span.ascends else wanted[-span.limit :]
        assert await history.ended_orders(user_id, security, span) == wanted
    for state in (ended[0], ended[-1]):
        assert state.order.time_ms <= state.ended_ms


async def test_a_market_without_a_past_has_no_ended_orders(make_store, specs):
    store = make_store()
    past = await store.open(specs, 0)
    history = store.history(past.instruments)
    assert await history.ended_orders("anybody", "GAME", OrderSpan(limit=9)) == []
    await history.close()
