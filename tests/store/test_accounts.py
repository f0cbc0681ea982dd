"""Accounts in a database: keys, deposits that a batch takes in, balances that SQL can check."""

from __future__ import annotations

from decimal import Decimal

import asyncpg
import pytest
from fakes import T0

from fastbook_server.channels.order_channel import Deposit
from fastbook_server.matching.exchange import Exchange
from fastbook_server.store import StoreRefused, StoreUnavailable
from fastbook_server.store.accounts import add_in_memory, new_account
from fastbook_server.store.memory import MemoryStore
from fastbook_server.store.postgres_accounts import PostgresAccounts, account_desk
from fastbook_server.values.events import PRIVATE
from fastbook_server.values.instruments import InstrumentSpec
from fastbook_server.values.persisted import Batch
from fastbook_wire.commands import Add, NewOrder

PAIRS = (InstrumentSpec.parse("BTC-USDT:0.01:0.00001"),)
ALICE, NATIVE = "api#alice", "user#native"
AWAY = "postgresql://nobody@127.0.0.1:1/nothing"


def order(side, price, amount):
    terms = {"exec_type": "limit", "price": price, "security": "BTC-USDT"}
    return Add(order=NewOrder(type=side, amount=amount, **terms))


async def test_a_database_knows_its_accounts_before_any_server_ran_on_it(make_database):
    dsn = await make_database("postgres")
    async with account_desk(dsn) as desk:
        account = await desk.add("alice", {"USDT": "100.5", "BTC": "2"})
        await desk.deposit("alice", {"USDT": "1"})
        with pytest.raises(StoreRefused, match="is or was another account's"):
            await desk.add("alice", {})
        for name, amounts in (("A", {}), ("bob", {"USDT": "-1"}), ("bob", {"USDT": "0"})):
            with pytest.raises(StoreRefused):
                await desk.add(name, amounts)
        rotated = await desk.rotate("alice")
        assert rotated.key != account.key
        (held,) = await desk.list()
        assert held.account == rotated
        assert held.balances == {"BTC": (2, 0), "USDT": (Decimal("101.5"), 0)}
        await desk.remove("alice")
        assert await desk.list() == []
        with pytest.raises(StoreRefused, match="no account"):
            await desk.rotate("alice")
        assert account.secret not in repr(account)


async def test_balances_are_part_of_the_batch_and_agree_with_fills(
    make_postgres, make_database, sql_of
):
    dsn = await make_database("postgres")
    store = make_postgres(dsn)
    past = await store.open(PAIRS, 0)
    async with account_desk(dsn) as desk:
        await desk.add("alice", {"USDT": "1000"})
    book = store.account_book()
    (pending,) = (await book.read()).deposits
    exchange, events = Exchange(past, accounts=True), []
    for user, command in (
        (ALICE, Deposit(pending.number, pending.asset, pending.amount)),
        (NATIVE, order("ask", 100.01, 0.3)),
        (ALICE, order("bid", 101.0, 2.0)),
    ):
        events += exchange.apply(user, command, T0)
    stored = tuple(e for e in events if type(e) not in PRIVATE)
    await store.commit(store.prepare(Batch(1, T0, stored)))
    assert (await book.read()).deposits == []
    sql = await sql_of(dsn)
    rows = await sql.fetch("SELECT * FROM account_balances ORDER BY asset")
    assert [(r["asset"], r["free"], r["locked"], r["total"] - r["expected"]) for r in rows] == [
        ("BTC", Decimal("0.3"), 0, 0),
        ("USDT", Decimal("798.297"), Decimal("171.7"), 0),
    ]
    again = Exchange(await store.open(PAIRS, 0))
    refused = again.apply(ALICE, order("bid", 800.0, 1.0), T0)
    assert [e.code for e in refused] == ["insufficient_balance"]
    async with account_desk(dsn) as desk:
        (held,) = await desk.list()
    assert held.balances["USDT"] == (Decimal("798.297"), Decimal("171.7"))
    with pytest.raises(asyncpg.CheckViolationError):
        await sql.execute("UPDATE balances SET total = -1")
    await book.close()
    events = again.apply(NATIVE, order("ask", 101.0, 0.1), T0 + 1)
    stored = tuple(e for e in events if type(e) not in PRIVATE)
    await store.commit(store.prepare(Batch(2, T0 + 1, stored)))
    (btc,) = await sql.fetch("SELECT total - expected FROM account_balances WHERE asset = 'BTC'")
    assert btc[0] == 0, "also without a deposit in the batch"


async def test_a_database_in_memory_has_accounts_too():
    store, account = MemoryStore(), new_account("alice", now_ms=T0)
    add_in_memory(store.data, account, {"USDT": "5"})
    book = store.account_book()
    seen = await book.read()
    assert seen.accounts == [account]
    assert [(d.user_id, d.asset, d.amount) for d in seen.deposits] == [(ALICE, "USDT", "5")]
    for asset, amount in (("US D", "1"), ("", "1"), ("USDT", "x"), ("USDT", "0.123456789")):
        with pytest.raises(StoreRefused):
            add_in_memory(store.data, account, {asset: amount})
    await book.close()


async def test_an_account_is_provided_once(make_postgres, make_database):
    dsn = await make_database("postgres")
    for store in (make_postgres(dsn), MemoryStore()):
        await store.open(PAIRS, 0)
        book = store.account_book()
        first = await book.provide("bot", {"USDT": "5"})
        assert await book.provide("bot", {"USDT": "7"}) == first
        seen = await book.read()
        assert seen.accounts == [first]
        assert [float(d.amount) for d in seen.deposits] == [5]
        await book.close()
    book = PostgresAccounts(dsn)
    async with account_desk(dsn) as desk:
        await desk.remove("bot")
    with pytest.raises(StoreRefused, match="is or was another account's"):
        await book.provide("bot", {})
    await book.close()


async def test_a_database_that_is_away_is_said(monkeypatch):
    book = PostgresAccounts(AWAY)
    with pytest.raises(StoreUnavailable):
        await book.read()
    with pytest.raises(StoreUnavailable):
        async with account_desk(AWAY):
            pass

    async def broken(_):
        raise ZeroDivisionError

    monkeypatch.setattr("fastbook_server.store.postgres_accounts._connect", broken)
    with pytest.raises(ZeroDivisionError):
        await book.read()
