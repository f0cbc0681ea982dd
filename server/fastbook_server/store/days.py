"""Where in time the commands and fills of a security lie, by days, from the table ``days``.

A query of the history is bounded in time on every table that it reads: on TimescaleDB it then plans
and reads only the chunks of those days.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fastbook_wire.words import INTERVALS

if TYPE_CHECKING:
    import asyncpg

    from fastbook_server.store.connection import Connection

    Reader = Connection | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]

DAY_MS = INTERVALS["1d"]
INT64_MAX = 2**63 - 1
"""Above every seq, fill id and time."""
WINDOW_GROWTH = 4
"""How many times longer each next window of a search is, while those searched held too little."""

PLAN_WITH_VALUES = "plan_cache_mode = force_custom_plan"
"""The setting that lets PostgreSQL plan with the bounds, however often a statement has run."""

# $2 and $3: the first and the last seq, or fill.
DAYS_OF_SEQS = f"""
SELECT coalesce((
    SELECT time FROM days WHERE security = $1 AND seq <= $2 ORDER BY seq DESC LIMIT 1
), 0), coalesce((
    SELECT time FROM days WHERE security = $1 AND seq > $3 ORDER BY seq LIMIT 1
), {INT64_MAX})
"""
# Several days may have begun after the same fill.
DAYS_OF_FILLS = f"""
SELECT coalesce((
    SELECT time FROM days WHERE security = $1 AND fill_id < $2
    ORDER BY fill_id DESC, time DESC LIMIT 1
), 0), coalesce((
    SELECT time FROM days WHERE security = $1 AND fill_id >= $3 ORDER BY fill_id, time LIMIT 1
), {INT64_MAX})
"""
FILL_IDS = """
SELECT (SELECT min(fill_id) + 1 FROM days WHERE security = $1), fill_id
FROM markets WHERE security = $1
"""
LAST_FILL_BEFORE_SEQ = """
SELECT fill_id FROM days WHERE security = $1 AND seq >= $2 ORDER BY seq LIMIT 1
"""


class Days(NamedTuple):
    """The time from ``start_ms`` up to ``end_ms``, exclusive, both at the start of a day."""

    start_ms: int
    end_ms: int


async def days_of_seqs(connection: Reader, security: str, first: int, last: int) -> Days:
    """Return days that hold all commands of a security from seq `first` to `last`."""
    row = await connection.fetchrow(DAYS_OF_SEQS, security, first, last)
    assert row is not None, "a SELECT without FROM returns one row"
    return Days(*row)


async def days_of_fills(connection: Reader, security: str, first: int, last: int) -> Days:
    """Return days that hold all fills of a security from number `first` to `last`."""
    row = await connection.fetchrow(DAYS_OF_FILLS, security, first, last)
    assert row is not None, "a SELECT without FROM returns one row"
    return Days(*row)


async def fill_ids(connection: Reader, security: str) -> tuple[int, int]:
    """Return the numbers of the first and the last fill of a security in the history.

    Without any fill, the first is greater than the last.
    """
    row = await connection.fetchrow(FILL_IDS, security)
    if row is None or row[0] is None:
        return 1, 0
    return row[0], row[1]


async def last_fill_by_day(connection: Reader, security: str, before_seq: int) -> int:
    """Return the last fill of the days on which commands with seq < `before_seq` happened."""
    found: int | None = await connection.fetchval(LAST_FILL_BEFORE_SEQ, security, before_seq)
    if found is None:
        _, found = await fill_ids(connection, security)
    return found
