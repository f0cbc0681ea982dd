"""One cluster of PostgreSQL for the tests of this folder, and servers in processes of their own."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from serving import Serving

from fastbook_server.embedded.supervisor import EmbeddedPostgres

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def folder(empty_cluster: Path) -> Iterator[Path]:
    """The folder of one cluster for all tests here; most make a database of their own."""
    folder = Path(tempfile.mkdtemp(prefix="fastbook-test-", dir="/tmp"))
    folder.chmod(0o755)
    subprocess.run(["cp", "-a", empty_cluster / "pgdata", folder], check=True)
    yield folder
    shutil.rmtree(folder)


class Postgres(EmbeddedPostgres):
    """The cluster, running; ``dsn`` is a database of the test's own."""

    dsn = ""

    async def make_database(self) -> str:
        """Return the DSN of a new database."""
        server = await asyncpg.connect(self.server_dsn)
        name = f"test_{next(_numbers)}"
        await server.execute(f"CREATE DATABASE {name}")
        if sys.platform == "linux":  # after a crash one call, and not one for each file
            await server.execute("ALTER SYSTEM SET recovery_init_sync_method = syncfs")
        await server.close()
        return urlunsplit(urlsplit(self.server_dsn)._replace(path=f"/{name}"))

    async def start(self) -> str:
        """See `EmbeddedPostgres.start`."""
        self.server_dsn = await super().start()
        return self.server_dsn


@pytest.fixture
async def postgres(folder) -> AsyncIterator[Postgres]:
    server = Postgres(folder)
    await server.start()
    server.dsn = await server.make_database()
    yield server
    await server.stop()


@pytest.fixture
async def run() -> AsyncIterator[Callable[..., Awaitable[Serving]]]:
    """A function that starts a ``fastbook serve`` with some options and waits until it serves."""
    started: list[Serving] = []

    async def start(*options: str, until_ready: bool = True) -> Serving:
        started.append(Serving(*options))
        if until_ready:
            await started[-1].ready()
        return started[-1]

    yield start
    for server in started:
        await server.clear_away()
