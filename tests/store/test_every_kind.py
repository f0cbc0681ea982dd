"""Every kind of order in SQL: the book at every batch, and a restart that changes nothing."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest
from every_kind import EveryKind
from fakes import T0
from trading import HOUR_MS, SPECS, Floor

from fastbook_server.store.memory import MemoryStore
from fastbook_server.values.events import PRIVATE, OrderReport
from fastbook_server.values.persisted import Batch
from fastbook_wire.words import Status

BATCHES, COMMANDS = 25, 40


class Journal:
    """A floor whose events are committed to stores, batch by batch, with a pause after each."""

    def __init__(self, floor, flow, *stores, pause_ms=0):
        self.floor = floor
        self.flow = flow
        self.stores = stores
        self.pause_ms = pause_ms
        self.number = 0
        self.books = {}

    async def commit(self, commands=COMMANDS):
        """Let commands happen and commit them; note the book of then."""
        seen = len(self.floor.events)
        for _ in range(commands):
            self.floor.now_ms += 1
            self.flow.now_ms = self.floor.now_ms
            self.floor.do(*self.flow.next())
        self.number += 1
        events = tuple(e for e in self.floor.events[seen:] if type(e) not in PRIVATE)
        for store in self.stores:
            batch = Batch(self.number, self.floor.now_ms, events)
            await store.commit(store.prepare(batch))
        market = self.floor.exchange.markets["COIN"]
        self.books[market.seq] = market.book.depth()
        self.floor.now_ms += self.pause_ms


async def book_of(sql, query, *arguments):
    """Return the bids and asks that a query of a book gives, as (ticks, lots)."""
    rows = await sql.fetch(query, *arguments)
    return tuple(
        [(r["price_ticks"], int(r["quantity_lots"])) for r in rows if r["type"] == side]
        for side in ("bid", "ask")
    )


@pytest.mark.parametrize("seed", range(3))
async def test_the_book_of_every_kind_is_known_at_every_moment(make_postgres, dsn, sql, seed):
    store = make_postgres(dsn, checkpoint_every=170)
    past = await store.open(SPECS, 0)
    journal = Journal(Floor(past), EveryKind(seed), store)
    for _ in range(BATCHES):
        await journal.commit()
    market = journal.floor.exchange.markets["COIN"]
    assert len(journal.books) > 20
    for seq, book in journal.books.items():
        assert await book_of(sql, "SELECT * FROM book_at('COIN', $1)", seq) == book
    now = await book_of(sql, "SELECT * FROM agg_order_book WHERE security = 'COIN'")
    assert now == market.book.depth()
    assert await sql.fetchval("SELECT count(*) FROM order_changes") > 50
    held = await sql.fetchval("SELECT count(*) FROM open_orders WHERE held")
    assert held == sum(progress.is_held() for progress in market.open.values()) > 0


@pytest.mark.parametrize("seed", range(3))
async def test_every_store_recovers_the_same_and_the_exchange_goes_on_as_if_nothing_were(
    make_postgres, make_database, seed
):
    dsn, data = await make_database("postgres"), MemoryStore()
    postgres = make_postgres(dsn)
    await data.open(SPECS, 0)
    journal = Journal(Floor(await postgres.open(SPECS, 0)), EveryKind(seed), postgres, data)
    for _ in range(BATCHES):
        await journal.commit()
    again = await make_postgres(dsn).open(SPECS, 0)
    remembered = await data.open(SPECS, 0)
    for name, what in _plain(again).items():
        assert what == _plain(remembered)[name], name
    restarted = Floor(msgspec.structs.replace(again, epoch=1))
    restarted.now_ms = journal.floor.now_ms
    floor, flow = journal.floor, journal.flow
    for _ in range(1_500):
        floor.now_ms += 1
        flow.now_ms = floor.now_ms
        restarted.now_ms = floor.now_ms
        user, command = flow.next()
        assert restarted.do(user, command) == floor.do(user, command)
    assert floor.now_ms > T0


def _plain(past):
    """Return what is recovered, without what differs by design: trades name orders as placed."""
    fields = msgspec.structs.asdict(past) | {"token_key": b"", "epoch": 1}
    fields["last_trades"] = {
        name: [(t.id, t.seq, t.time_ms, t.order.id, t.quantity, t.notional) for t in trades]
        for name, trades in past.last_trades.items()
    }
    return fields


def told_last(floor):
    """Return what was told last of every order, by id."""
    return {
        e.order.id: (e.order, e.status, e.remaining, e.notional, e.reason)
        for e in floor.events
        if isinstance(e, OrderReport)
    }


async def found(history, order_ids):
    """Return the same, from the history."""
    orders = [await history.order(order_id) for order_id in order_ids]
    return {o.order.id: (o.order, o.status, o.remaining, o.notional, o.reason) for o in orders}


@pytest.mark.parametrize(
    ("seqs_first", "pause_ms"),
    [(100, 0), (1, 0), (7, 12 * HOUR_MS)],
    ids=["first window", "many windows", "many days"],
)
async def test_every_order_is_found_by_its_id_as_it_was_told_last(
    make_store, monkeypatch, seqs_first, pause_ms
):
    monkeypatch.setattr("fastbook_server.store.order_rows.SEQS_FIRST", seqs_first)
    store = make_store()
    past = await store.open(SPECS, 0)
    journal = Journal(Floor(past), EveryKind(7), store, pause_ms=pause_ms)
    for _ in range(BATCHES):
        await journal.commit()
    told, history = told_last(journal.floor), store.history(past.instruments)
    assert {state[1] for state in told.values()} == set(get_args(Status)) - {"triggered"}
    assert await found(history, told) == told
    await history.close()
