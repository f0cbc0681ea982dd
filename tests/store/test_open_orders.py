"""Open orders from binary rows, in pieces of any length, and added up."""

from __future__ import annotations

import pytest
from every_kind import EveryKind
from trading import SPECS, Floor

from fastbook_server.store import rows
from fastbook_server.store.memory import MemoryStore
from fastbook_server.store.open_orders import OpenOrderReader, levels_of
from fastbook_server.store.packing import Field, Part, for_copy
from fastbook_server.values.events import PRIVATE
from fastbook_server.values.persisted import Batch

TYPES = {
    "id": "uuid", "user_id": "text", "security": "text", "type": "side", "notional": "numeric",
    "time_in_force": "time_in_force", "post_only": "bool", "self_trade": "self_trade",
    "client_order_id": "text", "withdraw_on_close": "bool", "exec_type": "exec_type",
    "held": "bool", "queued_n": "int4", "former_client_order_ids": "_text",
}  # fmt: skip
PART = Part("opened", 0, 0, [Field(name, TYPES.get(name, "int8"), 0) for name in rows.OPEN_ORDERS])


async def open_now(seed):
    """Return a floor where every kind of order was placed, and its open orders as recovered."""
    store = MemoryStore()
    floor, flow = Floor(await store.open(SPECS, 0)), EveryKind(seed)
    for _ in range(1_500):
        floor.now_ms += 1
        flow.now_ms = floor.now_ms
        floor.do(*flow.next())
    events = tuple(e for e in floor.events if type(e) not in PRIVATE)
    await store.commit(batch := Batch(1, floor.now_ms, events))
    return floor, (await store.open(SPECS, 0)).open_orders, rows.net(batch).opened


@pytest.mark.parametrize("piece", [1, 7, 1_000, 10**9])
async def test_orders_come_out_as_they_went_in(piece):
    floor, open_orders, opened = await open_now(piece)
    written = bytes(for_copy(PART, opened))
    reader = OpenOrderReader({i.security: i for i in (m.instrument for m in markets(floor))})
    for start in range(0, len(written), piece):
        reader.feed(written[start : start + piece])
    assert sorted(reader.found, key=lambda o: o.queued) == list(open_orders)
    assert len(open_orders) > 20
    assert {o.held for o in open_orders} == {False, True}
    assert any(o.order.former_client_order_ids for o in open_orders)


async def test_the_levels_are_those_of_the_book():
    floor, open_orders, _ = await open_now(3)
    levels = levels_of(list(open_orders))
    for market in markets(floor):
        for side, depth in zip(("bid", "ask"), market.book.depth(), strict=True):
            book = (market.instrument.security, side)
            found = {level[2]: lots for level, lots in levels.items() if level[:2] == book}
            assert found == dict(depth)
    assert levels


def markets(floor):
    return floor.exchange.markets.values()
