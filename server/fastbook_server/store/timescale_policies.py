"""TimescaleDB's background jobs: aggregate candles; compress and drop old chunks.

Each start brings the jobs in line with the settings. They run inside the database, even while no
server does. The age of data is measured in the exchange's own time, ``exchange_time()``.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, get_args

from fastbook_server.store.connection import LOCK_KEY, SCHEMA
from fastbook_server.store.days import DAY_MS
from fastbook_wire.words import Interval

if TYPE_CHECKING:
    from fastbook_server.store.connection import Connection, Timescale

log = logging.getLogger(__name__)

RETAIN_DAYS_MIN = 2
"""Recovery reads the last 24 hours, to recognise retried client order ids."""

# The order of rows within a compressed segment: that of the queries.
COMPRESSED = {
    "orders": "seq DESC",
    "trades": "seq DESC",
    "fills": "seq DESC, n DESC",
    "cancellations": "seq DESC, n DESC",
    "order_changes": "seq DESC, n DESC",
}
HAS_AGGREGATES = "SELECT to_regclass('candles') IS NULL"
"""Whether candles are continuous aggregates: only elsewhere there is a table of that name."""
REFRESH_EVERY = "30 s"

HYPERTABLES = """
SELECT count(*) FROM timescaledb_information.hypertables WHERE hypertable_schema = $1
"""
JOBS = """
SELECT job_id, proc_name, hypertable_name, config FROM timescaledb_information.jobs
WHERE hypertable_schema = $1 AND proc_name = 'policy_compression'
   OR proc_schema = $1 AND proc_name IN ('drop_history', 'refresh_candles')
"""
# A job that failed waits longer and longer; a start is the moment to try again.
RUN_FAILED = """
SELECT alter_job(j.job_id, next_start => now())
FROM timescaledb_information.jobs AS j JOIN timescaledb_information.job_stats AS s USING (job_id)
WHERE s.last_run_status = 'Failed' AND j.job_id >= 1000
  AND (j.hypertable_schema = $1 OR j.proc_schema = $1)
"""
COMPRESSES = """
SELECT compression_enabled FROM timescaledb_information.hypertables
WHERE hypertable_schema = $1 AND hypertable_name = $2
"""


async def apply_policies(
    connection: Connection,
    timescale: Timescale | None,
    *,
    compress_after_days: int,
    retain_days: int,
) -> None:
    """Compress chunks older than `compress_after_days`, drop those older than `retain_days`.

    0 means never. Candles that are continuous aggregates get their job too; jobs that failed are
    run again. Idempotent. Logs a warning if a setting is not 0 and this database has no such
    jobs: they need hypertables and TimescaleDB's community licence.
    """
    if timescale is None or not await connection.fetchval(HYPERTABLES, SCHEMA):
        reason = "the tables do not use TimescaleDB"
    elif timescale.licence != "timescale":
        reason = f"TimescaleDB runs under the {timescale.licence} licence"
    else:
        # Servers that start together take turns: the first does the work.
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK_KEY)
        async with connection.transaction():
            await _refresh(connection)
            await _compress(connection, compress_after_days)
            await _retain(connection, retain_days)
            await connection.execute(RUN_FAILED, SCHEMA)
        await connection.execute("SELECT pg_advisory_unlock($1)", LOCK_KEY)
        return
    if compress_after_days or retain_days:
        log.warning("compress_after_days and retain_days have no effect: %s", reason)


async def _refresh(connection: Connection) -> None:
    """Let a job of ours, and no policy, refresh the continuous aggregates."""
    if not await connection.fetchval(HAS_AGGREGATES):
        return
    if any(row["proc_name"] == "refresh_candles" for row in await connection.fetch(JOBS, SCHEMA)):
        return
    for interval in get_args(Interval):
        await connection.execute(
            "SELECT remove_continuous_aggregate_policy($1::text::regclass, if_exists => true)",
            f"aggregated_{interval}",
        )
    await connection.execute(
        f"SELECT add_job('{SCHEMA}.refresh_candles'::regproc, interval '{REFRESH_EVERY}',"
        " config => $1::jsonb)",
        json.dumps({"schema": SCHEMA}),
    )


async def _compress(connection: Connection, after_days: int) -> None:
    jobs = {
        row["hypertable_name"]: int(json.loads(row["config"])["compress_after"])
        for row in await connection.fetch(JOBS, SCHEMA)
        if row["proc_name"] == "policy_compression"
    }
    for table, order in COMPRESSED.items():
        if jobs.get(table, 0) == after_days * DAY_MS:
            continue
        await connection.execute(
            f"SELECT remove_compression_policy('{table}'::regclass, if_exists => true)"
        )
        if not after_days:
            continue
        if not await connection.fetchval(COMPRESSES, SCHEMA, table):
            await connection.execute(
                f"ALTER TABLE {table} SET (timescaledb.compress,"
                f" timescaledb.compress_segmentby = 'security',"
                f" timescaledb.compress_orderby = '{order}')"
            )
        await connection.execute(
            f"SELECT add_compression_policy('{table}'::regclass,"
            f" compress_after => {after_days * DAY_MS}::bigint)"
        )


async def _retain(connection: Connection, days: int) -> None:
    jobs = {
        row["job_id"]: int(json.loads(row["config"])["days"])
        for row in await connection.fetch(JOBS, SCHEMA)
        if row["proc_name"] == "drop_history"
    }
    if list(jobs.values()) == ([days] if days else []):
        return
    for job_id in jobs:
        await connection.execute("SELECT delete_job($1)", job_id)
    if not days:
        return
    await connection.execute(
        f"SELECT add_job('{SCHEMA}.drop_history'::regproc, interval '1 h', config => $1::jsonb)",
        json.dumps({"schema": SCHEMA, "days": days}),
    )
