"""Candles in SQL: on every path the same integers as the fills, sorted into buckets by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastbook_server.matching.exchange import Exchange
from fastbook_server.store.rows import net
from fastbook_server.values.events import OrderCancelled, OrderFilled, OrderRested, PublicEvent
from fastbook_server.values.instruments import Instrument, InstrumentSpec
from fastbook_server.values.persisted import Batch, Recovered
from fastbook_wire.commands import Add, Delete, NewOrder
from fastbook_wire.words import INTERVALS

COLUMNS = "security, time, open_ticks, high_ticks, low_ticks, close_ticks, volume_lots, trades"
START_MS = 1_767_225_599_000  # a second before midnight


def by_hand(events, interval_ms):
    """Return the rows of all candles: each bucket's fills, and what there is to say of them."""
    buckets = {}
    for event in events:
        if isinstance(event, OrderFilled):
            start_ms = event.time_ms // interval_ms * interval_ms
            buckets.setdefault((event.maker.instrument.security, start_ms), []).append(event)
    return [
        (
            *key, fills[0].price, max(f.price for f in fills), min(f.price for f in fills),
            fills[-1].price, sum(f.quantity for f in fills), len({f.seq for f in fills}),
        )
        for key, fills in sorted(buckets.items())
    ]  # fmt: skip


# ---- netting ------------------------------------------------------------------------------------

ORDERS = st.fixed_dictionaries(
    {
        "pause_ms": st.sampled_from((0, 0, 0, 1, 1, 999, 1_000, 59_999, 299_999, 3_600_000)),
        "security": st.sampled_from(("A", "B")),
        "user": st.sampled_from(("x", "y", "z")),
        "type": st.sampled_from(("bid", "ask")),
        "price": st.one_of(st.none(), st.integers(98, 102)),
        "amount": st.integers(1, 9),
        "self_trade": st.sampled_from(("allow", "cancelNewest", "cancelOldest", "cancelBoth")),
        "withdraws": st.booleans(),
        "ends_batch": st.booleans(),
    }
)


def played(orders):
    """Return the batches that orders become in an exchange."""
    specs = [InstrumentSpec.parse(f"{name}:1:1") for name in ("A", "B")]
    instruments = tuple(
        Instrument(n, spec.security, spec.tick, spec.lot, "open") for n, spec in enumerate(specs, 1)
    )
    exchange = Exchange(
        Recovered(
            epoch=1, batch_no=0, time_ms=0, token_key=b"", instruments=instruments,
            seqs={"A": 0, "B": 0}, open_orders=(), client_orders=(), last_trades={},
            fill_ids={}, agg_trade_ids={}, last_prices={},
        )
    )  # fmt: skip
    batches, events, time_ms, newest = [], [], START_MS, {}
    for order in orders:
        time_ms += order["pause_ms"]
        user = order["user"]
        command = Add(
            order=NewOrder(
                type=order["type"],
                exec_type="market" if order["price"] is None else "limit",
                price=order["price"],
                amount=order["amount"],
                security=order["security"],
                self_trade=order["self_trade"],
            )
        )
        if order["withdraws"] and user in newest:
            command = Delete(id=newest.pop(user))
        for event in exchange.apply(user, command, time_ms):
            if isinstance(event, PublicEvent):
                events.append(event)
            if isinstance(event, OrderRested):
                newest[user] = event.order.id
        if order["ends_batch"]:
            batches.append(Batch(len(batches) + 1, time_ms, tuple(events)))
            events = []
    return [*batches, Batch(len(batches) + 1, time_ms, tuple(events))]


def upserted(batches):
    """Return the rows by interval that the batches' candles add up to, as SQL adds them."""
    table = {}
    for batch in batches:
        rows = net(batch).candles
        assert len({row[:3] for row in rows}) == len(rows), "a row is touched once per batch"
        for security, interval_ms, time, opens, high, low, close, volume, trades in rows:
            key = (interval_ms, security, time)
            if key in table:
                was = table[key]
                table[key] = (
                    was[0], max(was[1], high), min(was[2], low), close, was[4] + volume,
                    was[5] + trades,
                )  # fmt: skip
            else:
                table[key] = (opens, high, low, close, volume, trades)
    found = {interval_ms: [] for interval_ms in INTERVALS.values()}
    for (interval_ms, *key), values in sorted(table.items()):
        found[interval_ms].append((*key, *values))
    return found


@settings(max_examples=300, deadline=None)
@given(st.lists(ORDERS, max_size=60))
def test_netted_candles_add_up_to_the_fills(orders):
    batches = played(orders)
    events = [event for batch in batches for event in batch.events]
    found = upserted(batches)
    for interval_ms in INTERVALS.values():
        assert found[interval_ms] == by_hand(events, interval_ms)
    assert all(net(batch, candles=False).candles == [] for batch in batches)


def test_a_fill_of_several_makers_is_one_trade_and_a_self_trade_none():
    """The generator above reaches what it is for."""
    plain = {
        "pause_ms": 0, "security": "A", "self_trade": "cancelBoth", "withdraws": False,
        "ends_batch": False,
    }  # fmt: skip
    (batch,) = played(
        [
            plain | {"user": "x", "type": "ask", "price": 101, "amount": 2},
            plain | {"user": "x", "type": "ask", "price": 100, "amount": 3},
            plain | {"user": "y", "type": "bid", "price": None, "amount": 4},
            plain | {"user": "x", "type": "bid", "price": 101, "amount": 1},
        ]
    )
    seconds = [row for row in net(batch).candles if row[1] == 1_000]
    assert seconds == [("A", 1_000, START_MS, 100, 101, 100, 101, Decimal(4), 1)]
    assert any(isinstance(e, OrderCancelled) and e.reason == "self_trade" for e in batch.events)


# ---- SQL ----------------------------------------------------------------------------------------


async def stored(sql, interval):
    query = f"SELECT {COLUMNS} FROM candles_{interval} ORDER BY security, time"
    return [tuple(row) for row in await sql.fetch(query)]


@pytest.mark.parametrize(("seed", "step_ms"), [(0, 3), (1, 400), (2, 30_000), (3, 20_000_000)])
async def test_candles_in_sql_are_those_of_the_fills(
    make_postgres, dsn, sql, specs, flow, seed, step_ms
):
    """Also when every batch is sent twice, and over restarts."""
    past = []
    for _ in range(2):
        store = make_postgres(dsn)
        source = flow(await store.open(specs, 0), seed, step_ms)
        for _ in range(8):
            prepared = store.prepare(source.batch(25))
            await store.commit(prepared)
            await store.commit(prepared)
            for interval, interval_ms in INTERVALS.items():
                assert await stored(sql, interval) == by_hand(past + source.past, interval_ms)
        past += source.past
        await store.close()
    assert len(by_hand(past, 1_000)) >= 2


async def test_candles_as_numbers_are_those_of_the_wire(make_postgres, dsn, sql, specs, flow):
    store = make_postgres(dsn)
    source = flow(await store.open(specs, 0))
    await store.commit(store.prepare(source.batch(100)))
    grids = {i.security: i for i in source.instruments}
    for interval, interval_ms in INTERVALS.items():
        rows = await sql.fetch(
            "SELECT security, time, open, high, low, close, volume, trades"
            " FROM candles_as_numbers WHERE interval = $1 ORDER BY security, time",
            interval,
        )
        assert [tuple(row) for row in rows] == [
            (
                security, time,
                *(grids[security].tick.number(price) for price in prices),
                grids[security].lot.number(volume), trades,
            )
            for security, time, *prices, volume, trades in by_hand(source.past, interval_ms)
        ]  # fmt: skip


# ---- what TimescaleDB does by itself ------------------------------------------------------------


async def test_without_timescale_nothing_is_compressed_or_dropped_and_one_line_says_so(
    make_postgres, make_database, specs, caplog
):
    dsn = await make_database("postgres")
    await make_postgres(dsn, compress_after_days=7, retain_days=30).open(specs, 0)
    said = [
        r.message for r in caplog.records if r.name == "fastbook_server.store.timescale_policies"
    ]
    assert said == [
        "compress_after_days and retain_days have no effect: the tables do not use TimescaleDB"
    ]


async def test_timescale_drops_history_and_nothing_that_a_start_needs(
    make_postgres, make_database, sql_of, pause_jobs, specs, flow
):
    dsn = await make_database("timescale")
    store = make_postgres(dsn, compress_after_days=1, retain_days=3)
    source = flow(await store.open(specs, 0), step_ms=3_600_000)
    for _ in range(12):
        await store.commit(store.prepare(source.batch(40)))
    await store.close()
    sql = await sql_of(dsn)
    await pause_jobs(sql)
    before = await sql.fetchval("SELECT count(*) FROM fills")
    await sql.execute("""CALL refresh_candles(0, '{"schema": "fastbook"}')""")
    await sql.execute("""CALL drop_history(0, '{"schema": "fastbook", "days": 3}')""")
    assert 0 < await sql.fetchval("SELECT count(*) FROM fills") < before
    for interval, interval_ms in INTERVALS.items():
        assert await stored(sql, interval) == by_hand(source.past, interval_ms)
    past = await make_postgres(dsn).open(specs, 0)
    assert {o.order.id: [o.order, o.remaining, o.notional] for o in past.open_orders} == (
        source.resting
    )
