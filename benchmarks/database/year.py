"""What is asked of a whole year of a busy market: dashboards, ``fastbook verify``, exports."""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.database.market import SPEC

DAYS = 365
COMMANDS_A_DAY = 10_000
TAKING = 0.5
"""So that there are some 5,000 trades a day."""
REPEATS = 5
MIB_OF_KIB = 1_024

YEAR = "SELECT min(time) AS since, max(time) + 86400000 AS until FROM days"
# The oldest order that has lived longest: it rests since the first days.
OLDEST = "SELECT id FROM open_orders ORDER BY time LIMIT 1"
AN_ORDER = """
SELECT maker_order_id FROM fills WHERE security = $1 AND fill_id = (
    SELECT fill_id / 2 FROM markets WHERE security = $1
)
"""
# As docs/operations.md gives them.
DASHBOARDS = {
    "volume by hour, a year": (
        "SELECT at, volume FROM volume_by_hour WHERE security = $1 AND time >= $2 AND time < $3"
        " ORDER BY time"
    ),
    "top users, a year": "SELECT * FROM top_users($1, $2, $3)",
    "spread by day, a year": "SELECT * FROM spread_over_time($1, $2, $3, 86400000)",
}


async def year(dsn: str) -> list[tuple[str, str]]:
    """Return what was measured in a database that holds a year, by name."""
    sql = await asyncpg.connect(dsn)
    await sql.execute("SET search_path = fastbook, public")
    row = await sql.fetchrow(
        "SELECT (SELECT count(*) FROM days) AS days, (SELECT count(*) FROM orders) AS orders,"
        " (SELECT count(*) FROM trades) AS trades, (SELECT count(*) FROM fills) AS fills"
    )
    assert row is not None, "an aggregate of all rows is one row"
    found = [("days / orders / trades / fills", " / ".join(f"{count:,}" for count in row))]
    since, until = await sql.fetchrow(YEAR)
    for name, query in DASHBOARDS.items():
        found.append((name, await _asked(sql, query, SPEC.security, since, until)))
    for name, which in {
        "an order's life": await sql.fetchval(AN_ORDER, SPEC.security),
        "the life of the oldest open order": await sql.fetchval(OLDEST),
    }.items():
        found.append((name, await _asked(sql, "SELECT * FROM order_life($1)", which)))
    await sql.close()
    found.append(("`fastbook verify`", await _ran("verify", "--database-url", dsn)))
    with tempfile.TemporaryDirectory() as folder:
        for table in ("trades", "candles"):
            file = str(Path(folder) / f"{table}.csv")
            command = ("export", table, "--database-url", dsn, "--output", file)
            found.append((f"`fastbook export {table}`", await _ran(*command)))
    return found


async def _asked(sql: asyncpg.Connection[Any], query: str, *arguments: Any) -> str:
    times = []
    for _ in range(REPEATS):
        start_s = time.perf_counter()
        rows = await sql.fetch(query, *arguments)
        times.append((time.perf_counter() - start_s) * 1_000)
    return f"{min(times):.0f} ms, {len(rows):,} rows"


async def _ran(*words: str) -> str:
    """Run ``fastbook``; return the time it took, and its peak memory."""
    start_s = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", REPORT_MEMORY, *words, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    spent_s = time.perf_counter() - start_s
    peak = re.search(rb"peak (\d+)", said)
    assert peak is not None, f"expected its peak of memory, got {said!r}"
    outcome = "" if process.returncode == 0 else f", exit code {process.returncode}"
    return f"{spent_s:.1f} s, {int(peak[1]) // MIB_OF_KIB} MiB{outcome}"


REPORT_MEMORY = """
import resource, sys
from fastbook_cli.main import cli
try:
    cli(sys.argv[1:])
finally:
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def columns(found: Sequence[Sequence[tuple[str, str]]]) -> list[list[str]]:
    """Return the rows of a table with a column for each of these measurements."""
    by_name = [dict(one) for one in found]
    names = list(dict.fromkeys(name for one in by_name for name in one))
    return [[name, *(one.get(name, "") for one in by_name)] for name in names]
