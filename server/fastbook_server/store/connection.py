"""Connections to PostgreSQL: how they are made, what TimescaleDB offers, what an error means."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from fastbook_server.store import StoreBroken, StoreError, StoreUnavailable

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

log = logging.getLogger(__name__)

SCHEMA = "fastbook"
"""Our own schema in the database, so that the user's tables are left alone."""
LOCK_KEY = 0x6661737462  # "fastb": the advisory lock of everything that changes the schema
SERVER_MAJOR_MIN = 14
IDLE_IN_TRANSACTION_MS_MAX = 30_000

# For every connection of the store. Commits and history reads turn sequential scans off, which
# before PostgreSQL 18 adds 1e10 to the cost of a scan that no index can replace, such as that of
# engine_state. Such a cost is above any jit_above_cost: with JIT on, the plan is compiled at each
# execution, which takes hundreds of milliseconds for a statement that runs in one.
SESSION_SETTINGS = f"""
SET search_path = "{SCHEMA}", public;
SET jit = off;
"""

# SQLSTATE classes and codes after which the same batch is worth another try: connection, resources,
# the server's operator and its disk; serialization; locks; a read-only server; a session ended.
RETRIED_CLASSES = ("08", "40", "53", "57", "58")
RETRIED_CODES = ("25006", "25P03", "25P04", "55P03")


class Timescale(msgspec.Struct, frozen=True):
    """TimescaleDB as it was found: ``licence`` is ``apache`` or ``timescale`` (community)."""

    version: str
    licence: str


async def connect(dsn: str, *, connect_timeout_s: float, command_timeout_s: float) -> Connection:
    """Return a connection whose names are looked up in our schema first, and commits are durable.

    Nothing on it waits longer than `command_timeout_s`, for locks neither. Raises whatever asyncpg
    raises: see `store_error`.
    """
    connection: Connection = await asyncpg.connect(
        dsn,
        timeout=connect_timeout_s,
        command_timeout=command_timeout_s,
        max_cached_statement_lifetime=0,
        server_settings={"application_name": "fastbook"},
    )
    try:
        await connection.execute(
            f"{SESSION_SETTINGS}"
            f"SET lock_timeout = {int(command_timeout_s * 1000)};"
            # A server that froze within a transaction must not keep its successor waiting.
            f"SET idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION_MS_MAX}"
        )
        if await connection.fetchval("SHOW synchronous_commit") == "off":
            await connection.execute("SET synchronous_commit = on")
    except BaseException:
        connection.terminate()
        raise
    return connection


async def detect_timescale(connection: Connection) -> Timescale | None:
    """Return the TimescaleDB of this database, installed if it was only available, or None.

    Closes `connection`, which must be of no other use: a TimescaleDB that was not preloaded kills
    it. One line of the log says when there is none, and what would help.

    Raises what asyncpg raises when the server is away or busy.
    """
    try:
        offered = await connection.fetchval(
            "SELECT true FROM pg_available_extensions WHERE name = 'timescaledb'"
        )
        if not offered:
            log.info("no TimescaleDB in this PostgreSQL: plain tables are used instead")
            return None
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK_KEY)
        await connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb SCHEMA public")
        row = await connection.fetchrow(
            "SELECT extversion, current_setting('timescaledb.license', true)"
            " FROM pg_extension WHERE extname = 'timescaledb'"
        )
        return Timescale(version=row[0], licence=row[1] or "apache") if row else None
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        code = getattr(error, "sqlstate", None) or ""
        if not code.startswith("08") and isinstance(store_error(error), StoreUnavailable):
            raise  # it says nothing about TimescaleDB, and tables made plain stay plain
        advice = (
            "ask an administrator for CREATE EXTENSION timescaledb"
            if code == "42501"
            else "does shared_preload_libraries name timescaledb?"
        )
        log.warning("TimescaleDB is there but cannot be used (%s): %s", error, advice)
        return None
    finally:
        connection.terminate()


def store_error(error: BaseException) -> StoreError | None:
    """Return what an error of asyncpg or the network means for a batch; None: not ours to judge."""
    if isinstance(error, StoreError):
        return error
    said = f"{type(error).__name__}: {str(error) or 'no answer in time'}"
    if isinstance(error, asyncpg.PostgresError):
        code = getattr(error, "sqlstate", None) or ""
        if code[:2] in RETRIED_CLASSES or code in RETRIED_CODES:
            return StoreUnavailable(f"{said} (SQLSTATE {code})")
        return StoreBroken(f"{said} (SQLSTATE {code or 'none'})")
    if isinstance(error, ValueError) and isinstance(error, asyncpg.InterfaceError):
        return StoreBroken(said)  # a value that does not fit its column, or a bad setting
    # InternalClientError: among others, the server said goodbye while nothing was asked of it.
    # TimeoutError is an OSError.
    if isinstance(error, (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, EOFError)):
        return StoreUnavailable(said)
    return None
