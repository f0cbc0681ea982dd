"""Orders from rows: each kind of end is told by the order's id, whenever and wherever it stands."""

from __future__ import annotations

import pytest
from trading import (
    HOUR_MS,
    SPECS,
    Floor,
    amend,
    ask,
    bid,
    by_total,
    cancel_after,
    delete,
    delete_all,
    market,
    stop,
)

from fastbook_server.channels.order_channel import CancelDue, Withdraw
from fastbook_server.store import order_rows
from fastbook_server.store.days import DAY_MS, INT64_MAX
from fastbook_server.store.order_rows import READ_ORDERS, read_trades
from fastbook_server.values.events import PRIVATE, OrderAccepted, Traded
from fastbook_server.values.persisted import Batch
from fastbook_wire.grid import UNITS_MAX

# What ann, whose order has the client order id `it`, and bob do; and how the order ends: status,
# reason, quantity, remaining, notional.
ENDS = {
    "filled at once": (
        lambda it: [("bob", ask(100, 5)), ("ann", bid(100, 5, client_order_id=it))],
        ("filled", None, 5, 0, 500),
    ),
    "filled in parts": (
        lambda it: [
            ("ann", bid(100, 5, client_order_id=it)),
            ("bob", ask(100, 2)),
            ("bob", ask(99, 3)),
        ],
        ("filled", None, 5, 0, 500),
    ),
    "an iceberg, filled slice by slice": (
        lambda it: [
            ("ann", bid(100, 6, display=2, client_order_id=it)),
            ("bob", ask(100, 3)),
            ("bob", ask(100, 3)),
        ],
        ("filled", None, 6, 0, 600),
    ),
    "deleted": (
        lambda it: [
            ("ann", bid(90, 5, client_order_id=it)),
            ("bob", ask(90, 2)),
            ("ann", delete(client_order_id=it)),
        ],
        ("cancelled", "user", 5, 3, 180),
    ),
    "amended to what is filled": (
        lambda it: [
            ("ann", bid(90, 5, client_order_id=it)),
            ("bob", ask(90, 2)),
            ("ann", amend(client_order_id=it, amount=2)),
        ],
        ("cancelled", "amend", 5, 3, 180),
    ),
    "amended, then filled": (
        lambda it: [
            ("ann", bid(90, 5, client_order_id=it)),
            ("bob", ask(90, 2)),
            ("ann", amend(client_order_id=it, amount=3, price=80)),
            ("bob", ask(80, 1)),
        ],
        ("filled", None, 3, 0, 260),
    ),
    "amended, and filled by that": (
        lambda it: [
            ("ann", bid(90, 5, client_order_id=it)),
            ("bob", ask(100, 9)),
            ("ann", amend(client_order_id=it, amount=7, price=100)),
        ],
        ("filled", None, 7, 0, 700),
    ),
    "its user is gone": (
        lambda it: [("ann", bid(90, 5, client_order_id=it)), ("ann", Withdraw())],
        ("cancelled", "disconnect", 5, 5, 0),
    ),
    "the deadline is over": (
        lambda it: [
            ("ann", bid(90, 5, client_order_id=it)),
            ("ann", cancel_after(1)),
            ("ann", CancelDue()),
        ],
        ("cancelled", "cancel_after", 5, 5, 0),
    ),
    "nobody is left": (
        lambda it: [("bob", ask(100, 2)), ("ann", market("bid", 5, client_order_id=it))],
        ("cancelled", "no_liquidity", 5, 3, 200),
    ),
    "nobody is there": (
        lambda it: [("ann", market("bid", 5, client_order_id=it))],
        ("cancelled", "no_liquidity", 5, 5, 0),
    ),
    "the total is used up": (
        lambda it: [("bob", ask(100, 5)), ("ann", by_total("bid", 250, client_order_id=it))],
        ("filled", None, 2, 0, 200),
    ),
    "the total would pay for more": (
        lambda it: [("bob", ask(100, 1)), ("ann", by_total("bid", 250, client_order_id=it))],
        ("cancelled", "no_liquidity", 1, 0, 100),
    ),
    "the total pays for no lot": (
        lambda it: [("bob", ask(100, 1)), ("ann", by_total("bid", 99, client_order_id=it))],
        ("cancelled", "total", 0, 0, 0),
    ),
    "the total meets nobody": (
        lambda it: [("ann", by_total("bid", 250, client_order_id=it))],
        ("cancelled", "no_liquidity", 0, 0, 0),
    ),
    "the total meets its own user": (
        lambda it: [
            ("ann", ask(100, 5)),
            ("ann", by_total("bid", 250, client_order_id=it, self_trade="cancelNewest")),
        ],
        ("cancelled", "self_trade", 0, 0, 0),
    ),
    "decrements use up the total": (
        lambda it: [
            ("ann", ask(100, 5)),
            ("ann", by_total("bid", 200, client_order_id=it, self_trade="decrement")),
        ],
        ("cancelled", "self_trade", 0, 0, 0),
    ),
    "not filled at once": (
        lambda it: [
            ("bob", ask(100, 2)),
            ("ann", bid(100, 5, time_in_force="ioc", client_order_id=it)),
        ],
        ("cancelled", "ioc", 5, 3, 200),
    ),
    "not all of it": (
        lambda it: [
            ("bob", ask(100, 2)),
            ("ann", bid(100, 5, time_in_force="fok", client_order_id=it)),
        ],
        ("cancelled", "fok", 5, 5, 0),
    ),
    "the newest of one user": (
        lambda it: [
            ("ann", ask(100, 5)),
            ("ann", bid(100, 5, client_order_id=it, self_trade="cancelNewest")),
        ],
        ("cancelled", "self_trade", 5, 5, 0),
    ),
    "decremented to nothing on its way": (
        lambda it: [
            ("bob", ask(99, 2)),
            ("ann", ask(100, 5)),
            ("ann", bid(100, 3, client_order_id=it, self_trade="decrement")),
        ],
        ("cancelled", "self_trade", 3, 1, 198),
    ),
    "decremented on its way, then filled": (
        lambda it: [
            ("ann", ask(100, 2)),
            ("ann", bid(100, 5, client_order_id=it, self_trade="decrement")),
            ("bob", ask(100, 3)),
        ],
        ("filled", None, 3, 0, 300),
    ),
    "decremented at rest, at last to nothing": (
        lambda it: [
            ("ann", ask(100, 5, client_order_id=it)),
            ("ann", bid(100, 2, self_trade="decrement")),
            ("ann", bid(100, 3, self_trade="decrement")),
        ],
        ("cancelled", "self_trade", 3, 3, 0),
    ),
    "triggered, then filled": (
        lambda it: [
            ("ann", stop("bid", 101, 3, price=102, client_order_id=it)),
            ("bob", ask(101, 1)),
            ("bob", bid(101, 1)),
            ("bob", ask(102, 3)),
        ],
        ("filled", None, 3, 0, 306),
    ),
    "deleted before its trigger": (
        lambda it: [
            ("ann", stop("bid", 110, 3, client_order_id=it)),
            ("ann", delete(client_order_id=it)),
        ],
        ("cancelled", "user", 3, 3, 0),
    ),
    "post-only, and would cross when triggered": (
        lambda it: [
            ("ann", stop("bid", 103, 3, price=104, post_only=True, client_order_id=it)),
            ("bob", ask(103, 5)),
            ("bob", bid(103, 1)),
        ],
        ("cancelled", "post_only", 3, 3, 0),
    ),
    "its level is full when triggered": (
        lambda it: [
            ("ann", stop("bid", 105, 1, price=97, client_order_id=it)),
            ("bob", bid(97, UNITS_MAX)),
            ("bob", ask(105, 1)),
            ("bob", bid(105, 1)),
        ],
        ("cancelled", "level_full", 1, 1, 0),
    ),
}


class Recorder:
    """A floor whose every command is committed to a store, with a pause before the next."""

    def __init__(self, store, past, pause_ms):
        self.store = store
        self.floor = Floor(past)
        self.pause_ms = pause_ms
        self.number = past.batch_no

    async def do(self, user, command):
        events = self.floor.do(user, command)
        self.number += 1
        public = tuple(e for e in events if type(e) not in PRIVATE)
        await self.store.commit(self.store.prepare(Batch(self.number, self.floor.now_ms, public)))
        self.floor.now_ms += self.pause_ms
        return events


@pytest.mark.parametrize("pause_ms", [1, 9 * HOUR_MS], ids=["one day", "days"])
async def test_an_order_is_told_as_it_ended(make_store, monkeypatch, pause_ms):
    monkeypatch.setattr("fastbook_server.store.order_rows.SEQS_FIRST", 1)
    store = make_store()
    past = await store.open(SPECS, 0)
    recorder = Recorder(store, past, pause_ms)
    ids = {}
    for name, (commands, _) in ENDS.items():
        for user, command in commands(name):
            for event in await recorder.do(user, command):
                if isinstance(event, OrderAccepted) and event.order.client_order_id == name:
                    ids[name] = event.order.id
        for user in ("ann", "bob"):
            await recorder.do(user, delete_all())
    ends, history = {}, store.history(past.instruments)
    for name, order_id in ids.items():
        o = await history.order(order_id)
        ends[name] = (o.status, o.reason, o.order.quantity, o.remaining, o.notional)
    assert ends == {name: end for name, (_, end) in ENDS.items()}
    await history.close()


@pytest.mark.parametrize("pause_ms", [1, 9 * HOUR_MS], ids=["one day", "days"])
async def test_an_order_that_expired_or_was_delisted_is_told_so(make_store, monkeypatch, pause_ms):
    monkeypatch.setattr("fastbook_server.store.order_rows.SEQS_FIRST", 1)
    store = make_store()
    past = await store.open(SPECS, 0)
    recorder = Recorder(store, past, pause_ms)
    expires_ms = recorder.floor.now_ms + 3 * pause_ms
    ids = [
        (await recorder.do(user, command))[0].order.id
        for user, command in (
            ("ann", bid(90, 5, expire_time=expires_ms)),
            ("ann", bid(90, 5, security="FINE")),
            ("ann", stop("bid", 95, 5, security="FINE")),
        )
    ]
    await recorder.do("bob", ask(90, 2, security="FINE"))
    again = make_store()
    past = await again.open(SPECS[:1], 0, delist=["FINE"], now_ms=recorder.floor.now_ms)
    history = again.history((*past.instruments, *past.unlisted))
    found = [await history.order(order_id) for order_id in ids]
    assert [(o.status, o.reason, o.remaining) for o in found] == [
        ("cancelled", "expired", 5),
        ("cancelled", "delisted", 30_000),
        ("cancelled", "delisted", 50_000),
    ]
    await history.close()


async def test_the_changes_of_an_order_are_told_those_by_a_trade_with_oneself_are_not(make_store):
    store = make_store()
    past = await store.open(SPECS, 0)
    recorder = Recorder(store, past, 9 * HOUR_MS)
    (event, *_) = await recorder.do("ann", bid(90, 5, client_order_id="a"))
    first = amend(client_order_id="a", amount=4.0, new_client_order_id="b")
    await recorder.do("ann", first)
    await recorder.do("ann", ask(90, 1, self_trade="decrement"))
    await recorder.do("ann", amend(client_order_id="b", amount=2.0))
    history = store.history(past.instruments)
    found = await history.amendments(event.order.id)
    assert [(a.seq, a.quantity_before, a.quantity) for a in found] == [(2, 5, 4), (4, 3, 2)]
    assert [(a.client_order_id_before, a.client_order_id) for a in found] == [
        *(("a", "b"), ("b", "b")),
    ]
    assert found[0].time_ms < found[1].time_ms
    await recorder.do("ann", delete(client_order_id="b"))
    assert await history.amendments(event.order.id) == found, "it has ended"
    assert await history.amendments("none") == []
    await history.close()


async def test_an_order_whose_end_is_being_dropped_is_not_found(make_postgres, dsn, sql):
    store = make_postgres(dsn)
    past = await store.open(SPECS, 0)
    recorder = Recorder(store, past, 1)
    (event, *_) = await recorder.do("ann", bid(90, 5, client_order_id="it"))
    await recorder.do("ann", delete(client_order_id="it"))
    history = store.history(past.instruments)
    assert (await history.order(event.order.id)).status == "cancelled"
    await sql.execute("DELETE FROM cancellations")
    assert await history.order(event.order.id) is None
    await history.close()


class Noting:
    """A connection that notes the arguments of each look-up of orders."""

    def __init__(self, connection):
        self._connection = connection
        self.looked_up = []

    def __getattr__(self, name):
        return getattr(self._connection, name)

    async def fetch(self, query, *arguments, **options):
        if query == READ_ORDERS:
            self.looked_up.append(arguments)
        return await self._connection.fetch(query, *arguments, **options)


async def test_the_orders_of_all_trades_are_looked_up_a_few_at_a_time(
    make_postgres, dsn, sql, specs, flow, monkeypatch
):
    """A plan holds the list of them once for each chunk that it may find them in."""
    monkeypatch.setattr(order_rows, "ORDERS_AT_ONCE", 3)
    store = make_postgres(dsn)
    source = flow(await store.open(specs, 0), step_ms=DAY_MS // 30)
    for _ in range(4):
        await store.commit(store.prepare(source.batch(100)))
    instruments = {instrument.security: instrument for instrument in source.instruments}
    noting = Noting(sql)
    found = await read_trades(noting, "BTC-USD", INT64_MAX, INT64_MAX, instruments)
    trades = [
        event
        for event in source.past
        if isinstance(event, Traded) and event.order.instrument.security == "BTC-USD"
    ]
    assert [(t.id, t.order.id) for t in found] == [(t.id, t.order.id) for t in trades]
    asked = [order_ids for order_ids, *_ in noting.looked_up]
    assert max(map(len, asked)) == 3
    assert sum(map(len, asked)) == len(trades) > 15
    first_ms = min(start_ms for _, start_ms, _ in noting.looked_up)
    assert max(end_ms - start_ms for _, start_ms, end_ms in noting.looked_up) < (
        source.time_ms - first_ms
    )
