"""Which ended orders a start still knows by their client order ids, however old they are."""

from __future__ import annotations

import pytest
from trading import HOUR_MS, SPECS, Floor, amend, ask, bid, delete

from fastbook_server.store import client_orders
from fastbook_server.store.days import DAY_MS
from fastbook_server.store.memory import MemoryStore
from fastbook_server.values.events import PRIVATE
from fastbook_server.values.persisted import Batch

BY_USER, AT_ONCE = 500, 0


@pytest.fixture(params=[BY_USER, AT_ONCE], ids=["by user", "at once"], autouse=True)
def way(request, monkeypatch):
    """Old orders are found by their users, or with all that has happened since."""
    monkeypatch.setattr(client_orders, "FEW", request.param)
    monkeypatch.setattr(client_orders, "DAYS_AT_ONCE", 2)


async def test_orders_of_any_age_are_known_for_a_day_after_their_end(
    make_postgres, dsn, specs, flow
):
    memory, store = MemoryStore(), make_postgres(dsn)
    source = flow(await memory.open(specs, 0))
    await store.open(specs, 0)
    traded = source.instruments[0]
    sells = {"side": "ask", "exec_type": "limit", "price": 9_000, "time_in_force": "ioc"}
    for number in range(10):
        events = [] if number else source.add_resting(traded, 60)
        events += source.add(traded, quantity=2, self_trade="allow", **sells)
        if number == 9:
            events += source.add(traded, quantity=600, self_trade="allow", **sells)
            events += source.cancel(list(source.resting)[::2])
            events += source.add_resting(traded, 4)
            events += source.cancel(list(source.resting)[-2:])
        batch = source.close_batch(events)
        for each in (memory, store):
            await each.commit(each.prepare(batch))
        source.time_ms += 3 * DAY_MS if number < 9 else 0
    known = (await memory.open(specs, 0)).client_orders
    old = [found for found in known if found.order.time_ms < source.time_ms - 2 * DAY_MS]
    assert {found.status for found in old} == {"filled", "cancelled"}
    assert any(found.remaining < found.order.quantity for found in old)
    assert len(old) < len(known)
    assert (await make_postgres(dsn).open(specs, 0)).client_orders == known


async def test_an_old_order_is_known_as_it_was_changed_and_filled_meanwhile(make_postgres, dsn):
    store = make_postgres(dsn)
    floor = Floor(await store.open(SPECS, 0))
    for number, (user, command) in enumerate(
        [
            ("bob", ask(90, 1)),
            ("ann", bid(90, 6, client_order_id="a")),
            ("bob", ask(90, 1)),
            ("ann", amend(client_order_id="a", amount=5.0, new_client_order_id="b")),
            ("ann", bid(80, 5, client_order_id="filled")),
            ("bob", ask(90, 2)),
            ("ann", delete(client_order_id="b")),
            ("bob", ask(80, 5)),
        ],
        1,
    ):
        floor.now_ms += 30 * HOUR_MS if number < 7 else HOUR_MS
        events = tuple(e for e in floor.do(user, command) if type(e) not in PRIVATE)
        await store.commit(store.prepare(Batch(number, floor.now_ms, events)))
    past = await make_postgres(dsn).open(SPECS, 0)
    assert [
        (o.order.client_order_id, o.order.quantity, o.status, o.remaining, o.notional, o.reason)
        for o in past.client_orders
    ] == [("b", 5, "cancelled", 1, 360, "user"), ("filled", 5, "filled", 0, 400, None)]
    assert floor.now_ms - past.client_orders[0].order.time_ms > 5 * DAY_MS
