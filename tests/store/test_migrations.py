"""The schema moves forward only, once, and never under a program that does not know it."""

from __future__ import annotations

import asyncio
import logging
from typing import get_args

import asyncpg
import pytest

from fastbook_server.store import StoreRefused
from fastbook_server.store.connection import LOCK_KEY, SCHEMA, connect, detect_timescale
from fastbook_server.store.migrations import (
    STATEMENT_TIMEOUT_S,
    Migration,
    load_migrations,
    migrate,
)
from fastbook_server.store.timescale_policies import COMPRESSED
from fastbook_wire.words import Reason


@pytest.fixture
async def connection(dsn):
    connection = await connect(dsn, connect_timeout_s=5, command_timeout_s=30)
    yield connection
    await connection.close()


def apply(connection, migrations=None, timescale=None):
    return migrate(
        connection, schema=SCHEMA, timescale=timescale, lock_key=LOCK_KEY, migrations=migrations
    )


async def test_they_are_applied_once(connection):
    known = load_migrations()
    assert await apply(connection) == len(known)
    assert await apply(connection) == 0
    rows = await connection.fetch("SELECT number, name, checksum FROM schema_migrations ORDER BY 1")
    assert [tuple(row) for row in rows] == [(m.number, m.name, m.checksum) for m in known]


async def test_the_users_own_schema_stays_empty(connection):
    await apply(connection)
    found = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    )
    assert [row[0] for row in found if not row[0].startswith("_")] == []


async def test_servers_that_start_together_wait_for_each_other(dsn):
    several = [await connect(dsn, connect_timeout_s=5, command_timeout_s=30) for _ in range(4)]
    applied = await asyncio.gather(*(apply(one) for one in several))
    assert sorted(applied) == [0, 0, 0, len(load_migrations())]
    for one in several:
        await one.close()


@pytest.mark.parametrize(("name", "text"), [("books", "-- better\n"), ("volumes", "")])
async def test_a_changed_file_is_refused(connection, name, text):
    known = load_migrations()
    await apply(connection)
    known[1] = Migration(2, name, known[1].text + text)
    with pytest.raises(
        StoreRefused, match=f"migration 0002: expected {name} .* got books .* never change"
    ):
        await apply(connection, known)


async def test_a_newer_schema_is_refused(connection):
    known = load_migrations()
    await apply(connection)
    number, name = known[-1].number, known[-1].name
    newer = rf"up to {number - 1:04d}, got {number:04d}_{name} .* upgrade fastbook"
    with pytest.raises(StoreRefused, match=newer):
        await apply(connection, known[:-1])


async def test_a_failing_migration_leaves_nothing(dsn, connection):
    broken = Migration(1, "broken", "CREATE TABLE a (x int); CREATE TABLE a (x int);")
    with pytest.raises(Exception, match="already exists"):
        await apply(connection, [broken])
    await connection.close()
    again = await connect(dsn, connect_timeout_s=5, command_timeout_s=30)
    good = Migration(1, "good", "CREATE TABLE a (x int)")
    assert await apply(again, [good]) == 1
    await again.close()


async def test_a_migration_that_cannot_be_noted_down_leaves_nothing(dsn, connection):
    text = "CREATE TABLE a (x int); ALTER TABLE schema_migrations RENAME TO other"
    with pytest.raises(asyncpg.UndefinedTableError):
        await apply(connection, [Migration(1, "rename", text)])
    await connection.close()
    again = await connect(dsn, connect_timeout_s=5, command_timeout_s=30)
    assert await apply(again, [Migration(1, "good", "CREATE TABLE a (x int)")]) == 1
    await again.close()


async def test_a_migration_may_take_longer_than_a_command(connection):
    given = {}

    class Watched:
        def __getattr__(self, name):
            return getattr(connection, name)

        async def execute(self, query, *arguments, **more):
            given[query] = more
            return await connection.execute(query, *arguments, **more)

    step = Migration(1, "step", "CREATE TABLE a (x int)")
    assert await apply(Watched(), [step]) == 1
    assert given[step.text] == {"timeout": STATEMENT_TIMEOUT_S}


async def test_without_a_transaction_statements_run_one_by_one(connection):
    """CREATE INDEX CONCURRENTLY is refused within any transaction, an implicit one too."""
    text = """-- fastbook: no-transaction
CREATE TABLE IF NOT EXISTS a (x int);
CREATE INDEX CONCURRENTLY IF NOT EXISTS a_x
    ON a (x);
"""
    assert await apply(connection, [Migration(1, "index", text)]) == 1
    assert await connection.fetchval("SELECT count(*) FROM pg_indexes WHERE indexname = 'a_x'") == 1


def test_line_ends_do_not_change_a_checksum():
    unix, windows = (Migration(1, "x", f"SELECT 1;{end}SELECT 2;{end}") for end in ("\n", "\r\n"))
    assert unix.checksum == windows.checksum


@pytest.mark.parametrize(
    ("names", "said"),
    [(["1_tables.sql"], "expected a name like"), (["0001_a.sql", "0003_b.sql"], "got .1, 3.")],
)
def test_a_folder_with_gaps_or_odd_names_is_a_mistake(tmp_path, names, said):
    for name in names:
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(ValueError, match=said):
        load_migrations(tmp_path)


async def test_a_plain_database_is_said_to_be_one(make_database, make_postgres, specs, caplog):
    caplog.set_level(logging.INFO)
    store = make_postgres(await make_database("postgres"))
    await store.open(specs, 0)
    said = [r.message for r in caplog.records if r.name.startswith("fastbook_server.store")]
    assert said == ["PostgreSQL without TimescaleDB: using plain tables"]
    assert store.database.startswith("PostgreSQL 1")


class Unfit:
    """A connection to a server that offers TimescaleDB, and then fails."""

    def __init__(self, code):
        self.error = asyncpg.PostgresError("said")
        self.error.sqlstate = code
        self.terminated = False

    async def fetchval(self, query):
        return True

    async def fetchrow(self, query):
        return None

    async def execute(self, query, *arguments):
        raise self.error

    def terminate(self):
        self.terminated = True


@pytest.mark.parametrize(
    ("code", "advice"),
    [("42501", "ask an administrator"), ("XX000", "preload"), ("08003", "preload")],
)
async def test_a_timescale_that_cannot_be_used_is_no_obstacle(caplog, code, advice):
    unfit = Unfit(code)
    assert await detect_timescale(unfit) is None
    assert advice in caplog.text
    assert unfit.terminated


@pytest.mark.parametrize("code", ["55P03", "57P01", "53300"])
async def test_a_server_that_is_busy_is_not_taken_for_a_plain_one(code):
    unfit = Unfit(code)
    with pytest.raises(asyncpg.PostgresError):
        await detect_timescale(unfit)
    assert unfit.terminated


class Moved(Unfit):
    """A connection to a database with TimescaleDB, on a server that does not load it."""

    def __init__(self, offered):
        super().__init__("")
        self.offered = offered

    async def fetchval(self, query):
        return self.offered

    async def fetchrow(self, query):
        return "2.28.3", None


@pytest.mark.parametrize(
    ("offered", "said"),
    [
        (True, "uses TimescaleDB 2.28.3, which its server does not preload: add timescaledb to"),
        (None, "uses TimescaleDB 2.28.3, which its server does not have: install it there, and"),
    ],
)
async def test_a_database_that_needs_timescale_says_what_its_server_lacks(offered, said):
    moved = Moved(offered)
    with pytest.raises(StoreRefused, match=said):
        await detect_timescale(moved)
    assert moved.terminated


async def test_timescale_makes_hypertables(make_database, make_postgres, specs):
    dsn = await make_database("timescale")
    store = make_postgres(dsn)
    await store.open(specs, 0)
    assert "TimescaleDB" in store.database
    sql = await connect(dsn, connect_timeout_s=5, command_timeout_s=30)
    rows = await sql.fetch(
        "SELECT hypertable_name FROM timescaledb_information.hypertables ORDER BY 1"
    )
    assert {row[0] for row in rows if row[0][0] != "_"} == set(COMPRESSED)
    await sql.close()


async def test_an_older_databases_newest_orders_become_the_rules_of_their_users(connection):
    """Before, a user's newest open order told whether all of them go with the connection."""
    known = load_migrations()
    number = next(m.number for m in known if m.name == "cancel_rules")
    await apply(connection, known[: number - 1])
    orders = [("ann", 1, True), ("ann", 2, False), ("bob", 3, False), ("bob", 4, True)]
    orders += [("cat", 5, True), ("dan", 6, False)]
    for user_id, age, goes in orders:
        await connection.execute(
            "INSERT INTO open_orders VALUES ($1::text::uuid, 0, $2, 'X', 'bid', 1, 1, 1, NULL, 1,"
            " 'gtc', false, 'allow', NULL, $3)",
            f"00000000-0000-7000-8000-{age:012}", user_id, goes,
        )  # fmt: skip
    await apply(connection)
    rules = await connection.fetch(
        "SELECT user_id, after_disconnect_s, deadline FROM cancel_rules ORDER BY user_id"
    )
    assert [tuple(row) for row in rules] == [("bob", 60, None), ("cat", 60, None)]


async def test_the_reasons_of_sql_hold_every_reason_of_the_wire(connection):
    await apply(connection)
    reasons = await connection.fetchval("SELECT enum_range(NULL::cancel_reason)::text[]")
    assert set(get_args(Reason)) <= set(reasons)
