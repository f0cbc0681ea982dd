"""What a database is, seen without changing it."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from fastbook_server.store import StoreError, StoreRefused, StoreUnavailable
from fastbook_server.store.connection import UNSAFE, connect, look, meanings, place_of
from fastbook_server.store.verification import snapshot


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


async def connecting(url: str) -> None:
    with meanings():
        await connect(url, connect_timeout_s=5, command_timeout_s=5)


async def reading(url: str) -> None:
    async with snapshot(url):
        pass


UNREADABLE = [
    "postgresql://me:s3cr3t@[::/exchange",
    "postgresql://me:s3cr3t/more@db/exchange",
    "postgresql://me:s3cr3t#more@db/exchange",
    "postgresql://me:s3cr3t?more@db/exchange",
    "http://me:s3cr3t@db/exchange",
    "s3cr3t",
]


@pytest.mark.parametrize("url", UNREADABLE)
@pytest.mark.parametrize("way", [look, connecting, reading])
async def test_a_url_that_is_none_is_refused_and_not_repeated(url, way):
    """A sign in a password that is not encoded makes its beginning a port: a common mistake."""
    with pytest.raises(StoreError) as refused:
        await way(url)
    assert not isinstance(refused.value, StoreUnavailable)
    assert "expected postgresql://" in str(refused.value)
    assert "s3cr3t" not in str(refused.value)


@pytest.mark.parametrize("url", UNREADABLE[:-2])
def test_a_place_is_told_without_a_password(url):
    with pytest.raises(StoreRefused) as refused:
        place_of(url)
    assert "s3cr3t" not in str(refused.value)
    assert place_of("postgresql://me:s3cr3t@db:5432/exchange") == "db/exchange"
