"""What a database is, seen without changing it."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from fastbook_server.store import StoreError, StoreUnavailable
from fastbook_server.store.connection import UNSAFE, look


async def test_a_database_is_seen_as_it_is(dsn: str, sql: asyncpg.Connection) -> None:
    seen = await look(dsn)
    assert seen.version == await sql.fetchval("SHOW server_version")
    assert set(seen.unsafe) == {n for n in UNSAFE if await sql.fetchval(f"SHOW {n}") == "off"}
    assert seen.may_create
    assert not await sql.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = 'fastbook'")


async def test_what_may_lose_data_is_named(dsn: str, sql: asyncpg.Connection) -> None:
    name = await sql.fetchval("SELECT current_database()")
    await sql.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    assert (await look(dsn)).unsafe["synchronous_commit"] == "off"


async def test_what_cannot_be_reached_or_used_says_so(dsn: str) -> None:
    with pytest.raises(StoreUnavailable, match=r"^connection refused$"):
        await look("postgresql://127.0.0.1:1/x")
    with pytest.raises(StoreError, match="no_such_database"):
        await look(urlunsplit(urlsplit(dsn)._replace(path="/no_such_database")))
