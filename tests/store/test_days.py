"""Where in time a seq or a fill lies: the table ``days``, and the queries that it bounds."""

from __future__ import annotations

import re

import pytest

from fastbook_server.store.days import (
    DAY_MS,
    INT64_MAX,
    PLAN_WITH_VALUES,
    days_of_fills,
    days_of_seqs,
    fill_ids,
)
from fastbook_server.store.ended_orders import ENDED_ORDERS
from fastbook_server.store.history import FILLS, OWN_FILLS
from fastbook_server.store.order_rows import (
    READ_AMENDMENTS,
    READ_CHANGES,
    READ_ENDED,
    READ_FILLED,
    READ_ORDERS,
    READ_TRADES,
)
from fastbook_server.values.events import OrderAccepted, OrderCancelled, OrderFilled

DAYS = "SELECT security, time, seq, fill_id FROM days ORDER BY security, time"


def days_of(events):
    """Return what the table says of these events, which have happened since the beginning."""
    days, last_fill = {}, {}
    for event in events:
        if isinstance(event, OrderAccepted | OrderCancelled):
            security = event.order.instrument.security
            happened = event.order if isinstance(event, OrderAccepted) else event
            seq, time_ms = happened.seq, happened.time_ms
            key = (security, time_ms - time_ms % DAY_MS)
            days.setdefault(key, (*key, seq, last_fill.get(security, 0)))
        elif isinstance(event, OrderFilled):
            last_fill[event.taker.instrument.security] = event.fill_id
    return sorted(days.values())


async def spread(store, specs, flow, batches=14, step_ms=DAY_MS // 20):
    """Return the flow that has been committed: a few days a batch, some without a command."""
    source = flow(await store.open(specs, 0), step_ms=step_ms)
    for number in range(batches):
        source.step_ms = (step_ms, 900)[number % 3 == 0]
        await store.commit(store.prepare(source.batch(40)))
        source.time_ms += number % 4 * DAY_MS
    return source


async def test_a_day_begins_with_its_first_command(make_postgres, dsn, sql, specs, flow):
    source = await spread(make_postgres(dsn), specs, flow)
    expected = days_of(source.past)
    assert len(expected) > 20
    assert [tuple(row) for row in await sql.fetch(DAYS)] == expected


async def test_a_store_that_takes_over_changes_no_day(make_postgres, dsn, sql, specs, flow):
    events = []
    for _ in range(3):
        store = make_postgres(dsn)
        source = flow(await store.open(specs, 0), step_ms=7)
        for _ in range(2):
            prepared = store.prepare(source.batch(40))
            await store.commit(prepared)
            await store.commit(prepared)  # it is already in
        events += source.past
    assert [tuple(row) for row in await sql.fetch(DAYS)] == days_of(events)


async def test_a_store_writes_a_day_once(make_postgres, dsn, specs, flow):
    store = make_postgres(dsn)
    source = flow(await store.open(specs, 0), step_ms=1)
    written = []
    store._connection.add_query_logger(lambda record: written.append(record.query))
    for _ in range(3):
        await store.commit(store.prepare(source.batch(400)))
    assert len(written) > 3
    assert sum("INSERT INTO days" in query for query in written) == 1


async def test_every_seq_and_fill_is_within_its_days(make_postgres, dsn, sql, specs, flow):
    source = await spread(make_postgres(dsn), specs, flow)
    for security, last in source.seqs.items():
        times = {}
        for table in ("orders", "cancellations"):
            times |= dict(
                await sql.fetch(f"SELECT seq, time FROM {table} WHERE security = $1", security)
            )
        assert sorted(times) == list(range(1, last + 1))
        for first in range(1, last + 1, 7):
            for end in (first, min(first + 60, last)):
                days = await days_of_seqs(sql, security, first, end)
                assert days.start_ms <= times[first] <= times[end] < days.end_ms
                assert times[first] - days.start_ms < DAY_MS
        fills = dict(
            await sql.fetch("SELECT fill_id, time FROM fills WHERE security = $1", security)
        )
        assert await fill_ids(sql, security) == (1, len(fills))
        for first in range(1, len(fills) + 1, 3):
            for end in (first, min(first + 20, len(fills))):
                days = await days_of_fills(sql, security, first, end)
                assert days.start_ms <= fills[first] <= fills[end] < days.end_ms
                assert fills[first] - days.start_ms < DAY_MS


BOUND = (DAY_MS * 20_000, DAY_MS * 20_001)
ONE = ["00000000-0000-7000-8000-000000000000"]
QUERIES = {
    "fills": (FILLS.format(direction="DESC"), ("BTC-USD", 0, 9, 9, *BOUND)),
    "own fills": (OWN_FILLS.format(direction="DESC"), ("BTC-USD", 0, 9, 9, *BOUND, "ann")),
    "trades": (READ_TRADES, ("BTC-USD", 9, 9, *BOUND)),
    "orders": (READ_ORDERS, (ONE, *BOUND)),
    "filled": (READ_FILLED, (ONE, "BTC-USD", 1, 9, *BOUND)),
    "ended": (READ_ENDED, (ONE, "BTC-USD", 1, 9, *BOUND)),
    "amendments": (READ_AMENDMENTS, (ONE[0], "BTC-USD", 1, *BOUND)),
    "ended orders": (ENDED_ORDERS.format(direction="DESC"), ("ann", "BTC-USD", 1, 9, *BOUND, 9)),
    "changes": (READ_CHANGES, (ONE, "BTC-USD", 1, 9, *BOUND)),
}
SCAN = re.compile(r"Scan(?: Backward)? (?:using \S+ )?on (\w+)(?: \w+)?$", re.MULTILINE)
HISTORY = {"orders", "trades", "fills", "cancellations", "order_changes"}


@pytest.mark.parametrize("name", QUERIES)
async def test_every_scan_of_the_history_is_bounded_in_time_and_finds_by_index(
    make_postgres, make_database, sql_of, specs, name
):
    """TimescaleDB leaves the chunks out that lie beyond the bounds; see ``test_wasm``."""
    dsn = await make_database("postgres")
    await make_postgres(dsn).open(specs, 0)
    sql = await sql_of(dsn)
    query, arguments = QUERIES[name]
    await sql.execute(f"SET enable_seqscan = off; SET {PLAN_WITH_VALUES}")
    lines = await sql.fetch(f"EXPLAIN (COSTS off) {query}", *arguments)
    plan = "\n".join(line[0] for line in lines)
    assert "Seq Scan" not in plan, plan
    scans = [scan for scan in plan.split("->") if set(SCAN.findall(scan)) & HISTORY]
    assert scans, plan
    for scan in scans:
        assert f"\"time\" >= '{BOUND[0]}'" in scan, plan
        assert f"\"time\" < '{BOUND[1]}'" in scan, plan
        assert "Index Cond" in scan, plan


async def test_without_a_past_every_time_is_within_the_bounds(make_postgres, dsn, sql, specs):
    await make_postgres(dsn).open(specs, 0)
    assert await days_of_fills(sql, "BTC-USD", 1, 9) == (0, INT64_MAX)
    assert await fill_ids(sql, "BTC-USD") == (1, 0)
    assert await sql.fetchval("SELECT fill_id_at('BTC-USD', 5)") == 1


async def test_history_is_dropped_day_by_day_each_in_a_transaction_of_its_own(
    make_postgres, make_database, sql_of, specs, flow
):
    """Chunks are TimescaleDB's: here a function of the same name notes what it is told to drop."""
    dsn = await make_database("postgres")
    store = make_postgres(dsn)
    source = await spread(store, specs, flow)
    sql = await sql_of(dsn)
    await sql.execute(
        "CREATE TABLE told (time bigint, what text, xid bigint DEFAULT txid_current());"
        "CREATE FUNCTION drop_chunks(name regclass, older_than bigint) RETURNS void LANGUAGE sql"
        " AS $$ INSERT INTO fastbook.told VALUES (older_than, name::text) $$"
    )
    days = sorted({row["time"] for row in await sql.fetch(DAYS)})
    await sql.execute("""CALL drop_history(0, '{"schema": "fastbook", "days": 3}')""")
    cutoff = (await sql.fetchval("SELECT exchange_time()") // DAY_MS - 3) * DAY_MS
    told = await sql.fetch("SELECT time, xid, count(*) FROM told GROUP BY 1, 2 ORDER BY 1")
    ends = [day + DAY_MS for day in days if day + DAY_MS <= cutoff]
    assert [row["time"] for row in told] == sorted({*ends, cutoff})
    assert len({row["xid"] for row in told}) == len(told) > 10
    assert {row["count"] for row in told} == {5}
    left = [day for day in days_of(source.past) if day[1] >= cutoff]
    assert [tuple(row) for row in await sql.fetch(DAYS)] == left
    first = {day[0]: day[2] for day in reversed(left)}
    dropped = dict(await sql.fetch("SELECT security, seq FROM dropped WHERE time = $1", cutoff))
    assert dropped == {name: first.get(name, last + 1) - 1 for name, last in source.seqs.items()}
