"""Which jobs TimescaleDB is told to run: those of the settings, and only what has changed.

What the jobs do is tested on a real TimescaleDB, in ``test_candles`` and ``test_wasm``.
"""

from __future__ import annotations

import contextlib
import json

import pytest

from fastbook_server.store.connection import Timescale
from fastbook_server.store.timescale_policies import (
    COMPRESSED,
    DAY_MS,
    HAS_AGGREGATES,
    HYPERTABLES,
    JOBS,
    RUN_FAILED,
    apply_policies,
)
from fastbook_wire.words import INTERVALS


class Database:
    """A connection to a database with hypertables and these jobs, which notes what it is told."""

    def __init__(self, *jobs, hypertables=4, aggregates=False):
        self.jobs = [dict(zip(JOB, job, strict=True)) for job in jobs]
        self.hypertables = hypertables
        self.aggregates = aggregates
        self.told = []

    async def fetchval(self, query, *_):
        return {HYPERTABLES: self.hypertables, HAS_AGGREGATES: self.aggregates}.get(query, False)

    async def fetch(self, query, *_):
        assert query == JOBS
        return self.jobs

    async def execute(self, query, *arguments):
        if "advisory" not in query:
            self.told.append((query, *arguments))

    def transaction(self):
        return contextlib.nullcontext()


JOB = ("job_id", "proc_name", "hypertable_name", "config")
COMMUNITY = Timescale("2.23.0", "timescale")


def compressing(days):
    return [
        (n, "policy_compression", table, json.dumps({"compress_after": days * DAY_MS}))
        for n, table in enumerate(COMPRESSED)
    ]


def refreshing(job_id):
    return (job_id, "refresh_candles", None, json.dumps({"schema": "fastbook"}))


def dropping(job_id, days):
    return (job_id, "drop_history", None, json.dumps({"days": days}))


async def settled(database, compress_after_days, retain_days, timescale=COMMUNITY):
    """Return what the database was told for these settings, but for what failed to run again."""
    await apply_policies(
        database, timescale, compress_after_days=compress_after_days, retain_days=retain_days
    )
    return [told for told in database.told if told != (RUN_FAILED, "fastbook")]


@pytest.mark.parametrize("days", [(0, 0), (7, 0), (0, 30), (7, 30)])
async def test_jobs_that_are_as_the_settings_say_are_left_alone(days):
    compress, retain = days
    jobs = [
        *(compressing(compress) if compress else ()),
        *([dropping(9, retain)] if retain else ()),
    ]
    assert await settled(Database(*jobs), compress, retain) == []


async def test_a_changed_age_replaces_the_jobs():
    told = await settled(Database(*compressing(7), dropping(9, 30)), 8, 31)
    added = [query for query, *_ in told if "SELECT add_compression_policy" in query]
    removed = [query for query, *_ in told if "remove_compression_policy" in query]
    assert len(added) == len(removed) == len(COMPRESSED)
    assert all(f"=> {8 * DAY_MS}::bigint" in query for query in added)
    assert ("SELECT delete_job($1)", 9) in told
    assert json.loads(told[-1][1]) == {"schema": "fastbook", "days": 31}
    assert "add_job" in told[-1][0]


async def test_age_0_removes_the_jobs():
    told = await settled(Database(*compressing(7), dropping(9, 30)), 0, 0)
    assert [query for query, *_ in told] == [
        *(
            f"SELECT remove_compression_policy('{table}'::regclass, if_exists => true)"
            for table in COMPRESSED
        ),
        "SELECT delete_job($1)",
    ]


async def test_one_job_refreshes_all_candles_instead_of_policies():
    database = Database(aggregates=True)
    *removed, added = await settled(database, 0, 0)
    assert [arguments for _, *arguments in removed] == [
        [f"aggregated_{name}"] for name in INTERVALS
    ]
    assert all("remove_continuous_aggregate_policy" in query for query, _ in removed)
    assert "fastbook.refresh_candles" in added[0]
    assert await settled(Database(refreshing(3), aggregates=True), 0, 0) == []


async def test_a_start_tries_what_failed_again():
    database = Database(*compressing(7))
    await settled(database, 7, 0)
    assert database.told == [(RUN_FAILED, "fastbook")]


@pytest.mark.parametrize(
    ("timescale", "hypertables", "reason"),
    [
        (None, 0, "the tables do not use TimescaleDB"),
        (COMMUNITY, 0, "the tables do not use TimescaleDB"),
        (Timescale("2.23.0", "apache"), 4, "TimescaleDB runs under the apache licence"),
    ],
)
async def test_a_setting_without_effect_is_warned_of(caplog, timescale, hypertables, reason):
    database = Database(hypertables=hypertables)
    assert await settled(database, 0, 0, timescale) == []
    assert caplog.messages == []
    assert await settled(database, 0, 30, timescale) == []
    assert caplog.messages == [f"compress_after_days and retain_days have no effect: {reason}"]
