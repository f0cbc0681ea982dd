"""What every connection of the store is set to, whatever the server says: above all, no JIT."""

from __future__ import annotations

import re

import asyncpg
import pytest

from fastbook_server.embedded import binaries, supervisor
from fastbook_server.embedded.supervisor import EmbeddedPostgres
from fastbook_server.store import batches, connection, postgres
from fastbook_server.store.connection import connect, detect_timescale

COMMITTED = (
    batches.COMMIT_BATCH_AND_CANDLES,
    batches.COMMIT_BATCH_ALONE,
    postgres.BEGIN_DAYS,
    postgres.PURGE_CLIENT_ORDERS,
    postgres.CHECKPOINT_BOOKS,
)
# Compile everything and log the plan of everything: only the session itself can say no.
EAGER = {
    "jit": "on",
    "jit_above_cost": "0",
    "shared_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
}


async def test_every_connection_has_jit_off(make_postgres, dsn, sql, specs, flow, monkeypatch):
    """Checks the setting alone, so it also holds where PostgreSQL was built without LLVM."""
    seen = []

    async def detect(made):
        seen.append(("detect", await made.fetchval("SHOW jit")))
        return await detect_timescale(made)

    monkeypatch.setattr(postgres, "detect_timescale", detect)
    await sql.execute(
        f"ALTER DATABASE {await sql.fetchval('SELECT current_database()')} SET jit = on"
    )
    store = make_postgres(dsn)
    source = flow(await store.open(specs, 0))
    seen.append(("open", await store._connection.fetchval("SHOW jit")))
    store._drop()
    await store.commit(store.prepare(source.batch()))
    seen.append(("reconnect", await store._connection.fetchval("SHOW jit")))
    history = store.history(source.instruments)
    async with history._connection() as reader:
        seen.append(("history", await reader.fetchval("SHOW jit")))
    await history.close()
    plain = await asyncpg.connect(dsn)
    seen.append(("anybody else", await plain.fetchval("SHOW jit")))
    await plain.close()
    assert seen == [
        ("detect", "off"), ("open", "off"), ("reconnect", "off"), ("history", "off"),
        ("anybody else", "on"),
    ]  # fmt: skip


async def test_commits_find_rows_by_index_from_the_first_connection_on(
    make_postgres, dsn, specs, flow
):
    store = make_postgres(dsn)
    source = flow(await store.open(specs, 0))
    for _ in range(2):
        for setting in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin"):
            assert await store._connection.fetchval(f"SHOW {setting}") == "off"
        store._drop()
        await store.commit(store.prepare(source.batch()))


async def test_no_lock_is_waited_for_longer_than_a_command(dsn):
    made = await connect(dsn, connect_timeout_s=5, command_timeout_s=1.25)
    assert await made.fetchval("SHOW lock_timeout") == "1250ms"
    await made.close()


async def test_a_connection_that_cannot_be_set_up_is_closed(dsn, monkeypatch):
    made, make = [], asyncpg.connect

    async def note(*arguments, **settings):
        made.append(await make(*arguments, **settings))
        return made[-1]

    monkeypatch.setattr(asyncpg, "connect", note)
    monkeypatch.setattr(connection, "SESSION_SETTINGS", "SET no_such_setting = 1;")
    with pytest.raises(asyncpg.UndefinedObjectError):
        await connect(dsn, connect_timeout_s=5, command_timeout_s=30)
    assert [one.is_closed() for one in made] == [True]


@pytest.fixture
async def server_with_jit(open_folder, monkeypatch):
    """A system PostgreSQL with LLVM that compiles and logs each plan, whatever its cost."""
    found = [
        folder
        for folder in sorted(binaries.SYSTEM_FOLDER.glob("*/bin"))
        if (folder.parent / "lib/llvmjit.so").exists()
    ]
    if not found:
        pytest.skip(f"no PostgreSQL with LLVM in {binaries.SYSTEM_FOLDER}: install postgresql")
    monkeypatch.setattr(supervisor, "SETTINGS", supervisor.SETTINGS | EAGER)
    server = EmbeddedPostgres(open_folder, bin_dir=found[0])
    server.dsn = await server.start()
    yield server
    await server.stop()


def plans(log_path):
    """Return what auto_explain logged: each query's text and plan."""
    entries = re.split(r"^\d{4}-\S+ \S+ \S+ \[\d+\] ", log_path.read_text(), flags=re.MULTILINE)
    return [entry.replace("\n\t", "\n") for entry in entries if "Query Text: " in entry]


async def test_no_plan_of_the_store_is_compiled(server_with_jit, make_postgres, specs, flow):
    """The plans that PostgreSQL ran, from start to history, on a server that compiles them all."""
    dsn, log_path = server_with_jit.dsn, server_with_jit.log_path
    store = make_postgres(dsn, checkpoint_every=10)
    source = flow(await store.open(specs, 0))
    for _ in range(12):
        await store.commit(store.prepare(source.batch(20)))
    await store.commit(store.prepare(source.close_batch([])))
    history = store.history((await store.open(specs, 5)).instruments)
    await history.trades("BTC-USD", before_seq=None, limit=5)
    await history.candles("BTC-USD", "1m", start_ms=None, end_ms=None, limit=5)
    await history.close()
    ours = plans(log_path)
    for statement in COMMITTED:
        assert any(statement.strip() in plan for plan in ours), f"never ran: {statement}"
    assert [plan for plan in ours if "\nJIT:" in plan] == []

    plain = await asyncpg.connect(dsn)
    await plain.fetch("SELECT epoch, batch_no FROM fastbook.engine_state")
    await plain.close()
    (theirs,) = plans(log_path)[len(ours) :]
    assert "\nJIT:" in theirs
