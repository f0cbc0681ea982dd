"""Where the rows come from: one snapshot of a database, read by a cursor, chunk by chunk."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import asyncpg

from fastbook_cli.export.files import ExportError
from fastbook_cli.export.tables import Selection, count, query
from fastbook_server.embedded.supervisor import EmbeddedPostgres
from fastbook_server.store import StoreUnavailable
from fastbook_server.store.connection import SCHEMA, store_error

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

CHUNK_ROWS = 10_000
CONNECT_TIMEOUT_S = 10.0


@contextlib.asynccontextmanager
async def private_database(data_dir: Path) -> AsyncIterator[str]:
    """Yield the DSN of the private PostgreSQL in a folder: the running one, or one just for this.

    Raises:
        ExportError: there is no data in the folder.
        EmbeddedError: its PostgreSQL cannot be started.
    """
    if not (data_dir / "pgdata").is_dir():
        raise ExportError(f"{data_dir}: there is no data of a fastbook server")
    dsn = _running(data_dir)
    if dsn is not None and await _answers(dsn):
        yield dsn
        return
    postgres = EmbeddedPostgres(data_dir)
    try:
        yield await postgres.start()
    finally:
        await postgres.stop()


def _running(data_dir: Path) -> str | None:
    """Return where a postmaster says that it listens; it may be dead all the same."""
    try:
        lines = (data_dir / "pgdata" / "postmaster.pid").read_text().splitlines()
    except OSError:
        return None
    if len(lines) < 5 or not lines[4].startswith("/"):
        return None
    return f"postgresql://postgres@/postgres?host={quote(lines[4], safe='')}"


async def _answers(dsn: str) -> bool:
    try:
        connection = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_S)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    connection.terminate()
    return True


class Source:
    """One consistent moment of a database, for reading."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def check(self, securities: Sequence[str]) -> None:
        """Raise ExportError if the database knows nothing of fastbook, or of a security."""
        if await self._connection.fetchval("SELECT to_regclass('candles_1d') IS NULL"):
            raise ExportError(
                "this database has no fastbook data, or is older than this program: "
                "start fastbook serve on it once"
            )
        rows = await self._connection.fetch("SELECT security FROM instruments ORDER BY number")
        known = [row[0] for row in rows]
        for security in securities:
            if security not in known:
                raise ExportError(f"--security: expected one of {', '.join(known)}, got {security}")

    async def count(self, selection: Selection) -> int:
        """Return how many rows there will be."""
        statement, arguments = count(selection)
        found: int = await self._connection.fetchval(statement, *arguments)
        return found

    async def chunks(self, selection: Selection) -> AsyncIterator[list[asyncpg.Record]]:
        """Yield the rows in order, some thousand at a time."""
        statement, arguments = query(selection)
        cursor = await self._connection.cursor(statement, *arguments)
        while rows := await cursor.fetch(CHUNK_ROWS):
            yield rows


_OF_DATABASE = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


@contextlib.asynccontextmanager
async def read(dsn: str) -> AsyncIterator[Source]:
    """Yield a source: what is committed later does not show in it.

    Raises:
        StoreUnavailable: the database is away.
        ExportError: there is none such, or not for us.
    """
    try:
        connection: Connection = await asyncpg.connect(
            dsn, timeout=CONNECT_TIMEOUT_S, server_settings={"application_name": "fastbook export"}
        )
    except (*_OF_DATABASE, OSError, ValueError) as error:
        meaning = store_error(error)
        if isinstance(meaning, StoreUnavailable):
            raise meaning from error
        raise ExportError(f"the database cannot be used: {error}") from error
    try:
        # Rows come by index, not after a sort of everything.
        await connection.execute(
            f'SET search_path = "{SCHEMA}", public; SET enable_sort = off;'
            "SET enable_hashjoin = off; SET cursor_tuple_fraction = 0.0001; SET jit = off"
        )
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield Source(connection)
    except _OF_DATABASE as error:
        raise store_error(error) or error from error
    finally:
        connection.terminate()
