"""The schema and every statement of the store on TimescaleDB, in its WASM build: no COPY, one line.

Needs node and the folder that ``.ci/timescale_wasm/prepare`` fills; ``FASTBOOK_TEST_WASM_DIR``
names it. A native server is better: see ``FASTBOOK_TEST_TIMESCALE_URL``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from fastbook_server.state import Recovered
from fastbook_server.store.connection import LOCK_KEY, SCHEMA, connect
from fastbook_server.store.memory import MemoryStore
from fastbook_server.store.migrations import load_migrations, migrate
from fastbook_server.store.postgres import HYPERTABLES, PostgresStore
from fastbook_server.store.recovery import claim, recover

DAY_MS = 86_400_000


@pytest.fixture
def wasm_dsn():
    folder = os.environ.get("FASTBOOK_TEST_WASM_DIR")
    node = shutil.which("node")
    if not folder or not node:
        pytest.skip("FASTBOOK_TEST_WASM_DIR names no folder with a TimescaleDB in WASM, or no node")
    server = subprocess.Popen(
        [node, "server.mjs"], cwd=Path(folder), stdout=subprocess.PIPE, text=True
    )
    said = server.stdout.readline().split()
    assert said[:1] == ["ready"], f"expected ready and a port, got {said}"
    yield f"postgresql://postgres@127.0.0.1:{said[1]}/postgres?sslmode=disable"
    server.terminate()
    server.wait(20)
    server.stdout.close()


class WithoutCopy:
    """A connection whose COPY is many INSERTs."""

    def __init__(self, connection):
        self._connection = connection

    def __getattr__(self, name):
        return getattr(self._connection, name)

    async def copy_records_to_table(self, table, *, schema_name, columns, records):
        places = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
        names = ", ".join(columns)
        insert = f"INSERT INTO {schema_name}.{table} ({names}) VALUES ({places})"
        for record in records:
            await self._connection.execute(insert, *record)


@pytest.mark.timeout(300)
async def test_every_statement_of_the_store(wasm_dsn, specs, flow):
    real = await connect(wasm_dsn, connect_timeout_s=60, command_timeout_s=120)
    schema = {"schema": SCHEMA, "lock_key": LOCK_KEY, "timescale": True}
    assert await migrate(real, **schema) == len(load_migrations())
    assert await migrate(real, **schema) == 0
    assert await real.fetchval(HYPERTABLES, SCHEMA) == 4

    claimed = await claim(real, specs)
    store = PostgresStore(wasm_dsn, checkpoint_every=20)
    store._connection, store._epoch = WithoutCopy(real), claimed.epoch
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
    for view in ("fills_as_numbers", "cancellations_as_numbers", "open_orders_as_numbers"):
        table = view.removesuffix("_as_numbers")
        assert len(await real.fetch(f"SELECT * FROM {view}")) == await real.fetchval(
            f"SELECT count(*) FROM {table}"
        )
    for last_trades in (0, 3):
        expected = await memory.open(specs, last_trades)
        assert isinstance(expected, Recovered)
        assert len(expected.client_orders) > 3
        again = await claim(real, specs)
        assert await recover(real, again, last_trades) == expected
    real.terminate()  # it does not answer a goodbye
