"""A database that is divided into shards, each recorded by itself, and made one again."""

from __future__ import annotations

import pytest

from fastbook_server.store import StoreFenced, StoreRefused, StoreUnprepared
from fastbook_server.store.postgres import PostgresStore
from fastbook_server.values.events import CancelRuleChanged
from fastbook_server.values.instruments import InstrumentSpec
from fastbook_server.values.persisted import Batch, CancelRule
from fastbook_server.values.shards import Shard, Shards

TWO = Shards([Shard("a", ("BTC-USD",)), Shard("b", ("GAME",))])


@pytest.fixture
async def dsn(make_database):
    return await make_database("postgres")


def shard_of(make_postgres, dsn: str, name: str, shards: Shards = TWO) -> PostgresStore:
    return make_postgres(dsn, shards=shards, shard=name)


async def record(store: PostgresStore, number: int, *events, epoch: int = 1, time_ms: int = 7):
    batch = Batch(number, time_ms, tuple(events), previous=number - 1, epoch=epoch)
    await store.commit(store.prepare(batch))


async def test_each_shard_is_recorded_by_itself(make_postgres, dsn, specs):
    left, right = (shard_of(make_postgres, dsn, name) for name in ("a", "b"))
    await left.open_to_record(specs)
    await right.open_to_record(specs)
    await record(left, 1, epoch=3)
    await record(left, 2, epoch=3)
    await record(right, 1, time_ms=9)
    assert await left.positions() == {"a": (3, 2, 7), "b": (1, 1, 9)}
    assert (await left.position(), await right.position()) == ((3, 2, 7), (1, 1, 9))
    with pytest.raises(StoreFenced, match="expected epoch 3 and batch 0"):
        await record(left, 1, epoch=3)


async def test_a_shard_is_read_with_what_is_its_own(make_postgres, dsn, specs, flow):
    whole = make_postgres(dsn)
    source = flow(await whole.open(specs, 0))
    await whole.commit(whole.prepare(source.batch(200)))
    opened = await make_postgres(dsn).open(specs, 5)
    left = shard_of(make_postgres, dsn, "a")
    await left.open_to_record(specs)
    async with left.read(specs, 5) as (parts, _):
        assert set(parts) == {"a", "b"}
        every = tuple(parts.values())
        assert [[i.security for i in part.instruments] for part in every] == [["BTC-USD"], ["GAME"]]
        assert {(p.epoch, p.batch_no, p.time_ms) for p in every} == {(2, 1, opened.time_ms)}
        for name in ("open_orders", "client_orders"):
            mine = {known.order.id for part in every for known in getattr(part, name)}
            assert mine == {known.order.id for known in getattr(opened, name)}
            assert sum(len(getattr(part, name)) for part in every) == len(mine) > 0
        for name in ("seqs", "fill_ids", "last_trades", "last_prices"):
            joined = getattr(parts["a"], name) | getattr(parts["b"], name)
            assert joined == getattr(opened, name)


async def test_each_shard_keeps_the_rules_of_users_and_one_server_the_last_of_them(
    make_postgres, dsn, specs
):
    whole = make_postgres(dsn)
    past = await whole.open(specs, 0)
    await record(whole, past.batch_no + 1, CancelRuleChanged("ann", 5, 1_000))
    left, right = (shard_of(make_postgres, dsn, name) for name in ("a", "b"))
    await left.open_to_record(specs)
    await record(left, 2, CancelRuleChanged("ann", None, None), CancelRuleChanged("bob", 1, None))
    await record(right, 2, CancelRuleChanged("ann", 5, 1_003))
    async with right.read(specs, 0) as (parts, _):
        assert parts["a"].cancel_rules == {"bob": CancelRule(1)}
        assert parts["b"].cancel_rules == {"ann": CancelRule(5, 1_003)}
    again = await make_postgres(dsn).open(specs, 0)
    assert again.cancel_rules == {"ann": CancelRule(5, 1_003), "bob": CancelRule(1)}


async def test_a_server_that_starts_makes_it_one_and_fences_every_shard(make_postgres, dsn, specs):
    left, right = (shard_of(make_postgres, dsn, name) for name in ("a", "b"))
    await left.open_to_record(specs)
    for number in (1, 2, 3):
        await record(right, number, epoch=4)
    past = await make_postgres(dsn).open(specs, 0)
    assert (past.epoch, past.batch_no) == (5, 3)
    assert [i.security for i in past.instruments] == [spec.security for spec in specs]
    for store in (left, right):
        with pytest.raises(StoreFenced, match="got no row"):
            await record(store, 4, epoch=4)


async def test_it_can_be_divided_otherwise_once_it_is_one_again(make_postgres, dsn, specs):
    await shard_of(make_postgres, dsn, "a").open_to_record(specs)
    other = Shards([Shard("x", ("GAME",)), Shard("y", ("BTC-USD",))])
    with pytest.raises(StoreRefused, match="expected shards a, b, as the database is divided"):
        await shard_of(make_postgres, dsn, "x", other).open_to_record(specs)
    with pytest.raises(StoreRefused, match=r"expected shards a, b, .*stop fastbook serve"):
        await make_postgres(dsn).open_to_record(specs)
    turned = Shards([Shard("a", ("GAME",)), Shard("b", ("BTC-USD",))])
    with pytest.raises(StoreRefused, match=r"BTC-USD: expected shard a, .* got b"):
        await shard_of(make_postgres, dsn, "a", turned).open_to_record(specs)
    await make_postgres(dsn).open(specs, 0)
    store = shard_of(make_postgres, dsn, "x", other)
    assert await store.former_shards() == ["main"]
    await store.open_to_record(specs)
    assert await store.former_shards() == []


async def test_a_new_security_joins_the_shard_that_it_is_said_to(make_postgres, dsn, specs, sql):
    await shard_of(make_postgres, dsn, "a").open_to_record(specs)
    more = (*specs, InstrumentSpec.parse("NEW:1:1"))
    wider = Shards([Shard("a", ("BTC-USD",)), Shard("b", ("GAME", "NEW"))])
    reader = shard_of(make_postgres, dsn, "b", wider)
    with pytest.raises(StoreUnprepared, match="does not know NEW yet"):
        async with reader.read(more, 0):
            pass
    await reader.open_to_record(more)
    found = await sql.fetch("SELECT security, shard FROM markets ORDER BY 1")
    assert [tuple(row) for row in found] == [("BTC-USD", "a"), ("GAME", "b"), ("NEW", "b")]


async def test_who_reads_waits_until_it_is_divided_so(make_postgres, dsn, specs):
    await make_postgres(dsn).open_to_record(specs)
    with pytest.raises(StoreUnprepared, match="expected shards a, b, got main"):
        async with shard_of(make_postgres, dsn, "a").read(specs, 0):
            pass


async def test_a_database_with_accounts_is_not_divided(make_postgres, dsn, specs):
    store = make_postgres(dsn)
    await store.open(specs, 0)
    accounts = store.account_book()
    await accounts.provide("maker", {"USD": "100"})
    await accounts.close()
    with pytest.raises(StoreRefused, match="expected a database without accounts for 2 shards"):
        await shard_of(make_postgres, dsn, "a").open_to_record(specs)
