"""The recorder: SQL is a prefix of the log, whoever dies, however many messages go at once."""

from __future__ import annotations

import asyncio
import random

import msgspec
import pytest
from fakes import T0, FakeClock, settle
from log_owner import LogOwner, messages_of
from recording import prepared, recorder_of, running, until
from trading import SPECS

from fastbook_server.cluster.backlog import Backlog, joined
from fastbook_server.cluster.log import LogBroken
from fastbook_server.cluster.memory import MemoryLog, MemoryLogData
from fastbook_server.cluster.recorder import LogRecorder
from fastbook_server.store import Position, StoreFenced, StoreUnavailable
from fastbook_server.store.memory import MemoryDatabase, MemoryStore
from fastbook_server.store.shared_snapshot import SharedSnapshot
from fastbook_server.store.verification import verify
from fastbook_server.values.persisted import Batch

TABLES = {
    "orders": "*", "trades": "*", "fills": "*", "cancellations": "*", "order_changes": "*",
    "open_orders": "*", "client_orders": "*", "cancel_rules": "*", "markets": "*", "days": "*",
    "instruments": "*", "candles": "*", "balances": "*",
    "operator_actions": "time, action, security, user_id, orders",
}  # fmt: skip


async def contents(sql):
    """Return the rows of every table that does not depend on which messages were joined."""
    return {
        table: sorted(map(repr, await sql.fetch(f"SELECT {columns} FROM {table}")))
        for table, columns in TABLES.items()
    }


async def faults(sql):
    """Return what contradicts itself in a database."""
    return {v.check.name: v.shown async for v in verify(SharedSnapshot(sql)) if v.faults}


async def state(sql):
    return Position(*await sql.fetchrow("SELECT epoch, batch_no, time FROM engine_state"))


async def in_memory():
    """Return a log, an owner that has claimed it, and a store in memory."""
    data, store = MemoryLogData(), MemoryStore(MemoryDatabase())
    past = await store.open(SPECS, 0)
    store.data.epoch = 0
    owner = LogOwner(data, past)
    await owner.claim()
    return data, owner, store


def stored_order(batch):
    """Return the events of a batch in the order of a message."""
    late = ("Traded", "CancelRuleChanged", "OperatorActed", "BalanceChanged")
    return sorted(
        batch.events,
        key=lambda e: late.index(name) + 1 if (name := type(e).__name__) in late else 0,
    )


# ---- the same as one by one ----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
async def test_what_is_recorded_over_many_deaths_is_what_one_by_one_would_be(
    make_postgres, make_database, sql_of, seed
):
    dsn, plain = await make_database("postgres"), await make_database("postgres")
    draw = random.Random(seed)
    data = MemoryLogData()
    owner = LogOwner(data, await prepared(make_postgres(dsn)), seed)
    one_by_one = make_postgres(plain, checkpoint_every=0)
    await one_by_one.open(SPECS, 0)
    await owner.claim()
    for _ in range(8):
        store = make_postgres(dsn, checkpoint_every=0, at_once_max=draw.choice((0, 30, 2_000)))
        recorder = recorder_of(data, store, joined_bytes_max=draw.choice((0, 2_000, 30_000)))
        recording = asyncio.ensure_future(recorder.run())
        for _ in range(draw.randrange(1, 12)):
            await owner.write(draw.randrange(1, 30))
            await asyncio.sleep(draw.choice((0, 0, 0.003, 0.02)))
        recording.cancel()  # wherever it is
        await asyncio.gather(recording, return_exceptions=True)
    async with running(recorder := recorder_of(data, make_postgres(dsn))):
        await recorder.caught_up()
    for batch in owner.batches:
        await one_by_one.commit(one_by_one.prepare(batch))
    ours, theirs = await sql_of(dsn), await sql_of(plain)
    assert await state(ours) == (1, data.end, owner.floor.now_ms)
    found, expected = await contents(ours), await contents(theirs)
    for table in TABLES:
        assert found[table] == expected[table], table
    assert len(found["fills"]) > 100
    assert await faults(ours) == {}


async def test_claims_and_farewells_move_number_epoch_and_time(
    make_postgres, make_database, sql_of
):
    dsn, data = await make_database("postgres"), MemoryLogData()
    past = await prepared(make_postgres(dsn))
    sql, recorder = await sql_of(dsn), recorder_of(data, make_postgres(dsn))
    async with running(recorder):
        for epoch in (1, 2, 5):
            owner = LogOwner(data, msgspec.structs.replace(past, epoch=epoch))
            owner.floor.now_ms += epoch
            for step in (owner.claim, owner.release):
                await step()
                await recorder.caught_up()
                assert await state(sql) == (epoch, data.end, owner.floor.now_ms)


async def test_half_a_message_of_a_dead_matcher_is_passed_over(
    make_postgres, make_database, sql_of
):
    dsn, data = await make_database("postgres"), MemoryLogData()
    store = make_postgres(dsn)
    owner = LogOwner(data, past := await prepared(store))
    async with running(recorder := recorder_of(data, store)):
        await owner.claim()
        await owner.begin()
        await recorder.caught_up()  # there is nothing whole to be recorded
        assert (await state(await sql_of(dsn))).batch_no == 1 < data.end
        heir = LogOwner(data, msgspec.structs.replace(past, epoch=2), seed=1)
        await heir.claim()
        await heir.write()
        await recorder.caught_up()
    sql = await sql_of(dsn)
    assert await state(sql) == (2, data.end, heir.floor.now_ms)
    assert await faults(sql) == {}
    async with store.read(SPECS, 0) as (parts, _):
        read = parts["main"]
        assert read.seqs["COIN"] == heir.floor.exchange.markets["COIN"].seq


async def test_a_large_message_is_recorded(make_postgres, make_database, sql_of):
    dsn, data = await make_database("postgres"), MemoryLogData()
    store = make_postgres(dsn)
    owner = LogOwner(data, await prepared(store), part_bytes=20_000)
    await owner.claim()
    await owner.write(4_000)
    assert data.end > 20
    async with running(recorder := recorder_of(data, store, joined_bytes_max=0)):
        await recorder.caught_up()
    sql = await sql_of(dsn)
    assert await state(sql) == (1, data.end, owner.floor.now_ms)
    assert await faults(sql) == {}


# ---- several who record --------------------------------------------------------------------------


async def test_two_recorders_at_once_record_each_message_once(make_postgres, make_database, sql_of):
    dsn, data = await make_database("postgres"), MemoryLogData()
    owner = LogOwner(data, await prepared(make_postgres(dsn)), seed=3)
    await owner.claim()
    two = [
        recorder_of(data, make_postgres(dsn), joined_bytes_max=most, step_back_s=0.01)
        for most in (0, 3_000)
    ]
    async with running(*two):
        for _ in range(150):
            await owner.write(8)
            await asyncio.sleep(0.002)
        await asyncio.gather(*(recorder.caught_up() for recorder in two))
    sql = await sql_of(dsn)
    assert await faults(sql) == {}
    assert [recorder.position for recorder in two] == [await state(sql)] * 2
    wanted = {e.order.id for batch in owner.batches for e in batch.events if "Accepted" in repr(e)}
    stored = [row["id"] for row in await sql.fetch("SELECT id::text FROM orders")]
    assert (len(stored), set(stored)) == (len(wanted), wanted)


async def test_a_second_recorder_goes_on_when_the_first_has_died(
    make_postgres, make_database, sql_of
):
    dsn, data = await make_database("postgres"), MemoryLogData()
    owner = LogOwner(data, await prepared(make_postgres(dsn)))
    await owner.claim()
    first, second = (recorder_of(data, make_postgres(dsn), step_back_s=0.01) for _ in range(2))
    async with running(second):
        async with running(first):
            for _ in range(30):
                await owner.write()
                await asyncio.sleep(0.002)
            await first.caught_up()
        await owner.write()
        await second.caught_up()
    assert (await state(await sql_of(dsn))).batch_no == data.end


async def test_what_a_rival_has_left_is_recorded():
    data, owner, store = await in_memory()
    for _ in range(5):
        await owner.write()
    store.hold()
    recorder = recorder_of(data, store, step_back_s=0.01)
    async with running(recorder):
        await settle()  # it is about to record everything at once
        rival = MemoryStore(store.data)
        some = messages_of(data.entries)[:3]
        numbers = {i.number: i for i in store.data.instruments.values()}
        await rival.commit(rival.prepare(joined(some, Position(0, 0, 0), numbers)))
        store.release()
        await recorder.caught_up()
    assert store.data.batch_no == data.end
    assert store.data.events == [e for b in owner.batches for e in stored_order(b)]


async def test_a_message_that_a_rival_has_recorded_is_not_kept_when_it_arrives():
    data, owner, _ = await in_memory()
    await owner.write()
    messages = messages_of(data.entries)
    backlog = Backlog(0, 10**9)
    await backlog.drop(messages[0].number)
    for entry in data.entries:
        await backlog.add(entry)
    assert await backlog.next(10**9) == messages[1:]


async def test_a_server_that_has_written_ends_a_recorder_that_runs():
    data, owner, store = await in_memory()
    recorder = recorder_of(data, store, lost_after_s=0)
    recording = asyncio.ensure_future(recorder.run())
    await until(lambda: recorder.position.batch_no == data.end)
    server = MemoryStore(store.data)
    past = await server.open(SPECS, 0)
    await server.commit(Batch(past.batch_no + 1, past.time_ms, ()))
    await owner.write()
    await owner.write()
    async with asyncio.timeout(30):
        with pytest.raises(StoreFenced, match="got epoch 2"):
            await recording


async def test_a_server_on_the_database_ends_its_recorder_for_good(make_postgres, make_database):
    dsn, data = await make_database("postgres"), MemoryLogData()
    owner = LogOwner(data, await prepared(make_postgres(dsn)))
    await owner.claim()
    recorder = recorder_of(data, make_postgres(dsn))
    recording = asyncio.ensure_future(recorder.run())
    await owner.write()
    await until(lambda: recorder.position.batch_no == data.end)
    server = make_postgres(dsn)
    past = await server.open(SPECS, 0)
    await owner.write()
    with pytest.raises(StoreFenced, match=r"expected epoch 1 .* got epoch 2"):
        await recording
    with pytest.raises(StoreFenced, match="as in the log, got epoch 2"):
        await recorder_of(data, make_postgres(dsn)).run()
    # Nor may an heir of the log whose epoch is that of the server, once the server has written.
    heir = LogOwner(data, msgspec.structs.replace(past, epoch=2))
    await heir.claim()
    await heir.write()
    await server.commit(server.prepare(Batch(past.batch_no + 1, past.time_ms + 7, ())))
    async with asyncio.timeout(30):
        with pytest.raises(StoreFenced, match="as in the log"):
            await recorder_of(data, make_postgres(dsn)).run()
    await server.commit(server.prepare(Batch(past.batch_no + 2, past.time_ms + 7, ())))


# ---- whose log it is -----------------------------------------------------------------------------


async def test_a_log_that_ends_before_the_database_is_refused():
    data, store = MemoryLogData(), MemoryStore(MemoryDatabase())
    store.data.batch_no = 7
    with pytest.raises(LogBroken, match=r"ends at message 0, .* up to 7: .* begins .* at 8"):
        await recorder_of(data, store, lost_after_s=0.05).run()


async def test_a_server_of_the_log_may_be_behind_others_for_a_while():
    data, store = MemoryLogData(), MemoryStore(MemoryDatabase())
    past = await store.open(SPECS, 0)
    await LogOwner(data, past).claim()
    store.data.batch_no, store.data.time_ms = 1, T0
    late = data.entries.pop()
    async with running(recorder := recorder_of(data, store)):
        await asyncio.sleep(0)
        data.entries.append(late)
        await recorder.caught_up()
        await until(lambda: recorder.ready)


async def test_who_is_to_finish_says_whether_all_is_recorded():
    data, owner, store = await in_memory()
    async with running(recorder := recorder_of(data, store)):
        await owner.write()
        assert await recorder.finish(30)
        assert store.data.batch_no == data.end
        store.hold()
        await owner.write()
        assert not await recorder.finish(0.01)
        data.go_away()
        assert not await recorder.finish(30)


async def test_a_new_log_behind_a_database_is_recorded_and_one_with_a_hole_is_not():
    data, store = MemoryLogData(first=8), MemoryStore(MemoryDatabase())
    store.data.batch_no = 7
    past = msgspec.structs.replace(await store.open(SPECS, 0), epoch=2)
    async with running(recorder := recorder_of(data, store)):
        await LogOwner(data, past).claim()
        await recorder.caught_up()
    assert (store.data.epoch, store.data.batch_no) == (2, 8)
    store.data.batch_no = 6
    with pytest.raises(LogBroken, match="7 has been removed"):
        await recorder_of(data, store).run()


# ---- what is away, and how far behind it is ------------------------------------------------------


async def test_a_commit_is_retried_until_its_outcome_is_known():
    data, owner, store = await in_memory()
    store.fail_next(2, lambda: StoreUnavailable("away"), applied=True)
    store.fail_next(1, lambda: StoreUnavailable("away"))
    async with running(recorder := recorder_of(data, store)):
        for _ in range(5):
            await owner.write()
        await recorder.caught_up()
    assert store.data.events == [e for b in owner.batches for e in stored_order(b)]


async def test_it_is_not_ready_before_it_has_begun_nor_when_too_far_behind():
    data, owner, store = await in_memory()
    clock = FakeClock()
    recorder = LogRecorder(MemoryLog(data), store, SPECS, clock, look_every_s=0.01)
    assert not recorder.ready
    async with running(recorder):
        await recorder.caught_up()
        await until(lambda: not recorder.behind_s)
        assert recorder.ready
        store.hold()
        await owner.write()
        clock.advance(59)
        await until(lambda: recorder.behind_s)
        assert recorder.ready
        clock.advance(2)
        assert not recorder.ready
        store.release()
        await recorder.caught_up()
        await until(lambda: not recorder.behind_s)
        assert recorder.ready
        data.go_away()  # whether SQL has all of it, nobody knows
        await until(lambda: recorder.behind_s > 0, meanwhile=lambda: clock.advance(1))


async def test_what_is_recorded_is_cut_off_the_log_when_it_is_old_and_nothing_else():
    data, owner, store = await in_memory()
    recorder = recorder_of(data, store, keep_ms=100_000, look_every_s=0.001)
    ends = []
    async with running(recorder):
        for _ in range(20):
            await owner.write()
            ends.append((owner.floor.now_ms, data.end))
            owner.floor.now_ms += 20_000
            await recorder.caught_up()
            await settle()
        await until(lambda: data.entries[0].number > ends[5][1])
        kept = [number for time_ms, number in ends if time_ms > owner.floor.now_ms - 120_000]
        first = data.entries[0].number
        assert ends[5][1] < first <= kept[0]
        store.hold()
        for _ in range(20):
            await owner.write()
            owner.floor.now_ms += 20_000
            await asyncio.sleep(0.002)
        recorded = store.data.batch_no
        assert data.entries[0].number <= recorded + 1
        store.release()
        await recorder.caught_up()
    assert messages_of(data.entries)[-1].number == data.end


# ---- serve, cluster, serve -----------------------------------------------------------------------


async def test_server_cluster_and_server_again_have_the_same_books(
    make_postgres, make_database, sql_of
):
    dsn = await make_database("postgres")
    before = make_postgres(dsn)
    lone = LogOwner(MemoryLogData(), await before.open(SPECS, 0), seed=5)
    for _ in range(10):
        await lone.claim()
        await lone.write(20)
        batch = lone.batches[-1]
        await before.commit(before.prepare(batch))
    await before.close()

    async with make_postgres(dsn).read(SPECS, 0) as (parts, _):
        past = parts["main"]
        token_key = past.token_key
    data = MemoryLogData(first=past.batch_no + 1)
    owner = LogOwner(data, msgspec.structs.replace(past, epoch=past.epoch + 1), seed=6)
    await owner.claim()
    async with running(recorder := recorder_of(data, make_postgres(dsn))):
        for _ in range(20):
            await owner.write(20)
        await owner.release()
        await recorder.caught_up()

    again = await make_postgres(dsn).open(SPECS, 0)
    assert (again.epoch, again.batch_no, again.token_key) == (3, data.end, token_key)
    exchange = owner.floor.exchange
    assert again.seqs == {name: market.seq for name, market in exchange.markets.items()}
    restarted = LogOwner(MemoryLogData(), msgspec.structs.replace(again, epoch=2)).floor
    for name, market in exchange.markets.items():
        assert restarted.exchange.markets[name].book.depth() == market.book.depth()
    restarted.now_ms = owner.floor.now_ms
    for _ in range(500):
        user, command = owner.flow.next()
        assert restarted.do(user, command) == owner.floor.do(user, command)
    assert await faults(await sql_of(dsn)) == {}
