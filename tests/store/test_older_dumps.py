"""Databases of every earlier schema, opened by this version: the same books, trades and candles.

The dumps are made by ``tools/schema_dump.py``, which also says what a server must make of them.
"""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest
from trading import SPECS

from fastbook_server.store.connection import LOCK_KEY, SCHEMA, connect, detect_timescale
from fastbook_server.store.migrations import load_migrations, migrate
from fastbook_server.store.shared_snapshot import SharedSnapshot
from fastbook_server.store.verification import verify

FOLDER = Path(__file__).parent / "dumps"
TOOL = Path(__file__).parents[2] / "tools" / "schema_dump.py"
# Where candles are aggregates, they follow from the fills.
CANDLES = re.compile(r"^INSERT INTO candles .*?;$", re.MULTILINE | re.DOTALL)
NUMBERS = [migration.number for migration in load_migrations()]


@pytest.fixture(scope="module")
def tool():
    """The module that makes the dumps; what it reads back is compared here."""
    spec = importlib.util.spec_from_file_location("schema_dump", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_schema_has_its_dump():
    """For a new migration, run ``python tools/schema_dump.py`` and commit what it writes."""
    made = {path.name for path in FOLDER.iterdir()}
    assert made == {f"{number:04}.{kind}" for number in NUMBERS for kind in ("sql", "json")}


async def restored(dsn, number):
    """Let a database hold what one of an earlier schema held."""
    timescale = await detect_timescale(
        await connect(dsn, connect_timeout_s=5, command_timeout_s=60)
    )
    connection = await connect(dsn, connect_timeout_s=5, command_timeout_s=60)
    older = load_migrations()[:number]
    await migrate(
        connection, schema=SCHEMA, timescale=timescale, lock_key=LOCK_KEY, migrations=older
    )
    await connection.execute("DELETE FROM schema_migrations")  # the dump has its own
    rows = (FOLDER / f"{number:04}.sql").read_text()
    if not await connection.fetchval("SELECT to_regclass('candles') IS NOT NULL"):
        rows = CANDLES.sub("", rows)
    await connection.execute(rows)
    await connection.close()


@pytest.mark.parametrize("number", NUMBERS)
async def test_an_older_database_is_what_it_was(dsn, sql, make_postgres, tool, number):
    await restored(dsn, number)
    store = make_postgres(dsn)
    past = await store.open(SPECS, 0)
    history = store.history(past.instruments)
    expected = json.loads((FOLDER / f"{number:04}.json").read_text())
    assert await tool.told(sql, history, past) == expected
    assert sum(map(len, expected["trades"].values())) > 10
    faults = [found async for found in verify(SharedSnapshot(sql)) if found.faults]
    assert faults == []
    await history.close()
