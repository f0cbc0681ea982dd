"""A batch is the same in the database whichever way it came there: at once, or copied."""

from __future__ import annotations

from uuid import UUID

import pytest
from every_kind import EveryKind
from trading import SPECS, Floor

from fastbook_server.store import StoreBroken, StoreFenced, batches, rows
from fastbook_server.store.batches import COPIED, read_layout
from fastbook_server.values.events import PRIVATE
from fastbook_server.values.persisted import Batch
from fastbook_wire.words import INTERVALS

BATCHES, COMMANDS = 12, 60
AT_ONCE, COPIES = 10_000, 0
COLUMNS = {
    "orders": rows.ORDERS,
    "trades": rows.TRADES,
    "fills": rows.FILLS,
    "cancellations": rows.CANCELLATIONS,
    "order_changes": rows.ORDER_CHANGES,
    "opened": rows.OPEN_ORDERS,
}


def batches_of_every_kind(past, seed):
    """Return batches with every kind of event; their times stay within the first day."""
    floor, flow = Floor(past), EveryKind(seed)
    batches = []
    for number in range(1, BATCHES + 1):
        seen = len(floor.events)
        for _ in range(COMMANDS):
            floor.now_ms += 1
            flow.now_ms = floor.now_ms
            floor.do(*flow.next())
        events = tuple(e for e in floor.events[seen:] if type(e) not in PRIVATE)
        batches.append(Batch(number, floor.now_ms, events))
    return batches


async def everything(sql):
    """Return all rows of all tables that a batch touches."""
    candles = [f"candles_{name}" for name in INTERVALS]
    tables = (*COPIED.values(), "client_orders", *candles, "cancel_rules", "markets", "days")
    found = {}
    for table in tables:
        found[table] = sorted(
            map(str, (tuple(row) for row in await sql.fetch(f"SELECT * FROM {table}")))
        )
    return found


@pytest.mark.parametrize("seed", range(3))
async def test_every_way_leaves_the_same_rows(
    make_postgres, make_database, sql_of, seed, monkeypatch
):
    found = []
    for at_once_max, portion in ((AT_ONCE, 1_000), (COPIES, 1_000), (COPIES, 3)):
        monkeypatch.setattr(batches, "PORTION", portion)
        dsn = await make_database("postgres")
        store = make_postgres(dsn, at_once_max=at_once_max)
        for batch in batches_of_every_kind(await store.open(SPECS, 0), seed):
            await store.commit(store.prepare(batch))
        found.append(await everything(await sql_of(dsn)))
    assert found[0] == found[1] == found[2]
    assert all(found[0][table] for table in COPIED.values())


@pytest.mark.parametrize("at_once_max", [AT_ONCE, COPIES])
async def test_the_rows_of_the_history_are_those_of_the_events(
    make_postgres, dsn, sql, at_once_max
):
    store = make_postgres(dsn, at_once_max=at_once_max)
    netted = []
    for batch in batches_of_every_kind(await store.open(SPECS, 0), 7):
        netted.append(store.prepare(batch))
        await store.commit(netted[-1])
    for name in ("orders", "trades", "fills", "cancellations", "order_changes"):
        expected = [row for of_one in netted for row in getattr(of_one, name)]
        got = [tuple(map(_plain, row)) for row in await sql.fetch(f"SELECT * FROM {name}")]
        assert sorted(map(str, got)) == sorted(map(str, expected)), name


def _plain(value):
    return str(value) if isinstance(value, UUID) else value


async def test_rows_have_the_columns_of_their_tables(make_postgres, dsn):
    store = make_postgres(dsn)
    await store.open(SPECS, 0)
    layout = await read_layout(store._connection)
    for name, columns in COLUMNS.items():
        assert tuple(layout.parts[name].names) == columns
    assert set(layout.parts) <= {*rows.Rows.__struct_fields__, "markets"}


@pytest.mark.parametrize("at_once_max", [AT_ONCE, COPIES])
async def test_a_batch_is_in_once_or_not_at_all(make_postgres, dsn, sql, at_once_max):
    """Repeated, out of turn, after another server has come, and with a row missing."""
    store = make_postgres(dsn, at_once_max=at_once_max)
    first, second, third, *_ = map(
        store.prepare, batches_of_every_kind(await store.open(SPECS, 0), 1)
    )
    for prepared in (first, first, second, second):
        await store.commit(prepared)
    after_two = await everything(sql)
    await sql.execute("CREATE TABLE spare AS SELECT * FROM open_orders; DELETE FROM open_orders")
    with pytest.raises(StoreBroken, match="open_orders: expected"):
        await store.commit(third)
    await sql.execute("INSERT INTO open_orders SELECT * FROM spare")
    with pytest.raises(StoreFenced, match="expected epoch 1 and batch 0 in engine_state"):
        await store.commit(first)
    await make_postgres(dsn).open(SPECS, 0)
    with pytest.raises(StoreFenced, match="got epoch 2 and batch 2"):
        await store.commit(third)
    assert await everything(sql) == after_two
