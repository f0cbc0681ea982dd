"""The schema and every statement of the store on TimescaleDB, in its WASM build: no COPY, one line.

Needs node and the folder that ``.ci/timescale_wasm/prepare`` fills; ``FASTBOOK_TEST_WASM_DIR``
names it. A native server is better: see ``FASTBOOK_TEST_TIMESCALE_URL``.
"""

from __future__ import annotations

import contextlib
import json
import re

import asyncpg
import pytest
from every_kind import EveryKind
from trading import SPECS, Floor

from fastbook_server.store.batches import read_layout
from fastbook_server.store.connection import LOCK_KEY, SCHEMA, Timescale
from fastbook_server.store.days import DAY_MS, PLAN_WITH_VALUES
from fastbook_server.store.history import PostgresHistory
from fastbook_server.store.memory import MemoryStore
from fastbook_server.store.migrations import load_migrations, migrate
from fastbook_server.store.postgres import HAS_CANDLES, PostgresStore
from fastbook_server.store.recovery import claim, recover
from fastbook_server.store.timescale_policies import COMPRESSED, HYPERTABLES, apply_policies
from fastbook_server.values.candles import CandleSeries
from fastbook_server.values.events import PRIVATE, OrderFilled
from fastbook_server.values.persisted import Batch, FillSpan, Recovered
from fastbook_wire.words import INTERVALS

COMMUNITY = Timescale("2.23.0", "timescale")
TABLES = ("orders", "trades", "fills", "cancellations")


@pytest.mark.timeout(300)
async def test_every_statement_of_the_store(real, specs, flow):
    schema = {"schema": SCHEMA, "lock_key": LOCK_KEY, "timescale": COMMUNITY}
    assert await migrate(real, **schema) == len(load_migrations())
    assert await migrate(real, **schema) == 0
    assert await real.fetchval(HYPERTABLES, SCHEMA) == len(COMPRESSED)

    claimed = await claim(real, specs)
    store = PostgresStore("", checkpoint_every=20)
    store._connection, store._epoch = real, claimed.epoch
    store._layout = await read_layout(real)
    store._has_candles = await real.fetchval(HAS_CANDLES)
    memory = MemoryStore()
    memory.data.token_key = claimed.token_key
    past = await memory.open(specs, 0)
    assert await recover(real, claimed, 0) == past

    source = flow(past, seed=5, step_ms=DAY_MS // 60)
    books = {}
    for _ in range(10):
        batch = source.batch(15)
        await memory.commit(memory.prepare(batch))
        prepared = store.prepare(batch)
        await store._write(store._connection, prepared)
        await store._write(store._connection, prepared)  # it is already in
        for name, seq in source.seqs.items():
            books[name, seq] = await real.fetch(
                "SELECT type, price, amount, total, price_ticks, quantity_lots"
                " FROM agg_order_book WHERE security = $1",
                name,
            )
    chunks = await real.fetchval("SELECT count(*) FROM timescaledb_information.chunks")
    assert chunks > 4, "the test should span days"
    assert await real.fetchval("SELECT count(*) FROM book_checkpoints") > 3
    for (name, seq), book in books.items():
        assert await real.fetch("SELECT * FROM book_at($1, $2)", name, seq) == book
    for table in ("fills", "cancellations", "open_orders", "order_changes"):
        assert len(await real.fetch(f"SELECT * FROM {table}_as_numbers")) == await real.fetchval(
            f"SELECT count(*) FROM {table}"
        )
    for last_trades in (0, 3):
        expected = await memory.open(specs, last_trades)
        assert isinstance(expected, Recovered)
        assert len(expected.client_orders) > 3
        again = await claim(real, specs)
        assert await recover(real, again, last_trades) == expected


async def test_orders_of_every_kind(real):
    await migrate(real, schema=SCHEMA, lock_key=LOCK_KEY, timescale=COMMUNITY)
    claimed = await claim(real, SPECS)
    store = PostgresStore("", checkpoint_every=70)
    store._connection, store._epoch = real, claimed.epoch
    store._layout = await read_layout(real)
    store._has_candles = await real.fetchval(HAS_CANDLES)
    floor, flow = Floor(await recover(real, claimed, 0)), EveryKind(1)
    for number in range(1, 9):
        seen = len(floor.events)
        for _ in range(40):
            floor.now_ms += 1
            flow.now_ms = floor.now_ms
            floor.do(*flow.next())
        events = tuple(e for e in floor.events[seen:] if type(e) not in PRIVATE)
        await store._write(store._connection, store.prepare(Batch(number, floor.now_ms, events)))
        book, seq = floor.exchange.markets["COIN"].book.depth(), floor.exchange.markets["COIN"].seq
        for query, arguments in (
            ("SELECT * FROM agg_order_book WHERE security = 'COIN'", ()),
            ("SELECT * FROM book_at('COIN', $1)", (seq,)),
        ):
            rows = await real.fetch(query, *arguments)
            assert book == tuple(
                [(r["price_ticks"], int(r["quantity_lots"])) for r in rows if r["type"] == side]
                for side in ("bid", "ask")
            )
    assert await real.fetchval("SELECT count(*) FROM order_changes") > 20


class OnOneLine(PostgresHistory):
    """A history that has to do with the one connection there is."""

    def __init__(self, connection, instruments):
        super().__init__("", instruments)
        self._only = connection

    @contextlib.asynccontextmanager
    async def _connection(self):
        yield self._only


def folded(events, security, interval):
    series = CandleSeries(INTERVALS[interval], 0)
    for event in events:
        if isinstance(event, OrderFilled) and event.maker.instrument.security == security:
            series.add(event.time_ms, event.price, event.quantity, event.n == 0)
    return list(series.candles)


class Exchange:
    """A store on the one connection, with its flow and what readers are told."""

    def __init__(self, real, specs, flow):
        self.real, self._specs, self._flow = real, specs, flow

    async def open(self, timescale):
        await migrate(self.real, schema=SCHEMA, lock_key=LOCK_KEY, timescale=timescale)
        claimed = await claim(self.real, self._specs)
        past = await recover(self.real, claimed, 0)
        self.source = self._flow(past, seed=5)
        self.store = PostgresStore("", checkpoint_every=1_000)
        self.store._connection, self.store._epoch = self.real, claimed.epoch
        self.store._layout = await read_layout(self.real)
        self.store._has_candles = await self.real.fetchval(HAS_CANDLES)
        self.history = OnOneLine(self.real, claimed.instruments)

    async def trade(self, batches):
        for number in range(batches):
            self.source.step_ms = (700, DAY_MS // 8)[number % 2]
            prepared = self.store.prepare(self.source.batch(15))
            await self.store._write(self.store._connection, prepared)
            await self.store._write(self.store._connection, prepared)  # it is already in

    async def add_patient_makers(self, count):
        """Commit orders too large to be filled; who withdraws some at random will not get all.

        One by one: the WASM build does not survive long messages.
        """
        for price in range(1, count + 1):
            events = self.source.add(
                self.source.instruments[0], side="bid", exec_type="limit", price=price,
                quantity=2**50, time_in_force="gtc", user_id="patient",
            )  # fmt: skip
            prepared = self.store.prepare(self.source.close_batch(events))
            await self.store._write(self.store._connection, prepared)

    async def check_candles(self):
        for security in self.source.seqs:
            for interval in INTERVALS:
                expected = folded(self.source.past, security, interval)
                assert len(expected) > 1
                for limit in (len(expected) + 1, 3):
                    got = await self.history.candles(
                        security, interval, start_ms=None, end_ms=None, limit=limit
                    )
                    assert list(got) == expected[-limit:], (security, interval)
        numbers = await self.real.fetch("SELECT * FROM candles_as_numbers WHERE interval = '1m'")
        assert len(numbers) == sum(len(folded(self.source.past, s, "1m")) for s in self.source.seqs)


# What a refresh of an aggregate inserts, as TimescaleDB says it; $1 and $2 in place of bounds.
MATERIALIZES = """
SELECT format('INSERT INTO %I.%I SELECT * FROM %I.%I AS i WHERE i.time >= $1 AND i.time < $2',
              h.schema_name, h.table_name, a.partial_view_schema, a.partial_view_name)
FROM _timescaledb_catalog.continuous_agg AS a
JOIN _timescaledb_catalog.hypertable AS h ON h.id = a.mat_hypertable_id
WHERE a.user_view_name = $1
"""
OWN_LOCKS = "SELECT relation::regclass::text FROM pg_locks WHERE pid = pg_backend_pid()"


async def locked_by_a_refresh(real, name, since, until):
    """Return the chunks and indexes that are locked to plan what a refresh inserts."""
    query = await real.fetchval(MATERIALIZES, name)
    async with real.transaction():
        await real.execute(f"EXPLAIN {query.replace('$1', str(since)).replace('$2', str(until))}")
        return [row[0] for row in await real.fetch(OWN_LOCKS) if row[0] and "_hyper_" in row[0]]


async def jobs(real):
    rows = await real.fetch(
        "SELECT proc_name, config FROM timescaledb_information.jobs"
        " WHERE job_id >= 1000 AND proc_name !~ 'refresh' ORDER BY proc_name"
    )
    return [(row[0], json.loads(row[1])) for row in rows]


@pytest.mark.timeout(300)
async def test_candles_of_continuous_aggregates(real, specs, flow):
    """Not yet aggregated, in part, wholly; compressed; and after their fills have been dropped."""
    exchange = Exchange(real, specs, flow)
    await exchange.open(COMMUNITY)
    assert not exchange.store._has_candles
    await exchange.add_patient_makers(150)
    await exchange.trade(12)
    await exchange.check_candles()
    # What the policies do, which no background worker does here.
    assert await real.fetchval("SELECT exchange_time()") == exchange.source.time_ms
    for interval, ms in INTERVALS.items():
        until = exchange.source.time_ms // ms * ms
        await real.execute(
            f"CALL refresh_continuous_aggregate('aggregated_{interval}', NULL, {until}::bigint)"
        )
    await exchange.check_candles()
    assert await real.fetchval("SELECT count(*) FROM show_chunks('fills')") > 4
    for interval, ms in INTERVALS.items():
        until = exchange.source.time_ms // ms * ms
        locked = await locked_by_a_refresh(real, f"aggregated_{interval}", until - ms, until)
        assert len(locked) < 10, (interval, locked)
    await exchange.trade(12)
    await exchange.check_candles()

    settings = {"compress_after_days": 3, "retain_days": 4}
    for _ in range(2):
        await apply_policies(real, COMMUNITY, **settings)
        assert [name for name, _ in await jobs(real)] == [
            "drop_history",
            *["policy_compression"] * len(COMPRESSED),
        ]
    refreshing = await real.fetch(
        "SELECT proc_name FROM timescaledb_information.jobs WHERE proc_name ~ 'refresh'"
    )
    assert [row[0] for row in refreshing] == ["refresh_candles"]
    for table in TABLES:
        await real.execute(
            f"SELECT compress_chunk(c, true) FROM show_chunks('{table}',"
            f" older_than => {exchange.source.time_ms - 3 * DAY_MS}::bigint) AS c"
        )
    await exchange.check_candles()

    seqs = dict(exchange.source.seqs)
    books = {
        (name, seq): await real.fetch("SELECT * FROM book_at($1, $2)", name, seq)
        for name, last in seqs.items()
        for seq in range(last // 3, last + 1, 5)
    }
    before = await real.fetchval("SELECT count(*) FROM orders")
    (config,) = (config for name, config in await jobs(real) if name == "drop_history")
    for _ in range(2):
        await real.execute(f"CALL refresh_candles(0, '{json.dumps(config)}')")
        await real.execute(f"CALL drop_history(0, '{json.dumps(config)}')")
    assert await real.fetchval("SELECT candles_behind()") < DAY_MS
    cutoff = (exchange.source.time_ms // DAY_MS - 4) * DAY_MS
    assert await real.fetchval("SELECT max(time) FROM dropped") == cutoff
    for table in TABLES:
        assert await real.fetchval(f"SELECT min(time) FROM {table}") >= cutoff
    assert 0 < await real.fetchval("SELECT count(*) FROM orders") < before
    await exchange.check_candles()
    first = dict(await real.fetch("SELECT security, seq FROM dropped"))
    kept = {known: book for known, book in books.items() if known[1] >= first[known[0]]}
    assert 0 < len(kept) < len(books)
    for (name, seq), book in kept.items():
        assert await real.fetch("SELECT * FROM book_at($1, $2)", name, seq) == book
    for name, seq in first.items():
        with pytest.raises(asyncpg.RaiseError, match=f"expected a seq of {name} from {seq} to"):
            await real.fetch("SELECT * FROM book_at($1, $2)", name, seq - 1)

    resting = exchange.source.resting
    past = await recover(real, await claim(real, specs), 0)
    assert {o.order.id: [o.order, o.remaining, o.notional] for o in past.open_orders} == resting
    assert any(o.order.time_ms < cutoff for o in past.open_orders), "a maker outlives its row"
    exchange.store._epoch, exchange.source.epoch = past.epoch, past.epoch
    exchange.source.time_ms += 3 * DAY_MS  # a weekend
    await exchange.trade(12)
    await real.execute(f"CALL refresh_candles(0, '{json.dumps(config)}')")
    await real.execute(f"CALL drop_history(0, '{json.dumps(config)}')")
    await real.execute(
        f"CALL refresh_continuous_aggregate('aggregated_5m', NULL, {cutoff}::bigint)"
    )
    await exchange.check_candles()

    await apply_policies(real, COMMUNITY, compress_after_days=5, retain_days=0)
    changed = await jobs(real)
    assert [name for name, _ in changed] == ["policy_compression"] * len(COMPRESSED)
    assert {config["compress_after"] for _, config in changed} == {5 * DAY_MS}
    await apply_policies(real, COMMUNITY, compress_after_days=0, retain_days=0)
    assert await jobs(real) == []


@pytest.mark.timeout(300)
async def test_candles_under_the_apache_licence_are_a_table(real, specs, flow, caplog):
    """It stays one when the licence changes, and so do the candles of fills from before."""
    exchange = Exchange(real, specs, flow)
    apache = Timescale("2.23.0", "apache")
    await exchange.open(apache)
    assert exchange.store._has_candles
    await exchange.trade(12)
    await exchange.check_candles()
    await apply_policies(real, apache, compress_after_days=1, retain_days=2)
    assert caplog.messages == [
        "compress_after_days and retain_days have no effect: "
        "TimescaleDB runs under the apache licence"
    ]
    past = exchange.source.past
    await exchange.open(COMMUNITY)
    assert exchange.store._has_candles
    exchange.source.past = past
    await apply_policies(real, COMMUNITY, compress_after_days=0, retain_days=2)
    await exchange.trade(12)
    ((_, config),) = await jobs(real)
    await real.execute(f"CALL drop_history(0, '{json.dumps(config)}')")
    assert await real.fetchval("SELECT min(time) FROM fills") > past[0].order.time_ms
    await exchange.check_candles()


SPAN_DAYS = 60
CHUNK = re.compile(r"_hyper_\d+_(\d+)_chunk")


class Explained:
    """A connection that notes which chunks the plan of each query names."""

    def __init__(self, connection):
        self._connection = connection
        self.chunks = set()

    async def _explain(self, query, *arguments):
        lines = await self._connection.fetch(f"EXPLAIN {query}", *arguments)
        self.chunks |= {number for line in lines for number in CHUNK.findall(line[0])}

    async def fetch(self, query, *arguments, **given):
        await self._explain(query, *arguments)
        return await self._connection.fetch(query, *arguments, **given)

    async def fetchrow(self, query, *arguments, **given):
        await self._explain(query, *arguments)
        return await self._connection.fetchrow(query, *arguments, **given)

    async def fetchval(self, query, *arguments, **given):
        await self._explain(query, *arguments)
        return await self._connection.fetchval(query, *arguments, **given)

    async def copy_from_query(self, query, *arguments, **given):
        await self._explain(query, *arguments)
        return await self._connection.copy_from_query(query, *arguments, **given)


@pytest.mark.timeout(600)
async def test_a_page_of_the_history_plans_few_of_its_chunks(real, specs, flow, monkeypatch):
    """So does one order. Most of the chunks are compressed."""
    monkeypatch.setattr("fastbook_server.store.order_rows.SEQS_FIRST", 10)  # days are short here
    exchange = Exchange(real, specs, flow)
    await exchange.open(COMMUNITY)
    await real.execute(f"SET {PLAN_WITH_VALUES}")
    memory = MemoryStore()
    memory.data.token_key = b""
    await memory.open(specs, 0)
    for _ in range(SPAN_DAYS):
        exchange.source.step_ms = 900
        batch = exchange.source.batch(12)
        await memory.commit(memory.prepare(batch))
        await exchange.store._write(exchange.store._connection, exchange.store.prepare(batch))
        exchange.source.time_ms += DAY_MS
    await apply_policies(real, COMMUNITY, compress_after_days=3, retain_days=0)
    for table in COMPRESSED:
        await real.execute(
            f"SELECT compress_chunk(c, true) FROM show_chunks('{table}',"
            f" older_than => {exchange.source.time_ms - 3 * DAY_MS}::bigint) AS c"
        )
    assert await real.fetchval("SELECT count(*) FROM timescaledb_information.chunks") > 150
    remembered = memory.history(exchange.history._instruments.values())
    fills = await remembered.fills("BTC-USD", FillSpan(limit=10_000))
    trades = await remembered.trades("BTC-USD", before_seq=None, limit=10_000)
    assert len(fills) > 50
    middle, trade = fills[len(fills) // 2], trades[len(trades) // 2]
    span_ms = (middle.time_ms - DAY_MS, middle.time_ms + 1)
    spans = {
        "newest": FillSpan(limit=5),
        "since": FillSpan(since=middle.fill_id, limit=5),
        "before": FillSpan(before=middle.fill_id, limit=5),
        "period": FillSpan(start_ms=span_ms[0], end_ms=span_ms[1], limit=5),
    }
    asked = {f"fills {name}": ("fills", ("BTC-USD", span), {}) for name, span in spans.items()}
    own = ("user#1", "BTC-USD", FillSpan(before=middle.fill_id, limit=1))
    asked |= {
        "own fills": ("own_fills", own, {}),
        "trades": ("trades", ("BTC-USD",), {"before_seq": None, "limit": 3}),
        "older trades": ("trades", ("BTC-USD",), {"before_seq": trade.seq, "limit": 3}),
        "order": ("order", (trade.order.id,), {}),
    }
    for name, (method, arguments, given) in asked.items():
        explained = Explained(real)
        exchange.history._only = explained
        got = await getattr(exchange.history, method)(*arguments, **given)
        expected = await getattr(remembered, method)(*arguments, **given)
        assert got == expected, name
        # Each compressed one is named twice, for trades those of three tables.
        few = 90 if "trades" in name else 30
        assert 0 < len(explained.chunks) < few, (name, len(explained.chunks))
