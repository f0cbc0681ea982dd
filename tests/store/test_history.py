"""The past for readers: the same answers from every store, found by index, never in the way."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from itertools import groupby

import asyncpg
import pytest

from fastbook_server.store import StoreBroken, StoreUnavailable
from fastbook_server.store.days import DAY_MS
from fastbook_server.store.history import TIMEOUT_S
from fastbook_server.values.candles import CandleSeries
from fastbook_server.values.events import OrderAccepted, OrderCancelled, OrderFilled, Traded
from fastbook_server.values.persisted import FillSpan, OwnFill, StoredFill
from fastbook_wire.words import INTERVALS

SECURITIES = ("BTC-USD", "GAME")


def folded(events, security, interval):
    """Return the candles that fills add up to, one by one."""
    series = CandleSeries(INTERVALS[interval], 0)
    for event in events:
        if isinstance(event, OrderFilled) and event.maker.instrument.security == security:
            series.add(event.time_ms, event.price, event.quantity, event.n == 0)
    return list(series.candles)


async def committed(store, specs, flow, *, batches=12, step_ms=7, pause_ms=0):
    """Return the flow of a new database in which it has been committed, and its history."""
    source = flow(await store.open(specs, 0), step_ms=step_ms)
    for _ in range(batches):
        await store.commit(store.prepare(source.batch(40)))
        source.time_ms += pause_ms
    return source, store.history(source.instruments)


async def every_candle(history, security, interval, limit, *, forward):
    """Return all candles of a security, asked for page by page."""
    found, start, end = [], 0 if forward else None, None
    while True:
        page = list(
            await history.candles(security, interval, start_ms=start, end_ms=end, limit=limit)
        )
        found = found + page if forward else page + found
        if len(page) < limit:
            return found
        if forward:
            start = page[-1].start_ms + 1
        else:
            end = page[0].start_ms


@pytest.mark.parametrize(
    ("step_ms", "pause_ms"),
    [(7, 0), (900, 0), (60_000, 9 * DAY_MS)],
    ids=["dense", "sparse", "days apart"],
)
async def test_candles_are_what_the_fills_add_up_to(make_store, specs, flow, step_ms, pause_ms):
    source, history = await committed(make_store(), specs, flow, step_ms=step_ms, pause_ms=pause_ms)
    for security in SECURITIES:
        for interval in INTERVALS:
            expected = folded(source.past, security, interval)
            assert len(expected) >= (10 if pause_ms else 1)
            for limit in (2, 1_000):
                for forward in (True, False):
                    got = await every_candle(history, security, interval, limit, forward=forward)
                    assert got == expected
    await history.close()


@pytest.mark.parametrize("seed", range(4))
async def test_a_period_begins_at_its_start_and_ends_before_its_end(make_store, specs, flow, seed):
    source, history = await committed(make_store(), specs, flow, step_ms=2_000)
    pick = random.Random(seed)
    first, last = source.past[0].order.time_ms, source.time_ms
    for _ in range(40):
        interval = pick.choice(tuple(INTERVALS))
        every = folded(source.past, "BTC-USD", interval)
        start, end = sorted(pick.randrange(first - 90_000, last + 90_000) for _ in range(2))
        start, end = pick.choice(
            [(start, end), (None, end), (start, None), (every[0].start_ms, end)]
        )
        limit = pick.choice((1, 2, 5, 1_000))
        within = [
            candle
            for candle in every
            if (start is None or candle.start_ms >= start)
            and (end is None or candle.start_ms < end)
        ]
        got = await history.candles("BTC-USD", interval, start_ms=start, end_ms=end, limit=limit)
        assert list(got) == (within[-limit:] if start is None else within[:limit])
    await history.close()


SPREAD = pytest.mark.parametrize(
    ("step_ms", "pause_ms"),
    [(7, 0), (DAY_MS // 30, 0), (60_000, 9 * DAY_MS)],
    ids=["one day", "many days", "days apart"],
)


@SPREAD
async def test_trades_are_the_newest_before_a_seq_oldest_first(
    make_store, specs, flow, step_ms, pause_ms
):
    source, history = await committed(make_store(), specs, flow, step_ms=step_ms, pause_ms=pause_ms)
    for security in SECURITIES:
        every = [
            e
            for e in source.past
            if isinstance(e, Traded) and e.order.instrument.security == security
        ]
        assert len(every) > 10
        assert list(await history.trades(security, before_seq=None, limit=4)) == every[-4:]
        assert list(await history.trades(security, before_seq=every[0].seq, limit=4)) == []
        assert (
            list(await history.trades(security, before_seq=every[0].seq + 1, limit=4)) == every[:1]
        )
        found, before = [], None
        while page := list(await history.trades(security, before_seq=before, limit=3)):
            found, before = page + found, page[0].seq
        assert found == every
    await history.close()


@pytest.mark.parametrize("extreme", [-(10**30), -1, 0, 10**30])
async def test_whatever_is_asked_is_answered(make_store, specs, flow, extreme):
    _, history = await committed(make_store(), specs, flow, batches=2)
    for security in ("BTC-USD", "NOBODY"):
        trades = await history.trades(security, before_seq=extreme, limit=2)
        assert len(trades) == (2 if extreme > 0 and security == "BTC-USD" else 0)
        for period in ((extreme, None), (None, extreme), (extreme, extreme)):
            found = await history.candles(
                security, "1d", start_ms=period[0], end_ms=period[1], limit=2
            )
            everything = period in ((extreme, None), (None, extreme)) and (
                (period[0] is not None) == (extreme <= 0)
            )
            assert len(found) == (everything and security == "BTC-USD")
    assert list(await history.trades("BTC-USD", before_seq=None, limit=0)) == []
    assert list(await history.candles("BTC-USD", "1s", start_ms=None, end_ms=None, limit=0)) == []
    await history.close()


async def test_a_database_without_past_has_none(make_store, specs):
    store = make_store()
    past = await store.open(specs, 0)
    history = store.history(past.instruments)
    assert list(await history.trades("BTC-USD", before_seq=None, limit=9)) == []
    for interval in INTERVALS:
        got = await history.candles("BTC-USD", interval, start_ms=None, end_ms=None, limit=9)
        assert list(got) == []
    await history.close()
    await history.close()


async def test_readers_share_two_connections_that_cannot_write(
    make_postgres, dsn, sql, specs, flow
):
    _, history = await committed(make_postgres(dsn), specs, flow, batches=2)
    await asyncio.gather(
        *(history.trades("BTC-USD", before_seq=None, limit=n) for n in range(1, 30))
    )
    mine = "FROM pg_stat_activity WHERE datname = current_database()"
    mine += " AND application_name = 'fastbook history'"
    assert await sql.fetchval(f"SELECT count(*) {mine}") == 2
    with pytest.raises(StoreUnavailable, match="25006"):
        async with history._connection() as connection:
            await connection.execute("DELETE FROM trades")
    await history.close()
    while await sql.fetchval(f"SELECT count(*) {mine}"):  # noqa: ASYNC110 (nothing announces it)
        await asyncio.sleep(0.001)


async def test_a_reader_that_waits_does_not_keep_commits_waiting(
    make_postgres, dsn, sql, specs, flow, monkeypatch
):
    store = make_postgres(dsn)
    source, history = await committed(store, specs, flow, batches=2)
    monkeypatch.setattr("fastbook_server.store.history.TIMEOUT_S", 0.3)
    await sql.execute("BEGIN; LOCK TABLE instruments, trades IN ACCESS EXCLUSIVE MODE")
    with pytest.raises(StoreUnavailable):
        await history.trades("BTC-USD", before_seq=None, limit=1)
    await sql.execute("ROLLBACK")
    monkeypatch.undo()
    held = asyncio.Event()

    async def read_slowly():
        async with history._connection() as connection, connection.transaction():
            await connection.fetch("SELECT * FROM trades, fills, open_orders, candles_1s LIMIT 1")
            held.set()
            await asyncio.Event().wait()

    slow = asyncio.create_task(read_slowly())
    await held.wait()
    for _ in range(3):
        await store.commit(store.prepare(source.batch()))
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    assert await history.trades("BTC-USD", before_seq=None, limit=1)
    await history.close()


async def test_a_reader_has_limits_of_its_own_and_uses_indexes(make_postgres, dsn, specs, flow):
    _, history = await committed(make_postgres(dsn), specs, flow, batches=1)
    async with history._connection() as connection:
        for setting in (
            "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout",
        ):  # fmt: skip
            assert await connection.fetchval(f"SHOW {setting}") == f"{TIMEOUT_S:g}s"
        assert await connection.fetchval("SHOW enable_seqscan") == "off"
    await history.close()


async def test_closing_does_not_wait_for_a_reader(
    make_postgres, dsn, sql, specs, flow, monkeypatch
):
    monkeypatch.setattr("fastbook_server.store.history.CLOSE_TIMEOUT_S", 0.01)
    _, history = await committed(make_postgres(dsn), specs, flow, batches=1)
    async with history._connection() as connection:
        await history.close()
        with pytest.raises(asyncpg.InterfaceError, match="released"):
            await connection.fetchval("SELECT 1")


async def test_a_server_that_went_away_is_unavailable_and_then_back(
    make_postgres, dsn, sql, specs, flow
):
    _, history = await committed(make_postgres(dsn), specs, flow, batches=2)
    assert await history.trades("BTC-USD", before_seq=None, limit=1)
    await sql.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'fastbook history'"
    )
    answers = []
    for _ in range(3):
        try:
            answers += await history.trades("BTC-USD", before_seq=None, limit=1)
        except StoreUnavailable:
            continue
    assert len(answers) >= 2
    await history.close()


async def test_no_server_is_unavailable_and_a_foreign_database_is_broken(
    make_database, make_postgres, specs
):
    nowhere = make_postgres("postgresql:///x?host=/nowhere").history([])
    with pytest.raises(StoreUnavailable):
        await nowhere.candles("BTC-USD", "1m", start_ms=None, end_ms=None, limit=1)
    await nowhere.close()
    foreign = make_postgres(await make_database("postgres")).history([])
    with pytest.raises(StoreBroken, match="days"):
        await foreign.candles("BTC-USD", "1m", start_ms=None, end_ms=None, limit=1)
    await foreign.close()


async def test_candles_are_found_by_index(make_postgres, make_database, sql_of, specs, flow):
    """A page of a large table reads a few pages of it."""
    dsn = await make_database("postgres")
    store = make_postgres(dsn)
    past = await store.open(specs, 0)
    sql = await sql_of(dsn)
    await sql.execute("ALTER TABLE candles SET (autovacuum_enabled = false)")  # it reads pages too
    await sql.execute(
        "INSERT INTO candles SELECT 'BTC-USD', i, t * i::bigint, 1, 1, 1, 1, 1, 1"
        " FROM unnest(ARRAY[1000, 86400000]) AS i, generate_series(1, 100000) AS t"
    )
    await sql.execute(
        "INSERT INTO days SELECT 'BTC-USD', d, d, 0 FROM unnest($1::bigint[]) AS d",
        [0, 100_000 * DAY_MS],
    )
    await sql.execute("SELECT pg_stat_force_next_flush()")  # of the insert, not of what is measured
    history = store.history(past.instruments)

    async def pages_read(start_ms):
        async with history._connection() as connection:
            await connection.execute("SELECT pg_stat_force_next_flush()")
        before = await blocks()
        found = await history.candles(
            "BTC-USD", "1s", start_ms=start_ms, end_ms=90_000_000, limit=100
        )
        assert len(found) == 100
        async with history._connection() as connection:
            await connection.execute("SELECT pg_stat_force_next_flush()")
        return await blocks() - before

    async def blocks():
        await sql.execute("SELECT pg_stat_clear_snapshot()")
        return await sql.fetchval(
            "SELECT heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit"
            " FROM pg_statio_user_tables WHERE relname = 'candles'"
        )

    for start_ms in (None, 50_000_000):
        assert 0 < await pages_read(start_ms) < 60
    await history.close()


@SPREAD
async def test_every_order_is_found_with_its_fills_and_its_end(
    make_store, specs, flow, step_ms, pause_ms, monkeypatch
):
    monkeypatch.setattr("fastbook_server.store.order_rows.SEQS_FIRST", 3)
    source, history = await committed(make_store(), specs, flow, step_ms=step_ms, pause_ms=pause_ms)
    accepted, filled, notional, reasons = {}, Counter(), Counter(), {}
    for event in source.past:
        if isinstance(event, OrderAccepted):
            accepted[event.order.id] = event.order
        elif isinstance(event, OrderFilled):
            for order in (event.maker, event.taker):
                filled[order.id] += event.quantity
                notional[order.id] += event.price * event.quantity
        elif isinstance(event, OrderCancelled):
            reasons[event.order.id] = event.reason
    assert len(accepted) > 100
    for order_id, order in accepted.items():
        found = await history.order(order_id)
        assert found is not None
        assert (found.order, found.remaining) == (order, order.quantity - filled[order_id])
        assert (found.notional, found.reason) == (notional[order_id], reasons.get(order_id))
        assert (found.status == "cancelled") == (order_id in reasons)
        assert (found.status == "filled") == (filled[order_id] == order.quantity)
    await history.close()


@pytest.mark.parametrize(
    "order_id",
    [
        "x",
        "",
        "019b76daa80070008040000000004005----",
        "019b76da-a800-7000-8040-00000000_405",
        "019b76da-a800-7000-8040-000000004005",
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
    ],
)
async def test_an_id_that_is_no_orders_is_not_found(make_store, specs, flow, order_id):
    _, history = await committed(make_store(), specs, flow, batches=1)
    assert await history.order(order_id) is None
    await history.close()


# ---- fills --------------------------------------------------------------------------------------


def stored(fill):
    """Return a fill as the history has it."""
    side, price, quantity = fill.taker.side, fill.price, fill.quantity
    ids = (fill.fill_id, fill.agg_trade_id, fill.seq, fill.time_ms)
    return StoredFill(*ids, side, price, quantity)


def fills_of(source, security):
    return [
        e
        for e in source.past
        if isinstance(e, OrderFilled) and e.taker.instrument.security == security
    ]


@SPREAD
async def test_fills_are_numbered_and_found_by_number_and_by_time_in_both_directions(
    make_store, specs, flow, step_ms, pause_ms
):
    source, history = await committed(make_store(), specs, flow, step_ms=step_ms, pause_ms=pause_ms)
    pick = random.Random(1)
    for security in SECURITIES:
        fills = [stored(fill) for fill in fills_of(source, security)]
        assert [fill.fill_id for fill in fills] == list(range(1, len(fills) + 1))
        takers = [list(one) for _, one in groupby(fills, lambda f: (f.seq, f.price))]
        assert all({f.agg_trade_id for f in t} == {n} for n, t in enumerate(takers, 1))
        assert len(fills) > 20
        assert await history.fills(security, FillSpan(limit=1_000)) == fills
        times = [fill.time_ms + d for fill in fills for d in (-1, 0, 1)]
        for _ in range(60):
            span = FillSpan(
                since=pick.choice((None, 0, pick.randrange(len(fills) + 2))),
                from_agg_trade=pick.choice((None, None, pick.randrange(len(takers) + 3))),
                before=pick.choice((None, 2**53, pick.randrange(1, len(fills) + 2))),
                start_ms=pick.choice((None, 0, pick.choice(times))),
                end_ms=pick.choice((None, 2**53, pick.choice(times))),
                limit=pick.choice((1, 3, 1_000)),
            )
            assert await history.fills(security, span) == span.of(fills), span
    assert await history.fills("NONE", FillSpan(limit=9)) == []
    assert await history.fills("NONE", FillSpan(start_ms=0, end_ms=2**53, limit=9)) == []
    await history.close()


@SPREAD
async def test_ones_own_fills_are_those_of_all_ones_orders_a_fill_with_oneself_twice(
    make_store, specs, flow, step_ms, pause_ms
):
    source, history = await committed(make_store(), specs, flow, step_ms=step_ms, pause_ms=pause_ms)
    users = {order.user_id for order in (e.order for e in source.past if hasattr(e, "order"))}
    alone = 0
    for security in SECURITIES:
        for user_id in users:
            own = [
                OwnFill(stored(fill), role, order.id)
                for fill in fills_of(source, security)
                for role, order in (("taker", fill.taker), ("maker", fill.maker))
                if order.user_id == user_id
            ]
            got, since = [], 0
            while page := await history.own_fills(
                user_id, security, FillSpan(since=since, limit=3)
            ):
                got += page
                since = page[-1].fill.fill_id
            assert got == own
            last = {o.fill.fill_id for o in own[-4:]}
            newest = await history.own_fills(user_id, security, FillSpan(limit=len(last)))
            assert newest == [o for o in own if o.fill.fill_id in last]
            alone += len(own) - len({o.fill.fill_id for o in own})
    assert alone
    assert await history.own_fills("nobody", "BTC-USD", FillSpan(limit=9)) == []
    await history.close()


async def test_fill_ids_go_on_after_a_restart(make_store, specs, flow):
    source, history = await committed(make_store(), specs, flow)
    await history.close()
    again = await make_store().open(specs, 0)
    assert again.fill_ids == {s: len(fills_of(source, s)) for s in SECURITIES}
    last = {s: [0, *(f.agg_trade_id for f in fills_of(source, s))][-1] for s in SECURITIES}
    assert again.agg_trade_ids == last


async def test_holdings_are_what_every_users_fills_add_up_to(make_store, specs, flow):
    source, history = await committed(make_store(), specs, flow)
    expected: dict[tuple[str, str], tuple[int, int, int]] = {}
    for fill in (event for event in source.past if isinstance(event, OrderFilled)):
        for order in (fill.taker, fill.maker):
            lots = fill.quantity if order.side == "bid" else -fill.quantity
            of = order.user_id, order.instrument.security
            held, cash, fills = expected.get(of, (0, 0, 0))
            expected[of] = held + lots, cash - lots * fill.price, fills + 1
    found = {(h.user_id, h.security): (h.lots, h.cash, h.fills) for h in await history.holdings()}
    assert expected
    assert found == expected
    await history.close()
