"""Batches that were durable in a log before, joined and under its epochs; reading along."""

from __future__ import annotations

import msgspec
import pytest

from fastbook_server.gateway.http.history_queue import recent
from fastbook_server.store import StoreFenced, StoreRefused, StoreUnavailable, StoreUnprepared
from fastbook_server.values.instruments import InstrumentSpec
from fastbook_server.values.persisted import Batch


async def commit(store, batch):
    await store.commit(store.prepare(batch))


def joined(batches, epoch=None):
    """Return several batches as one."""
    events = tuple(event for batch in batches for event in batch.events)
    first, last = batches[0], batches[-1]
    return Batch(
        last.number, last.time_ms, events, previous=first.number - 1, epoch=epoch or first.epoch
    )


async def state(sql):
    row = await sql.fetchrow("SELECT epoch, batch_no, time FROM engine_state")
    return tuple(row)


# ---- committing ----------------------------------------------------------------------------------


async def test_batches_can_be_committed_as_one(make_store, specs, flow):
    store = make_store()
    source = flow(await store.open(specs, 0))
    await commit(store, source.batch())
    await commit(store, joined([source.batch() for _ in range(4)]))
    await commit(store, source.batch())
    again = await make_store().open(specs, 0)
    assert (again.batch_no, again.seqs) == (6, source.seqs)
    assert {o.order.id for o in again.open_orders} == set(source.resting)


@pytest.mark.parametrize("at_once_max", [2_000, 0])
async def test_a_joined_batch_fits_only_where_the_first_of_it_would(
    dsn, make_postgres, specs, flow, sql, at_once_max
):
    store = make_postgres(dsn, at_once_max=at_once_max)
    source = flow(await store.open(specs, 0))
    await commit(store, source.batch())
    one = joined([source.batch() for _ in range(3)])
    with pytest.raises(StoreFenced, match="expected epoch 1 and batch 2"):
        await commit(store, msgspec.structs.replace(one, previous=2))
    await commit(store, one)
    await commit(store, one)  # its answer was lost
    assert (await state(sql))[:2] == (1, 4)


async def test_a_batch_that_names_its_epoch_raises_the_one_in_the_database(make_store, specs, flow):
    store = make_store()
    source = flow(await store.open(specs, 0))
    await commit(store, msgspec.structs.replace(source.batch(), epoch=1))
    await commit(store, msgspec.structs.replace(source.batch(), epoch=4))
    with pytest.raises(StoreFenced, match="expected epoch 3 and batch 2"):
        await commit(store, msgspec.structs.replace(source.batch(), epoch=3))
    assert (await make_store().open(specs, 0)).epoch == 5


async def test_who_prepares_to_record_takes_the_database_from_nobody(
    dsn, make_postgres, specs, flow, sql
):
    server = make_postgres(dsn)
    source = flow(past := await server.open(specs, 0))
    recorder = make_postgres(dsn)
    assert await recorder.open_to_record(specs) == past.instruments
    assert await recorder.position() == (1, 0, 0)
    await commit(server, source.batch())
    assert (await state(sql))[:2] == (1, 1)


async def test_who_prepares_to_record_makes_the_database_ready_to_be_read(
    dsn, make_postgres, specs, flow, sql
):
    recorder = make_postgres(dsn)
    instruments = await recorder.open_to_record(specs)
    async with recorder.read(specs, 0) as (parts, _):
        recovered = parts["main"]
        assert (recovered.epoch, recovered.batch_no, recovered.time_ms) == (0, 0, 0)
        assert (recovered.instruments, len(recovered.token_key)) == (instruments, 32)
    source = flow(msgspec.structs.replace(recovered, epoch=1))
    await commit(recorder, msgspec.structs.replace(source.batch(), epoch=1))
    assert (await state(sql))[:2] == (1, 1)


async def test_a_server_that_starts_fences_who_records(dsn, make_postgres, specs, flow):
    recorder = make_postgres(dsn)
    await recorder.open_to_record(specs)
    async with recorder.read(specs, 0) as (parts, _):
        recovered = parts["main"]
        source = flow(msgspec.structs.replace(recovered, epoch=1))
    await commit(recorder, msgspec.structs.replace(source.batch(), epoch=1))
    assert (await make_postgres(dsn).open(specs, 0)).epoch == 2
    with pytest.raises(StoreFenced, match=r"expected epoch 1 and batch 1 .* epoch 2 and batch"):
        await commit(recorder, msgspec.structs.replace(source.batch(), epoch=1))


# ---- reading -------------------------------------------------------------------------------------


async def test_what_is_read_is_what_a_start_would_recover(dsn, make_postgres, specs, flow, sql):
    store = make_postgres(dsn)
    source = flow(await store.open(specs, 0))
    for _ in range(4):
        await commit(store, source.batch(40))
    before = await state(sql)
    async with make_postgres(dsn).read(specs, 5) as (parts, _):
        read = parts["main"]
        assert await state(sql) == before == (read.epoch, read.batch_no, read.time_ms)
    opened = await make_postgres(dsn).open(specs, 5)
    assert msgspec.structs.replace(read, epoch=2) == opened


async def test_the_history_is_of_the_moment_that_was_read(dsn, make_postgres, specs, flow):
    store = make_postgres(dsn)
    past = await store.open(specs, 0)
    source = flow(past, step_ms=900)
    await commit(store, source.batch(60))
    everything = {"candles": 1_000, "fills": 0}
    history = store.history(past.instruments)
    then = await recent(history, past.instruments, **everything)
    async with store.read(specs, 0) as (parts, frozen):
        read = parts["main"]
        await commit(store, source.batch(60))
        assert await recent(frozen, read.instruments, **everything) == then
        assert max(f.fill_id for f in then.fills["GAME"]) == read.fill_ids["GAME"]
    assert await recent(history, past.instruments, **everything) != then
    await history.close()


async def test_who_reads_a_database_that_nobody_has_prepared_is_told_so(
    dsn, make_postgres, specs, sql
):
    store = make_postgres(dsn)

    async def refused(match, listed=specs):
        with pytest.raises(StoreUnprepared, match=f"{match}.*start a recorder"):
            async with store.read(listed, 0):
                pass

    await refused("expected a schema with .* got 0")
    await make_postgres(dsn).open_to_record(specs[:1])
    await refused(f"does not know {specs[1].security} yet")
    await sql.execute("DELETE FROM engine_state")
    await refused("the database is empty")
    await sql.execute(
        "DELETE FROM schema_migrations WHERE number = (SELECT max(number) FROM schema_migrations)"
    )
    await refused("expected a schema with")
    await sql.execute("INSERT INTO schema_migrations VALUES (9000, 'later', '')")
    with pytest.raises(StoreRefused, match="newer than this program"):
        async with store.read(specs, 0):
            pass


async def test_who_reads_is_refused_other_ticks_and_left_out_orders(
    dsn, make_postgres, specs, flow
):
    store = make_postgres(dsn)
    source = flow(await store.open(specs, 0))
    await commit(store, source.close_batch(source.add_resting(source.instruments[1], 2)))
    await commit(store, source.close_batch(source.add_resting(source.instruments[0], 2)))
    changed = InstrumentSpec.parse("BTC-USD:0.1:0.0001")
    with pytest.raises(StoreRefused, match=r"BTC-USD: expected tick 0\.01"):
        async with store.read((changed, specs[1]), 0):
            pass
    with pytest.raises(StoreRefused, match="got none for GAME"):
        async with store.read(specs[:1], 0):
            pass


async def test_an_error_of_who_reads_stays_what_it_is(dsn, make_postgres, specs):
    await make_postgres(dsn).open_to_record(specs)
    with pytest.raises(OSError, match="mine"):
        async with make_postgres(dsn).read(specs, 0):
            raise OSError("mine")


async def test_a_database_that_is_away_is_unavailable(make_postgres, specs):
    with pytest.raises(StoreUnavailable):
        async with make_postgres("postgresql://127.0.0.1:1/none").read(specs, 0):
            pass
