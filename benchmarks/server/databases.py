"""A PostgreSQL for the measurements, on the core that is not the server's."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import asyncpg

from benchmarks.server.processes import cores, pin
from fastbook_server.embedded.supervisor import EmbeddedPostgres


class Cluster:
    """A running PostgreSQL; its data is durable, as a server's is."""

    def __init__(self, dsn: str, runner: asyncio.Runner) -> None:
        self._dsn = dsn
        self._runner = runner
        self._count = 0

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """Yield the DSN of a new database; it is dropped at the end of the block."""
        self._count += 1
        name = f"bench_{self._count}"
        self._runner.run(self._execute(f"CREATE DATABASE {name}"))
        try:
            yield self._dsn.replace("/postgres?", f"/{name}?")
        finally:
            self._runner.run(self._execute(f"DROP DATABASE {name} WITH (FORCE)"))

    def copied_out(self, dsn: str, statement: str) -> int:
        """COPY the rows of a statement out of a database in binary; return how many bytes."""
        return self._runner.run(self._copy(dsn, statement))

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def _copy(self, dsn: str, statement: str) -> int:
        count = 0

        async def take(data: bytes) -> None:
            nonlocal count
            count += len(data)

        connection = await asyncpg.connect(dsn)
        try:
            await connection.copy_from_query(statement, output=take, format="binary")
        finally:
            await connection.close()
        return count


@cache
def cluster() -> Cluster:
    """Start a PostgreSQL that all rows share; it stops with this process.

    Raises:
        EmbeddedError: its programs are not installed.
    """
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    folder = Path(tempfile.mkdtemp(prefix="fastbook-bench-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    if os.geteuid() == 0:
        folder.chmod(0o755)  # PostgreSQL's own user must be able to enter
    runner = stack.enter_context(asyncio.Runner())
    pin(0, cores().others)  # what this process starts stays there
    postgres = EmbeddedPostgres(folder / "data")
    dsn = runner.run(postgres.start())
    stack.callback(lambda: runner.run(postgres.stop()))
    return Cluster(dsn, runner)
