"""Connect to PostgreSQL, detect TimescaleDB, and classify errors."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import asyncpg
import msgspec

from fastbook_server.store import StoreBroken, StoreError, StoreRefused, StoreUnavailable

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

log = logging.getLogger(__name__)

SCHEMA = "fastbook"
"""The schema that holds every object of ours, apart from the user's own tables."""
LOCK_KEY = 0x6661737462
"""Advisory lock held while the schema changes: "fastb" in ASCII."""
SERVER_MAJOR_MIN = 14
IDLE_IN_TRANSACTION_MS_MAX = 30_000
NO_URL = (
    "the database cannot be used: expected postgresql://USER:PASSWORD@HOST:PORT/NAME, got another "
    "form; in a password, @ is written %40, / is %2F, : is %3A, # is %23 and ? is %3F"
)

# For every connection of the store. Commits and history reads turn sequential scans off, which
# before PostgreSQL 18 adds 1e10 to the cost of a scan that no index can replace, such as that of
# engine_state. Such a cost is above any jit_above_cost: with JIT on, the plan is compiled at each
# execution, which takes hundreds of milliseconds for a statement that runs in one.
SESSION_SETTINGS = f"""
SET search_path = "{SCHEMA}", public;
SET jit = off;
SET default_transaction_isolation = 'read committed';
"""

# SQLSTATE classes and codes after which a retry can succeed. Classes: connection, transaction
# rollback, resources, operator intervention, system error. Codes: read-only transaction, idle or
# transaction timeout, lock timeout.
RETRIED_CLASSES = ("08", "40", "53", "57", "58")
RETRIED_CODES = ("25006", "25P03", "25P04", "55P03")


class Timescale(msgspec.Struct, frozen=True):
    """An installed TimescaleDB; ``licence`` is ``apache`` or ``timescale`` (community)."""

    version: str
    licence: str


async def dial(dsn: str, **options: Any) -> Connection:
    """Connect to `dsn`.

    Raises:
        StoreRefused: it is no URL; the message does not repeat it, for it may hold a password.
        Exception: whatever else asyncpg or the network raises; `store_error` classifies it.
    """
    if not dsn.startswith(("postgresql://", "postgres://")):
        raise StoreRefused(NO_URL)
    try:
        connection: Connection = await asyncpg.connect(dsn, **options)
    except ValueError as error:
        if isinstance(error, asyncpg.InterfaceError):  # it says what is wrong
            raise
        raise StoreRefused(NO_URL) from None
    return connection


def place_of(dsn: str) -> str:
    """Return host and database of a URL, for people; whatever it says, no password.

    Raises:
        StoreRefused: it is no URL.
    """
    try:
        parts = urlsplit(dsn)
        _ = parts.port  # of a password with a slash in it, this is the beginning
    except ValueError:
        raise StoreRefused(NO_URL) from None
    return f"{parts.hostname or 'local'}{parts.path}"


async def connect(dsn: str, *, connect_timeout_s: float, command_timeout_s: float) -> Connection:
    """Connect to `dsn` with our schema first in the search path and synchronous commits.

    No statement, and no wait for a lock, takes longer than `command_timeout_s`.

    Raises:
        Exception: whatever asyncpg or the network raises; `store_error` classifies it.
    """
    connection = await dial(
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
            # A server frozen inside a transaction must not block its successor.
            f"SET idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION_MS_MAX}"
        )
        if await connection.fetchval("SHOW synchronous_commit") == "off":
            await connection.execute("SET synchronous_commit = on")
    except BaseException:
        connection.terminate()
        raise
    return connection


async def detect_timescale(connection: Connection) -> Timescale | None:
    """Return this database's TimescaleDB, installing it if available; None if it is unusable.

    Always closes `connection`: installing a TimescaleDB that was not preloaded kills the session.
    Logs one line if there is no usable TimescaleDB, with the likely remedy.

    Raises:
        StoreRefused: the database has a TimescaleDB that the server does not load any more.
        Exception: whatever asyncpg raises while the server is away or busy; that says nothing
            about TimescaleDB.
    """
    try:
        offered = await connection.fetchval(
            "SELECT true FROM pg_available_extensions WHERE name = 'timescaledb'"
        )
        _check_loads(await connection.fetchrow(INSTALLED), offered=bool(offered))
        if not offered:
            log.info("PostgreSQL without TimescaleDB: using plain tables")
            return None
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK_KEY)
        await connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb SCHEMA public")
        row = await connection.fetchrow(INSTALLED)
        return Timescale(version=row[0], licence=row[1] or "apache") if row else None
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        code = getattr(error, "sqlstate", None) or ""
        if not code.startswith("08") and isinstance(store_error(error), StoreUnavailable):
            raise  # taking the server for a plain one would be final: plain tables stay plain
        advice = (
            "ask an administrator to run CREATE EXTENSION timescaledb"
            if code == "42501"
            else "check that shared_preload_libraries includes timescaledb"
        )
        log.warning("TimescaleDB is available but unusable (%s): %s", error, advice)
        return None
    finally:
        connection.terminate()


# Its settings are known to sessions that have loaded it, which is at their first query.
INSTALLED = """
SELECT extversion, current_setting('timescaledb.license', true) AS licence
FROM pg_extension WHERE extname = 'timescaledb'
"""


def _check_loads(installed: asyncpg.Record | None, *, offered: bool) -> None:
    """Refuse a database whose tables need a TimescaleDB that is not there, or is not loaded."""
    if installed is None or (offered and installed[1] is not None):
        return
    remedy = (
        "add timescaledb to shared_preload_libraries and restart PostgreSQL"
        if offered
        else "install it there, and add timescaledb to shared_preload_libraries"
    )
    raise StoreRefused(
        f"this database uses TimescaleDB {installed[0]}, which its server does not "
        f"{'preload' if offered else 'have'}: {remedy}"
    )


class Seen(NamedTuple):
    """What a database is: its version, its TimescaleDB if one could be used, what may lose data.

    ``unsafe`` holds settings that break the promise of durability; ``may_create`` says whether our
    schema exists or could be made.
    """

    version: str
    timescale: str | None
    unsafe: dict[str, str]
    may_create: bool


async def look(dsn: str, *, timeout_s: float = 10.0) -> Seen:
    """Return what the database at `dsn` is, without changing anything in it.

    Raises:
        StoreError: it cannot be reached, or does not let this user in.
    """
    try:
        connection = await dial(dsn, timeout=timeout_s)
        try:
            row = await connection.fetchrow(LOOK)
        finally:
            await connection.close(timeout=timeout_s)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
        meaning = store_error(error)
        if meaning is None:
            raise
        raise meaning from error
    assert row is not None, "it selects values"
    unsafe = {name: row[name] for name in UNSAFE if row[name] == "off"}
    return Seen(row["version"], row["timescale"], unsafe, row["may_create"])


UNSAFE = ("fsync", "synchronous_commit", "full_page_writes")
LOOK = """
SELECT current_setting('server_version') AS version,
       (SELECT default_version FROM pg_available_extensions
        WHERE name = 'timescaledb') AS timescale,
       current_setting('fsync') AS fsync,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('full_page_writes') AS full_page_writes,
       has_database_privilege(current_database(), 'CREATE')
           OR EXISTS (SELECT FROM pg_namespace WHERE nspname = 'fastbook') AS may_create
"""


def store_error(error: BaseException) -> StoreError | None:
    """Return the `StoreError` that an error amounts to; None if it is no error of the database.

    `error` comes from asyncpg or the network. The message keeps its type, text and SQLSTATE; of the
    operating system's errors, what they mean.
    """
    if isinstance(error, StoreError):
        return error
    if isinstance(error, OSError) and error.strerror and not isinstance(error, TimeoutError):
        number = error.errno if isinstance(error.errno, int) else 0
        meaning = os.strerror(number) if number in errno.errorcode else error.strerror
        return StoreUnavailable(meaning[:1].lower() + meaning[1:])
    said = f"{type(error).__name__}: {str(error) or 'timed out'}"
    if isinstance(error, asyncpg.PostgresError):
        code = getattr(error, "sqlstate", None) or ""
        if code[:2] in RETRIED_CLASSES or code in RETRIED_CODES:
            return StoreUnavailable(f"{said} (SQLSTATE {code})")
        return StoreBroken(f"{said} (SQLSTATE {code or 'none'})")
    if isinstance(error, ValueError) and isinstance(error, asyncpg.InterfaceError):
        return StoreBroken(str(error))  # such as an invalid DSN
    if isinstance(error, RuntimeError) and "the handler is closed" in str(error):
        return StoreUnavailable("the connection was lost")  # uvloop: just before one wrote to it
    # asyncpg raises InternalClientError, among other cases, when the server closes an idle session.
    # TimeoutError is an OSError.
    if isinstance(error, (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, EOFError)):
        return StoreUnavailable(said)
    return None


@contextlib.contextmanager
def meanings() -> Iterator[None]:
    """Raise each error of the database as the `StoreError` that it amounts to."""
    try:
        yield
    except Exception as error:
        meaning = store_error(error)
        if meaning is None or meaning is error:
            raise
        raise meaning from error


@contextlib.contextmanager
def letting_in() -> Iterator[None]:
    """Like `meanings`, for another connection to a database that has been used before.

    If it lets nobody in now (a restore, maintenance, other rules or passwords), it is away.
    """
    try:
        with meanings():
            yield
    except StoreBroken as error:
        raise StoreUnavailable(str(error)) from error
