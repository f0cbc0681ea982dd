"""How continuous aggregates are brought up to date: from where they are, day by day, with no gap.

Where there is no TimescaleDB, a procedure of the same name notes what it is told to refresh.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import astuple
from itertools import pairwise

import asyncpg
import pytest

from fastbook_server.store.days import DAY_MS
from fastbook_server.store.upkeep import read_upkeep
from fastbook_server.values.events import OrderFilled
from fastbook_wire.words import INTERVALS

REFRESH = """CALL refresh_candles(0, '{"schema": "fastbook"}')"""
DROP = """CALL drop_history(0, '{"schema": "fastbook", "days": 2}')"""
NOTE_REFRESHES = """
CREATE TABLE told (
    number serial, candles text, since bigint, until bigint, options jsonb,
    xid bigint DEFAULT txid_current()
);
CREATE PROCEDURE public.refresh_continuous_aggregate(
    candles regclass, since bigint, until bigint, force boolean, options jsonb
) LANGUAGE sql AS $$
    INSERT INTO fastbook.told (candles, since, until, options)
    VALUES (candles::text, since, until, options)
$$;
""" + "".join(f"CREATE TABLE aggregated_{name} ();" for name in INTERVALS)
OF_A_PERIOD = (
    "SELECT * FROM top_users($1, $2, $3)",
    "SELECT * FROM spread_over_time($1, $2, $3, 86400000)",
    "SELECT * FROM volume_by_hour WHERE security = $1 AND time >= $2 AND time < $3",
)
CANDLES = """
SELECT security, time, open_ticks, high_ticks, low_ticks, close_ticks, volume_lots, trades
FROM candles_{} ORDER BY security, time
"""


class Market:
    """A store that trades, with days of silence in between."""

    def __init__(self, make_postgres, dsn, specs, flow):
        self._make, self._dsn, self._specs, self._flow = make_postgres, dsn, specs, flow
        self.past = []

    async def start(self, **settings):
        self.store = self._make(self._dsn, **settings)
        before = getattr(self, "source", None)
        self.source = self._flow(await self.store.open(self._specs, 0), step_ms=200_000)
        if before is not None:
            self.source.time_ms = max(self.source.time_ms, before.time_ms)

    async def trade(self, days):
        """Trade on so many days, a hundred commands on each, the last ones in its last seconds."""
        for _ in range(days):
            for step_ms, commands in ((1_500_000, 80), (300, 20)):
                self.source.step_ms = step_ms
                await self.store.commit(self.store.prepare(self.source.batch(commands)))
            self.source.time_ms += DAY_MS
        self.past += [e for e in self.source.past if isinstance(e, OrderFilled)]
        self.source.past.clear()

    def silence(self, days):
        self.source.time_ms += days * DAY_MS


@pytest.fixture
async def market(make_postgres, make_database, specs, flow, request):
    kind = getattr(request, "param", "postgres")
    made = Market(make_postgres, await make_database(kind), specs, flow)
    await made.start()
    return made


@pytest.fixture
async def sql(market, sql_of):
    return await sql_of(market._dsn)


async def test_no_bucket_is_passed_over_by_silence_idle_jobs_or_restarts(market, sql):
    await sql.execute(NOTE_REFRESHES)
    for restarts in (False, True):
        await market.trade(2)
        await sql.execute(REFRESH)
        market.silence(3)  # a weekend
        await market.trade(1)
        await sql.execute(REFRESH)
        await market.trade(7)  # while the jobs are off
        market.silence(40)
        await market.trade(3)
        if restarts:
            await market.start()
        await sql.execute(REFRESH)
        await sql.execute(REFRESH)  # with nothing to do
    told = await sql.fetch("SELECT * FROM told ORDER BY number")
    now_ms = await sql.fetchval("SELECT exchange_time()")
    assert {row["options"] for row in told} == {'{"buckets_per_batch": 0}'}
    assert len({row["xid"] for row in told}) == len(told)
    for name, length_ms in INTERVALS.items():
        windows = [(r["since"], r["until"]) for r in told if r["candles"] == f"aggregated_{name}"]
        assert all(0 < until - since <= 30 * DAY_MS for since, until in windows)
        assert all(ended <= since for (_, ended), (since, _) in pairwise(windows))
        buckets = {fill.time_ms // length_ms * length_ms for fill in market.past}
        for start in buckets:
            times = sum(since <= start < until for since, until in windows)
            assert times == (start + length_ms <= now_ms), (name, start)
        assert len(windows) < len(buckets) + 30, "days without a command are skipped"
    assert await sql.fetchval("SELECT candles_behind()") == 0, "here they are a table"


async def test_a_step_far_behind_has_a_month_or_a_million_fills_and_waits_for_what_it_is_made_of(
    market, sql
):
    """On days that are told, not traded: first quiet ones, then busy ones."""
    first = 20_000
    for n in range(100):
        await sql.execute(
            "INSERT INTO days SELECT security, $1, $2, $2 FROM markets",
            (first + n) * DAY_MS,
            10 * n + (240_000 * (n - 65) if n > 65 else 0),
        )
    await sql.execute("UPDATE markets SET fill_id = 9000000")
    await sql.execute("UPDATE engine_state SET time = $1", (first + 100) * DAY_MS - 1)
    steps = {}
    for name in ("1d", "5m", "1m", "5m", "1h", "1d"):
        steps[name] = []
        while step := await sql.fetchrow(
            "SELECT since, until FROM next_refresh($1, $2)", name, INTERVALS[name]
        ):
            steps[name].append((step["since"] / DAY_MS - first, step["until"] / DAY_MS - first))
            await sql.execute(
                "INSERT INTO refreshed VALUES ($1, $2)"
                " ON CONFLICT (candles) DO UPDATE SET time = excluded.time",
                name,
                step["until"],
            )
        if name == "5m" and "1m" not in steps:
            assert steps == {"1d": [], "5m": []}, "there is nothing yet to make them from"
    # Of two securities: from day 65 on, two days have almost a million fills.
    months = [(0, 30), (30, 60), (60, 67)]
    assert steps["1m"][:-1] == [*months, *((n, n + 2) for n in range(67, 99, 2))]
    assert steps["1m"][-1] == pytest.approx((99, 100), abs=0.001)
    assert {name: len(found) for name, found in steps.items()} == {
        "1m": 20, "5m": 20, "1h": 20, "1d": 19,
    }  # fmt: skip


async def test_nothing_is_dropped_before_it_has_become_candles(market, sql):
    """Told of the plain database that its candles are aggregates: their table is hidden."""
    await sql.execute(NOTE_REFRESHES)
    await sql.execute(
        "CREATE FUNCTION drop_chunks(name regclass, older_than bigint) RETURNS void LANGUAGE sql"
        " AS $$ SELECT $$; ALTER TABLE candles RENAME TO hidden"
    )
    assert await sql.fetchval("SELECT candles_behind()") == 0, "a new database"
    await sql.execute("ALTER TABLE hidden RENAME TO candles")
    await market.trade(6)
    await sql.execute("ALTER TABLE candles RENAME TO hidden")
    oldest_ms = market.past[0].time_ms // DAY_MS * DAY_MS + INTERVALS["1s"]
    now_ms = await sql.fetchval("SELECT exchange_time()")
    assert await sql.fetchval("SELECT candles_behind()") == now_ms - oldest_ms
    await sql.execute(DROP)
    assert await sql.fetchval("SELECT count(*) FROM dropped") == 0
    await sql.execute(REFRESH)
    assert await sql.fetchval("SELECT candles_behind()") < DAY_MS
    await sql.execute("UPDATE refreshed SET time = time - $1 WHERE candles = '1m'", DAY_MS)
    await sql.execute(DROP)
    today = await sql.fetchval("SELECT exchange_time()") // DAY_MS * DAY_MS
    aggregated = await sql.fetchval("SELECT min(time) FROM refreshed") // DAY_MS * DAY_MS
    dropped = await sql.fetchval("SELECT max(time) FROM dropped")
    assert dropped == min(today - 2 * DAY_MS, aggregated)
    await sql.execute("DELETE FROM refreshed; DELETE FROM told")
    await sql.execute(REFRESH)
    assert await sql.fetchval("SELECT min(since) FROM told") >= dropped, "what is dropped stays"


# ---- on a real TimescaleDB ----------------------------------------------------------------------


def by_hand(fills, length_ms):
    """Return the rows of all candles of these fills."""
    buckets = {}
    for fill in fills:
        key = (fill.maker.instrument.security, fill.time_ms // length_ms * length_ms)
        buckets.setdefault(key, []).append(fill)
    return [
        (
            *key, of_one[0].price, max(f.price for f in of_one), min(f.price for f in of_one),
            of_one[-1].price, sum(f.quantity for f in of_one), len({f.seq for f in of_one}),
        )
        for key, of_one in sorted(buckets.items())
    ]  # fmt: skip


async def check(sql, market):
    for name, length_ms in INTERVALS.items():
        rows = [tuple(row) for row in await sql.fetch(CANDLES.format(name))]
        assert rows == by_hand(market.past, length_ms), name


@pytest.mark.parametrize("market", ["timescale"], indirect=True)
async def test_candles_stay_over_weekends_weeks_without_jobs_drops_and_kills(
    market, sql, sql_of, pause_jobs
):
    await market.start(retain_days=2, compress_after_days=1)
    await pause_jobs(sql)
    for round_ in range(2):
        await market.trade(2)
        await check(sql, market)
        await sql.execute(REFRESH)
        market.silence(3)
        await market.trade(1)
        await check(sql, market)
        await sql.execute(REFRESH)
        await sql.execute(DROP)
        await check(sql, market)
        await market.trade(5)
        await killed_while(sql_of, market._dsn, REFRESH, after_s=0.02 + 0.05 * round_)
        await check(sql, market)
        await market.start(retain_days=2, compress_after_days=1)
        await sql.execute(REFRESH)
        await check(sql, market)
        await killed_while(sql_of, market._dsn, DROP, after_s=0.02)
        await check(sql, market)
    assert await sql.fetchval("SELECT candles_behind()") < DAY_MS
    assert await sql.fetchval("SELECT count(*) FROM fills") < len(market.past)
    await sql.execute(DROP)
    await check(sql, market)


@pytest.mark.parametrize("market", ["timescale"], indirect=True)
async def test_a_start_with_aggregates_a_year_behind_has_all_candles_and_catches_up(
    market, sql, pause_jobs
):
    await pause_jobs(sql)
    for _ in range(21):
        await market.trade(1)
        market.silence(17)
    await market.start(retain_days=30)
    behind_s = (await read_upkeep(sql)).candles_behind_s
    assert behind_s > 360 * DAY_MS / 1_000
    history = market.store.history(market.source.instruments)
    for when in ("behind", "caught up"):
        for name, length_ms in INTERVALS.items():
            newest = [row[1:] for row in by_hand(market.past, length_ms) if row[0] == "BTC-USD"]
            found = await history.candles("BTC-USD", name, start_ms=None, end_ms=None, limit=200)
            assert [astuple(candle) for candle in found] == newest[-200:], (name, when)
        if when == "behind":
            await sql.execute(DROP)
            assert await sql.fetchval("SELECT count(*) FROM dropped") == 0
            await sql.execute(REFRESH)
            assert (await read_upkeep(sql)).candles_behind_s == 0
            await sql.execute(DROP)
    assert await sql.fetchval("SELECT count(*) FROM days WHERE security = 'BTC-USD'") < 5
    await check(sql, market)
    await history.close()


@pytest.mark.parametrize("market", ["timescale"], indirect=True)
async def test_old_chunks_are_left_alone_by_new_buckets_and_by_who_reads_them(
    market, sql, sql_of, pause_jobs
):
    """Each chunk that is planned for is locked: of a long history more than there is room for."""
    await pause_jobs(sql)
    await market.trade(5)
    await sql.execute(REFRESH)
    await market.trade(2)
    holder = await sql_of(market._dsn)
    async with holder.transaction():
        oldest = await holder.fetchval("SELECT c::text FROM show_chunks('fills') AS c LIMIT 1")
        await holder.execute(f"LOCK TABLE {oldest} IN ACCESS EXCLUSIVE MODE")
        history = market.store.history(market.source.instruments)
        for when in ("behind", "aggregated"):
            async with asyncio.timeout(30):
                for name in INTERVALS:
                    newest = await history.candles(
                        "BTC-USD", name, start_ms=None, end_ms=None, limit=2
                    )
                    assert len(newest) == 2, (name, when)
                for query in OF_A_PERIOD:
                    today = market.past[-1].time_ms // DAY_MS * DAY_MS
                    await sql.fetch(query, "BTC-USD", today, today + DAY_MS)
                await sql.execute(REFRESH)
        await history.close()
    assert (await read_upkeep(sql)).candles_behind_s == 0
    await check(sql, market)


async def killed_while(sql_of, dsn, call, after_s):
    """Start a procedure, and end its session in the middle: wherever that may be."""
    victim, other = await sql_of(dsn), await sql_of(dsn)
    pid = victim.get_server_pid()
    running = asyncio.ensure_future(victim.execute(call))
    await asyncio.wait((running,), timeout=after_s)
    await other.execute("SELECT pg_terminate_backend($1)", pid)
    with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        await running


@pytest.mark.parametrize("market", ["timescale"], indirect=True)
async def test_a_job_that_fails_is_named(market, sql):
    """The database runs it by itself, in a moment or two."""
    await market.start(retain_days=2)
    assert (await read_upkeep(sql)).failed_jobs == ()
    await sql.execute(
        "CREATE OR REPLACE PROCEDURE drop_history(job_id integer, config jsonb) LANGUAGE plpgsql"
        " AS $$ BEGIN RAISE EXCEPTION 'out of chunks'; END $$"
    )
    await sql.execute(
        "SELECT alter_job(job_id, next_start => now()) FROM timescaledb_information.jobs"
        " WHERE proc_name = 'drop_history'"
    )
    async with asyncio.timeout(60):
        while not (found := (await read_upkeep(sql)).failed_jobs):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert [tuple(job) for job in found] == [("drop_history", "out of chunks")]
