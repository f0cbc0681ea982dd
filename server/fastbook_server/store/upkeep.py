"""How the work fares that the database does by itself, while no one asks: TimescaleDB's jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastbook_server.store import FailedJob, Upkeep
from fastbook_server.store.connection import SCHEMA

if TYPE_CHECKING:
    from fastbook_server.store.days import Reader

HAS_JOBS = "SELECT to_regclass('timescaledb_information.job_errors') IS NOT NULL"
# What a job said last, unless it has succeeded since. While one runs it has no status.
FAILED_JOBS = """
SELECT j.proc_name, j.hypertable_name, coalesce(e.err_message, 'see the log of PostgreSQL') AS error
FROM timescaledb_information.jobs AS j
JOIN timescaledb_information.job_stats AS s USING (job_id)
LEFT JOIN LATERAL (
    SELECT o.err_message, o.start_time FROM timescaledb_information.job_errors AS o
    WHERE o.job_id = j.job_id ORDER BY o.start_time DESC LIMIT 1
) AS e ON true
WHERE (j.hypertable_schema = $1 OR j.proc_schema = $1)
  AND (s.last_run_status = 'Failed'
       OR e.start_time > coalesce(s.last_successful_finish, '-infinity'))
ORDER BY 1, 2
"""
CANDLES_BEHIND = "SELECT candles_behind()"


async def read_upkeep(connection: Reader) -> Upkeep:
    """Return which jobs have failed and not succeeded since, and how far candles are behind."""
    if not await connection.fetchval(HAS_JOBS):
        return Upkeep()
    failed = await connection.fetch(FAILED_JOBS, SCHEMA)
    behind_ms = await connection.fetchval(CANDLES_BEHIND)
    return Upkeep(
        failed_jobs=tuple(
            FailedJob(" of ".join(filter(None, (name, table))), error)
            for name, table, error in failed
        ),
        candles_behind_s=max(0, behind_ms) / 1_000,
    )
