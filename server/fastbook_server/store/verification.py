"""Whether a database agrees with itself: runs every check of `contradictions` in one snapshot."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import NamedTuple

import asyncpg

from fastbook_server.store import StoreRefused, StoreUnavailable
from fastbook_server.store.connection import SCHEMA, store_error
from fastbook_server.store.contradictions import CHECKS, Check
from fastbook_server.store.shared_snapshot import SharedSnapshot, shared

# Checks compare whole tables. The planner takes a join by id and time for one that few rows meet,
# and would look each of millions of fills up in every chunk of the orders.
SETTINGS = f"""
SET search_path = "{SCHEMA}", public;
SET jit = off;
SET enable_nestloop = off
"""
_OF_DATABASE = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

SHOWN_MAX = 3
"""Rows of a contradiction that are shown."""


class Verdict(NamedTuple):
    """How many faults a check has found, and some of them."""

    check: Check
    faults: int
    shown: tuple[str, ...]


async def verify(snapshot: SharedSnapshot) -> AsyncIterator[Verdict]:
    """Yield what each check finds, in order."""
    for check in CHECKS:
        faults, shown = 0, list[str]()
        for query in check.contradictions:
            try:
                async with snapshot.transaction() as connection:
                    rows = await connection.fetch(
                        f"SELECT format, count(*) OVER () AS faults FROM ({query}) AS c"
                        f" LIMIT {SHOWN_MAX}",
                        timeout=None,
                    )
            except asyncpg.DataError as error:  # a number with which nobody can compute
                faults += 1
                shown.append(str(error))
            else:
                faults += rows[0]["faults"] if rows else 0
                shown += [row["format"] for row in rows]
        yield Verdict(check, faults, tuple(shown[:SHOWN_MAX]))


@contextlib.asynccontextmanager
async def snapshot(dsn: str) -> AsyncIterator[SharedSnapshot]:
    """Yield a snapshot of a database of ours.

    Raises:
        StoreUnavailable: the database cannot be reached.
        StoreRefused: it does not exist, refuses this user, or is not one of ours.
    """
    async with contextlib.AsyncExitStack() as stack:
        try:
            found = await stack.enter_async_context(
                shared(dsn, name="fastbook verify", settings=SETTINGS)
            )
        except (*_OF_DATABASE, OSError, ValueError) as error:
            meaning = store_error(error)
            if isinstance(meaning, StoreUnavailable):
                raise meaning from error
            raise StoreRefused(f"the database cannot be used: {error}") from error
        try:
            async with found.transaction() as connection:
                if await connection.fetchval("SELECT to_regclass('days') IS NULL"):
                    raise StoreRefused(
                        "expected a database with this version's schema, got another: "
                        "run fastbook serve on it once"
                    )
            yield found
        except _OF_DATABASE as error:
            raise store_error(error) or error from error
