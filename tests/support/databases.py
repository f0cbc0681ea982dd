"""Fixtures: a real PostgreSQL for the whole run, a database per test, and stores on it."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from fastbook_server.embedded.supervisor import EmbeddedPostgres
from fastbook_server.store.postgres import PostgresStore

MakeDatabase = Callable[[str], Awaitable[str]]


@pytest.fixture(scope="session")
def embedded_dsn() -> Iterator[str]:
    """The DSN of a PostgreSQL that lives as long as this worker, in a loop of its own."""
    folder = Path(tempfile.mkdtemp(prefix="fastbook-test-", dir="/tmp"))
    folder.chmod(0o755)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="embedded-postgres")
    thread.start()
    postgres = EmbeddedPostgres(folder)
    try:
        yield asyncio.run_coroutine_threadsafe(postgres.start(), loop).result(100)
    finally:
        asyncio.run_coroutine_threadsafe(postgres.stop(), loop).result(100)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        shutil.rmtree(folder)


@pytest.fixture
async def make_database(request: pytest.FixtureRequest) -> AsyncIterator[MakeDatabase]:
    """Return a function that makes a new database on a kind of server, and returns its DSN."""
    made: list[tuple[asyncpg.Connection, str]] = []

    async def make(kind: str) -> str:
        if kind == "postgres":
            named = os.environ.get("FASTBOOK_TEST_POSTGRES_URL")  # a server of another version
            server = named or request.getfixturevalue("embedded_dsn")
        elif not (server := os.environ.get("FASTBOOK_TEST_TIMESCALE_URL")):
            pytest.skip("FASTBOOK_TEST_TIMESCALE_URL names no PostgreSQL with TimescaleDB")
        name = f"fastbook_test_{os.getpid()}_{random.getrandbits(48):012x}"
        admin = await asyncpg.connect(server)
        made.append((admin, name))
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))

    yield make
    for admin, name in made:
        await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await admin.close()


@pytest.fixture
async def sql_of() -> AsyncIterator[Callable[[str], Awaitable[asyncpg.Connection]]]:
    """Return a function that connects to a database and looks into the store's schema first."""
    made: list[asyncpg.Connection] = []

    async def connect(dsn: str) -> asyncpg.Connection:
        made.append(await asyncpg.connect(dsn))
        await made[-1].execute("SET search_path = fastbook, public")
        return made[-1]

    yield connect
    for connection in made:
        await connection.close()


@pytest.fixture
async def make_postgres() -> AsyncIterator[Callable[..., PostgresStore]]:
    """Return a function that makes a store on a database, closed when the test ends."""
    made: list[PostgresStore] = []

    def make(dsn: str, **settings: object) -> PostgresStore:
        made.append(PostgresStore(dsn, **settings))
        return made[-1]

    yield make
    for store in made:
        await store.close()
