"""Faults of a real server: killed, stopped, cut off, silent. Nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit, urlunsplit

import pytest

from fastbook_server.embedded import supervisor
from fastbook_server.embedded.supervisor import EmbeddedPostgres
from fastbook_server.store import StoreFenced, StoreUnavailable
from fastbook_server.values.candles import CandleSeries
from fastbook_wire.words import INTERVALS


@pytest.fixture
async def postgres(cluster_folder):
    """A server of the test's own, to do harm to."""
    server = EmbeddedPostgres(cluster_folder)
    server.dsn = await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def store(postgres, make_postgres):
    return make_postgres(postgres.dsn, connect_timeout_s=2)


async def until_known(store, prepared):
    """Commit as the pipeline does, again and again while the outcome is unknown; count them."""
    tries = 1
    while True:
        try:
            await store.commit(prepared)
        except StoreUnavailable:
            tries += 1
            await asyncio.sleep(0.01)
        else:
            return tries


async def until_open(store, specs):
    """Open as soon as the server is there."""
    while True:
        try:
            return await store.open(specs, 0)
        except StoreUnavailable:
            await asyncio.sleep(0.01)


async def everything(dsn, sql_of):
    """Return the rows of the immutable tables and of the open orders, as far as they tell."""
    sql = await sql_of(dsn)
    return {
        table: [
            tuple(row) for row in await sql.fetch(f"SELECT {what} FROM {table} ORDER BY {what}")
        ]
        for table, what in (
            ("orders", "id::text"),
            ("trades", "id::text"),
            ("fills", "security, seq, n"),
            ("cancellations", "security, seq, n"),
            ("open_orders", "id::text, remaining_lots"),
            ("engine_state", "batch_no"),
            ("candles", "security, interval_ms, time, close_ticks, volume_lots, trades"),
        )
    }


def told(source):
    """Return the same of what the store was told."""
    names = {kind: [] for kind in ("OrderAccepted", "Traded", "OrderFilled", "OrderCancelled")}
    for event in source.past:
        names.setdefault(type(event).__name__, []).append(event)

    def key(event):
        order = event.maker if hasattr(event, "maker") else event.order
        return (order.instrument.security, event.seq, event.n)

    return {
        "orders": sorted((e.order.id,) for e in names["OrderAccepted"]),
        "trades": sorted((e.id,) for e in names["Traded"]),
        "fills": sorted(key(e) for e in names["OrderFilled"]),
        "cancellations": sorted(key(e) for e in names["OrderCancelled"]),
        "open_orders": sorted((known, left) for known, (_, left, _) in source.resting.items()),
        "engine_state": [(source.number,)],
        "candles": sorted(
            (name, series.interval_ms, c.start_ms, c.close, c.volume, c.trades)
            for (name, _), series in candles(names["OrderFilled"]).items()
            for c in series.candles
        ),
    }


def candles(fills):
    """Return all series of candles that fills add up to, by security and interval."""
    found = {}
    for fill in fills:
        name = fill.maker.instrument.security
        for interval_ms in INTERVALS.values():
            series = found.setdefault((name, interval_ms), CandleSeries(interval_ms, 0))
            series.add(fill.time_ms, fill.price, fill.quantity, fill.n == 0)
    return found


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGQUIT])
@pytest.mark.parametrize("at_once_max", [0, 500])
async def test_the_postmaster_is_killed_in_the_middle_of_commits(
    postgres, make_postgres, specs, flow, sql_of, sign, at_once_max
):
    """Its supervisor starts it again; every batch is retried until its outcome is known."""
    store = make_postgres(postgres.dsn, connect_timeout_s=2, at_once_max=at_once_max)
    source = flow(await store.open(specs, 0))
    killed, tries, batches = 0, 0, 0
    while killed < 6 or tries == batches:
        prepared = store.prepare(source.batch(60))
        commit = asyncio.create_task(until_known(store, prepared))
        if postgres.pid is not None and batches % 7 == 3:
            for _ in range(source.random.randrange(12)):
                await asyncio.sleep(0)  # somewhere within the transaction
            os.kill(postgres.pid, sign)
            killed += 1
        tries += await commit
        batches += 1
    past = await until_open(store, specs)  # the last one killed may not be back yet
    assert await everything(postgres.dsn, sql_of) == told(source)
    assert (past.batch_no, past.seqs) == (source.number, source.seqs)


async def test_a_server_that_is_away_is_unavailable_and_then_back(
    postgres, store, specs, flow, sql_of
):
    source = flow(await store.open(specs, 0))
    await store.commit(store.prepare(source.batch()))
    await postgres.stop()
    prepared = store.prepare(source.batch())
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await store.commit(prepared)
    assert await postgres.start() == postgres.dsn
    await store.commit(prepared)
    assert await everything(postgres.dsn, sql_of) == told(source)


async def test_a_server_that_hangs_does_not_hang_us(postgres, make_postgres, specs, flow, sql_of):
    store = make_postgres(postgres.dsn, connect_timeout_s=0.2, command_timeout_s=0.2)
    source = flow(await store.open(specs, 0))
    backend = await store._connection.fetchval("SELECT pg_backend_pid()")
    prepared = store.prepare(source.batch())
    stopped = [postgres.pid, backend]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        for _ in range(2):  # once in a command, once in a new connection
            with pytest.raises(StoreUnavailable):
                await store.commit(prepared)
        with pytest.raises(StoreUnavailable):
            await make_postgres(postgres.dsn, connect_timeout_s=0.2).open(specs, 0)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    await until_known(store, prepared)
    assert await everything(postgres.dsn, sql_of) == told(source)


async def test_the_backend_is_terminated_by_an_administrator(postgres, store, specs, flow, sql_of):
    source = flow(await store.open(specs, 0))
    sql = await sql_of(postgres.dsn)
    for _ in range(3):
        backend = store._connection.get_server_pid()
        assert await sql.fetchval("SELECT pg_terminate_backend($1, 5000)", backend)
        assert await until_known(store, store.prepare(source.batch())) == 2
    assert await everything(postgres.dsn, sql_of) == told(source)


CLOSED_DOORS = [
    ("ALTER DATABASE {} ALLOW_CONNECTIONS false", "ALTER DATABASE {} ALLOW_CONNECTIONS true"),
    ("ALTER DATABASE {} RENAME TO elsewhere", "ALTER DATABASE elsewhere RENAME TO {}"),
    ("ALTER ROLE trader NOLOGIN", "ALTER ROLE trader LOGIN"),
]


@pytest.mark.parametrize(("close", "reopen"), CLOSED_DOORS)
async def test_a_database_that_lets_nobody_in_for_a_while_is_away(
    postgres, make_postgres, specs, flow, sql_of, close, reopen
):
    """As in maintenance, or during a restore; a server that runs must outlive that."""
    admin = await sql_of(postgres.dsn)
    for each in ("DROP DATABASE IF EXISTS doors", "DROP ROLE IF EXISTS trader"):
        await admin.execute(each)
    await admin.execute("CREATE ROLE trader LOGIN")
    await admin.execute("CREATE DATABASE doors OWNER trader")
    parts = urlsplit(postgres.dsn)
    dsn = urlunsplit(parts._replace(netloc="trader@", path="/doors"))
    store = make_postgres(dsn)
    source = flow(await store.open(specs, 0))
    history = store.history([])
    await store.commit(store.prepare(source.batch()))
    await history.close()
    await admin.execute(  # nobody connects again before there is something to commit
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'trader'"
    )
    await admin.execute(close.format("doors"))
    prepared = store.prepare(source.batch())
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await store.commit(prepared)
        with pytest.raises(StoreUnavailable):
            await history.candles("COIN", "1m", start_ms=None, end_ms=None, limit=1)
    await admin.execute(reopen.format("doors"))
    await until_known(store, prepared)
    assert await everything(dsn, sql_of) == told(source)
    await history.close()


@asynccontextmanager
async def line_that_breaks(dsn, word, answered):
    """Yield the DSN of a line to the server that breaks once, when the client says `word`.

    `answered`: the server hears it and does what it says, and only its answer is lost.
    """
    (folder,) = parse_qs(urlsplit(dsn).query)["host"]
    broken = asyncio.Event()

    async def accept(reader, writer):
        far_reader, far_writer = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.5432")
        mute = False

        async def forth():
            nonlocal mute
            while data := await reader.read(65536):
                if word in data and not broken.is_set():
                    broken.set()
                    mute = True
                    if not answered:
                        return
                far_writer.write(data)

        async def back():
            while (data := await far_reader.read(65536)) and not mute:
                writer.write(data)

        ways = [asyncio.create_task(forth()), asyncio.create_task(back())]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, far_writer):
            end.transport.abort()
        await asyncio.gather(*ways, return_exceptions=True)

    server = await asyncio.start_unix_server(accept, f"{folder}/.s.PGSQL.6543")
    yield dsn + "&port=6543", broken
    server.close()


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize(
    ("at_once_max", "word"),
    [
        (0, b"BEGIN"),
        (0, b"engine_state"),
        (0, b"COPY "),
        (0, b"COMMIT"),
        (500, b"engine_state"),
        (500, b"BTC-USD"),
    ],
)
async def test_the_line_breaks_while_a_batch_is_committed(
    make_database, make_postgres, specs, flow, sql_of, at_once_max, word, answered
):
    """At COMMIT or in the only statement: the client cannot know, and the retry finds out."""
    dsn = await make_database("postgres")
    store = make_postgres(dsn, at_once_max=at_once_max)
    source = flow(await store.open(specs, 0))
    await store.commit(store.prepare(source.batch()))  # begins the day
    async with line_that_breaks(dsn, word, answered) as (line, broken):
        store._dsn = line
        store._drop()
        for number in range(3):
            assert await until_known(store, store.prepare(source.batch())) == (1 if number else 2)
        assert broken.is_set()
        await store.close()
    assert await everything(dsn, sql_of) == told(source)


async def test_a_frozen_server_within_a_transaction_does_not_keep_its_successor(
    make_database, make_postgres, specs, flow, monkeypatch
):
    monkeypatch.setattr("fastbook_server.store.connection.IDLE_IN_TRANSACTION_MS_MAX", 300)
    dsn = await make_database("postgres")
    frozen = make_postgres(dsn)
    source = flow(await frozen.open(specs, 0))
    await frozen._connection.execute("BEGIN")
    prepared = frozen.prepare(source.batch())
    assert await frozen._apply(frozen._connection, prepared, copies=False)
    past = await make_postgres(dsn).open(specs, 0)
    assert (past.epoch, past.batch_no) == (2, 0)
    with pytest.raises(StoreUnavailable):
        await frozen.commit(prepared)
    with pytest.raises(StoreFenced):
        await frozen.commit(prepared)


async def test_a_database_without_fsync_is_warned_of(
    cluster_folder, make_postgres, specs, monkeypatch, caplog
):
    monkeypatch.setitem(supervisor.SETTINGS, "fsync", "off")
    server = EmbeddedPostgres(cluster_folder)
    try:
        await make_postgres(await server.start()).open(specs, 0)
    finally:
        await server.stop()
    assert [r.message for r in caplog.records if r.levelname == "WARNING"] == [
        "PostgreSQL runs with fsync off: a crash can lose committed batches"
    ]


@pytest.fixture
def small_disk(open_folder):
    """A file system of 160 MB, which can be filled without harm to anybody."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=160m,mode=755", "tmpfs", str(open_folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs root and the right to mount a small file system")
    yield open_folder
    subprocess.run(["umount", str(open_folder)], check=True)


async def test_a_full_disk_is_waited_for(small_disk, make_postgres, specs, flow, sql_of):
    """PostgreSQL refuses the batch, or goes down over its log; once there is room, it is in."""
    server = EmbeddedPostgres(small_disk / "data")
    store = make_postgres(await server.start())
    dsn = store._dsn
    source = flow(await store.open(specs, 0))
    try:
        await store.commit(store.prepare(source.batch()))
        fill_disk(small_disk / "ballast")
        prepared = await commit_until_refused(store, source)
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await store.commit(prepared)
        (small_disk / "ballast").unlink()
        await until_known(store, prepared)
        await store.commit(store.prepare(source.batch()))
        assert await everything(dsn, sql_of) == told(source)
    finally:
        await store.close()
        await server.stop()


async def commit_until_refused(store, source):
    while True:
        prepared = store.prepare(source.batch(500))
        try:
            await store.commit(prepared)
        except StoreUnavailable:
            return prepared


def fill_disk(path):
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(bytes(65536)) == 65536:
            pass
