"""What dashboards ask of SQL: the same as the events, added up by hand."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from every_kind import EveryKind
from trading import HOUR_MS, SPECS, Floor

from fastbook_server.values.events import (
    PRIVATE,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderFilled,
    OrderTriggered,
)
from fastbook_server.values.persisted import Batch

DEPLOY = Path(__file__).parents[2] / "deploy" / "grafana"
SECURITY = "COIN"  # of which a tick and a lot are 1


@pytest.fixture
async def past(make_postgres, dsn):
    """The events of some days of orders of every kind, in the database."""
    store = make_postgres(dsn)
    floor, flow = Floor(await store.open(SPECS, 0)), EveryKind(3)
    events = []
    for number in range(1, 13):
        seen = len(floor.events)
        for _ in range(30):
            floor.now_ms += 1
            flow.now_ms = floor.now_ms
            floor.do(*flow.next())
        batch = tuple(e for e in floor.events[seen:] if type(e) not in PRIVATE)
        await store.commit(store.prepare(Batch(number, floor.now_ms, batch)))
        events += batch
        floor.now_ms += 5 * HOUR_MS
    return events


async def test_dashboards_show_what_happened(past, sql):
    fills = [e for e in past if isinstance(e, OrderFilled)]
    volume = Counter()
    for fill in fills:
        volume[fill.time_ms // HOUR_MS * HOUR_MS] += fill.quantity
    rows = await sql.fetch("SELECT time, volume FROM volume_by_hour WHERE security = $1", SECURITY)
    assert dict(rows) == volume
    since, until = fills[len(fills) // 4].time_ms, fills[-1].time_ms
    within = [f for f in fills if since <= f.time_ms < until]
    assert await top_users(sql, since, until) == by_user(within)
    steps = await sql.fetch(
        "SELECT * FROM spread_over_time($1, $2, $3, $4)", SECURITY, since, until, HOUR_MS
    )
    assert [tuple(row) for row in steps] == by_step(within) != []


async def top_users(sql, since, until):
    rows = await sql.fetch("SELECT * FROM top_users($1, $2, $3)", SECURITY, since, until)
    assert [row["volume"] for row in rows] == sorted((r["volume"] for r in rows), reverse=True)
    return {row["user_id"]: tuple(row)[1:] for row in rows}


def by_user(fills):
    found = defaultdict(lambda: (0, 0, 0, 0))
    for f in fills:
        for order in (f.taker, f.maker):
            volume, turnover, net, count = found[order.user_id]
            signed = f.quantity if order.side == "bid" else -f.quantity
            found[order.user_id] = (
                volume + f.quantity, turnover + f.quantity * f.price, net + signed, count + 1,
            )  # fmt: skip
    return found


def by_step(fills):
    prices = defaultdict(lambda: {"bid": [], "ask": []})
    for f in fills:
        prices[f.time_ms // HOUR_MS * HOUR_MS][f.taker.side].append(f.price)
    found = []
    for time_ms, sides in sorted(prices.items()):
        if all(sides.values()):
            bought, sold = (sum(of_one) / len(of_one) for of_one in sides.values())
            found.append((time_ms, *map(pytest.approx, (bought, sold, bought - sold))))
    return found


async def test_the_queries_of_the_recipe_for_grafana_run(past, sql):
    dashboard = json.loads((DEPLOY / "market.json").read_text())
    told = {
        "$__from": "0",
        "$__to": str(2**47),
        "$security": SECURITY,
        "$order": past[0].order.id,
    }
    for panel in dashboard["panels"]:
        (target,) = panel["targets"]
        query = target["rawSql"]
        for name, value in told.items():
            query = query.replace(name, value)
        assert await sql.fetch(query), panel["title"]


async def test_an_orders_life_is_all_that_happened_to_it(past, sql):
    lives = defaultdict(list)
    for e in past:
        match e:
            case OrderAccepted():
                lives[e.order.id].append(("placed", e.order.quantity))
            case OrderAmended():
                lives[e.order.id].append(("amended", e.order.quantity))
            case OrderTriggered():
                lives[e.order.id].append(("amended", e.order.quantity))
            case OrderFilled():
                for order in (e.taker, e.maker):
                    lives[order.id].append(("filled", e.quantity))
            case OrderCancelled():
                lives[e.order.id].append(("cancelled", e.quantity))
    assert {kind for life in lives.values() for kind, _ in life} == {
        "placed", "amended", "filled", "cancelled",
    }  # fmt: skip
    for order_id, life in lives.items():
        rows = await sql.fetch("SELECT event, amount FROM order_life($1)", order_id)
        assert sorted(map(tuple, rows)) == sorted(life), order_id
        assert rows[0]["event"] == "placed"
    unknown = "00000000-0000-7000-8000-000000000000"
    assert await sql.fetch("SELECT * FROM order_life($1)", unknown) == []
