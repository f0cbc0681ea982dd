"""What the jobs of a database are said to do; `test_candle_refresh` has real ones."""

from __future__ import annotations

from fastbook_server.store import FailedJob, Upkeep
from fastbook_server.store.upkeep import HAS_JOBS, read_upkeep


class Answering:
    """A connection to a database with or without jobs."""

    def __init__(self, has_jobs, failed=(), behind_ms=0):
        self._has_jobs = has_jobs
        self._failed = failed
        self._behind_ms = behind_ms

    async def fetchval(self, query, *_):
        return self._has_jobs if query == HAS_JOBS else self._behind_ms

    async def fetch(self, *_):
        return self._failed


async def test_a_plain_database_has_no_jobs():
    assert await read_upkeep(Answering(False)) == Upkeep()


async def test_failed_jobs_are_named_with_their_table_and_candles_are_behind_or_not():
    failed = [("refresh", None, "out of memory"), ("policy_compression", "fills", "no disk")]
    assert await read_upkeep(Answering(True, failed, 2_500)) == Upkeep(
        failed_jobs=(
            FailedJob("refresh", "out of memory"),
            FailedJob("policy_compression of fills", "no disk"),
        ),
        candles_behind_s=2.5,
    )
    assert (await read_upkeep(Answering(True, behind_ms=-7))).candles_behind_s == 0
