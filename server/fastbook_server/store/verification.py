"""Whether a database agrees with itself: runs every check of `contradictions` in one snapshot."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import NamedTuple

import asyncpg

from fastbook_server.store import StoreRefused, StoreUnavailable
from fastbook_server.store.connection import SCHEMA, Connection, dial, store_error
from fastbook_server.store.contradictions import CHECKS, Check

CONNECT_TIMEOUT_S = 10.0
# Checks compare whole tables. The planner takes a join by id and time for one that few rows meet,
# and would look each of millions of fills up in every chunk of the orders.
SETTINGS = {"jit": "off", "enable_nestloop": "off"}
_OF_DATABASE = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

SHOWN_MAX = 3
"""Rows of a contradiction that are shown."""


class Verdict(NamedTuple):
    """How many faults a check has found, and some of them."""

    check: Check
    faults: int
    shown: tuple[str, ...]


async def verify(connection: Connection) -> AsyncIterator[Verdict]:
    """Yield what each check finds, in order; run it in one snapshot."""
    for check in CHECKS:
        try:
            async with connection.transaction():
                rows = await connection.fetch(
                    f"SELECT format, count(*) OVER () AS faults FROM ({check.contradictions}) AS c"
                    f" LIMIT {SHOWN_MAX}",
                    timeout=None,
                )
        except asyncpg.DataError as error:  # a number with which nobody can compute
            yield Verdict(check, 1, (str(error),))
        else:
            yield Verdict(check, rows[0]["faults"] if rows else 0, tuple(r["format"] for r in rows))


@contextlib.asynccontextmanager
async def snapshot(dsn: str) -> AsyncIterator[Connection]:
    """Yield a connection that reads one snapshot.

    Raises:
        StoreUnavailable: the database cannot be reached.
        StoreRefused: it does not exist, refuses this user, or is not one of ours.
    """
    try:
        connection = await dial(
            dsn,
            timeout=CONNECT_TIMEOUT_S,
            server_settings={"application_name": "fastbook verify", **SETTINGS},
        )
    except (*_OF_DATABASE, OSError, ValueError) as error:
        meaning = store_error(error)
        if isinstance(meaning, StoreUnavailable):
            raise meaning from error
        raise StoreRefused(f"the database cannot be used: {error}") from error
    try:
        await connection.execute(f'SET search_path = "{SCHEMA}", public')
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            if await connection.fetchval("SELECT to_regclass('days') IS NULL"):
                raise StoreRefused(
                    "expected a database with this version's schema, got another: "
                    "run fastbook serve on it once"
                )
            yield connection
    except _OF_DATABASE as error:
        raise store_error(error) or error from error
    finally:
        connection.terminate()
