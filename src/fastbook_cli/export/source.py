"""Reads rows from one snapshot of a database, by a cursor, in chunks, day by day."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from urllib.parse import quote

import asyncpg

from fastbook_cli.export.files import ExportError
from fastbook_cli.export.tables import (
    WINDOWED,
    Selection,
    Window,
    count,
    instrument_rows,
    query,
    windows,
)
from fastbook_server.embedded.supervisor import EmbeddedPostgres
from fastbook_server.store import StoreUnavailable
from fastbook_server.store.connection import SCHEMA, store_error
from fastbook_server.store.days import PLAN_WITH_VALUES
from fastbook_server.store.shared_snapshot import SharedSnapshot, shared

CHUNK_ROWS = 10_000
CONNECT_TIMEOUT_S = 10.0

# Rows are read by index, side by side where two tables are joined, instead of sorting all of them
# first; and each plan is made for its window.
SETTINGS = f"""
SET search_path = "{SCHEMA}", public;
SET enable_sort = off;
SET enable_hashjoin = off;
SET enable_nestloop = off;
SET cursor_tuple_fraction = 0.0001;
SET jit = off;
SET {PLAN_WITH_VALUES}
"""


@contextlib.asynccontextmanager
async def private_database(data_dir: Path) -> AsyncIterator[str]:
    """Yield the DSN of the private PostgreSQL in a folder; it is started if it is not running.

    Raises:
        ExportError: the folder holds no data.
        EmbeddedError: its PostgreSQL cannot be started.
    """
    if not (data_dir / "pgdata").is_dir():
        raise ExportError(f"{data_dir}: expected the data folder of a server, found no pgdata")
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
    """Return the DSN from the postmaster's pid file, which a crash may have left behind."""
    try:
        text = (data_dir / "pgdata" / "postmaster.pid").read_text(errors="replace")
    except OSError:
        return None
    lines = text.replace("\0", "\n").splitlines()  # a crash may have left anything in it
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
    """Reads from one consistent snapshot of a database, each window in a transaction of its own."""

    def __init__(self, snapshot: SharedSnapshot) -> None:
        self._snapshot = snapshot

    async def check(self, securities: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Return tick and lot of these securities, or of all.

        Raises:
            ExportError: the database has no fastbook schema, or lacks a security.
        """
        async with self._snapshot.transaction() as connection:
            if await connection.fetchval("SELECT to_regclass('days') IS NULL"):
                raise ExportError(
                    "expected a database with this version's schema, got another: "
                    "run fastbook serve on it once"
                )
            rows = await connection.fetch(
                "SELECT security, tick, lot FROM instruments ORDER BY number"
            )
        known = {row["security"]: (row["tick"], row["lot"]) for row in rows}
        for security in securities:
            if security not in known:
                raise ExportError(
                    f"--security: expected one of {', '.join(known)}, got {security!r}"
                )
        return {s: known[s] for s in securities} or known

    async def count(self, selection: Selection) -> int:
        """Return the number of rows of a selection."""
        found = 0
        for window in await self._windows(selection):
            statement, arguments = count(selection, window)
            async with self._snapshot.transaction() as connection:
                found += await connection.fetchval(statement, *arguments)
        return found

    async def chunks(self, selection: Selection) -> AsyncGenerator[list[asyncpg.Record], None]:
        """Yield the rows of a selection in order, at most ``CHUNK_ROWS`` at a time."""
        if selection.table == "events":
            statement, arguments = instrument_rows(selection)
            async with self._snapshot.transaction() as connection:
                rows = await connection.fetch(statement, *arguments)
            if rows:
                yield rows
        for window in await self._windows(selection):
            statement, arguments = query(selection, window)
            async with self._snapshot.transaction() as connection:
                cursor = await connection.cursor(statement, *arguments)
                while rows := await cursor.fetch(CHUNK_ROWS):
                    yield rows

    async def _windows(self, selection: Selection) -> Sequence[Window | None]:
        """Return the windows of a selection, in order; only None if all of it is read at once."""
        if selection.table not in WINDOWED:
            return [None]
        statement, arguments = windows(selection)
        async with self._snapshot.transaction() as connection:
            rows = await connection.fetch(statement, *arguments)
        return [
            Window(security, (first, end), (start_ms, end_ms))
            for security, first, end, start_ms, end_ms in rows
        ]


_OF_DATABASE = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


@contextlib.asynccontextmanager
async def read(dsn: str) -> AsyncIterator[Source]:
    """Yield a source of what is committed now; later commits do not show in it.

    Raises:
        StoreUnavailable: the database cannot be reached.
        ExportError: the database does not exist, or refuses this user.
    """
    async with contextlib.AsyncExitStack() as stack:
        try:
            snapshot = await stack.enter_async_context(
                shared(dsn, name="fastbook export", settings=SETTINGS)
            )
        except (*_OF_DATABASE, OSError, ValueError) as error:
            meaning = store_error(error)
            if isinstance(meaning, StoreUnavailable):
                raise meaning from error
            raise ExportError(f"the database cannot be used: {error}") from error
        try:
            yield Source(snapshot)
        except _OF_DATABASE as error:
            raise store_error(error) or error from error
