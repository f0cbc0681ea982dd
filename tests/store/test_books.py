"""The books in SQL, now and at any moment of the past, equal a fold of the events."""

from __future__ import annotations

import random
from collections import defaultdict
from fractions import Fraction

import asyncpg
import pytest

from fastbook_server.store.days import DAY_MS
from fastbook_server.values.events import OrderAccepted, OrderCancelled, OrderFilled, OrderRested
from fastbook_server.values.instruments import InstrumentSpec
from fastbook_wire.grid import Grid


def fold(events):
    """Return {security: {seq: {(side, price): quantity}}}: the book after each command."""
    books = defaultdict(lambda: defaultdict(int))
    past = defaultdict(lambda: {0: {}})
    for event in events:
        if isinstance(event, OrderAccepted):
            security, seq = event.order.instrument.security, event.order.seq
        elif isinstance(event, OrderFilled):
            maker = event.maker
            security, seq = maker.instrument.security, event.seq
            books[security][maker.side, maker.price] -= event.quantity
        elif isinstance(event, OrderRested):
            order = event.order
            security, seq = order.instrument.security, order.seq
            books[security][order.side, order.price] += event.remaining
        elif isinstance(event, OrderCancelled):
            order = event.order
            security, seq = order.instrument.security, event.seq
            if event.rested:
                books[security][order.side, order.price] -= event.quantity
        else:
            continue
        past[security][seq] = {level: left for level, left in books[security].items() if left}
    return past


def rows(instrument, levels):
    """Return a book's rows as SQL gives them: bids first, the best first within each side."""
    found = []
    for side, sign in (("bid", -1), ("ask", 1)):
        prices = sorted((price for s, price in levels if s == side), key=lambda p: sign * p)
        for price in prices:
            lots = levels[side, price]
            found.append(
                (
                    side, instrument.tick.number(price), instrument.lot.number(lots),
                    instrument.total(price * lots), price, lots,
                )
            )  # fmt: skip
    return found


@pytest.mark.parametrize("checkpoint_every", [0, 1, 7, 100_000])
async def test_the_books_equal_the_events(make_postgres, dsn, sql, specs, flow, checkpoint_every):
    store = make_postgres(dsn, checkpoint_every=checkpoint_every)
    source = flow(await store.open(specs, 0), seed=checkpoint_every)
    for _ in range(12):
        await store.commit(store.prepare(source.batch(source.random.randrange(1, 40))))
        past = fold(source.past)
        for instrument in source.instruments:
            name = instrument.security
            view = await sql.fetch(
                "SELECT type, price, amount, total, price_ticks, quantity_lots"
                " FROM agg_order_book WHERE security = $1", name,
            )  # fmt: skip
            seq = source.seqs[name]
            assert [tuple(row) for row in view] == rows(instrument, past[name].get(seq, {}))
    for instrument in source.instruments:
        name = instrument.security
        assert len(past[name]) == source.seqs[name] + 1  # gap-free, and 0 is before all
        for seq, levels in past[name].items():
            book = await sql.fetch("SELECT * FROM book_at($1, $2)", name, seq)
            assert [tuple(row) for row in book] == rows(instrument, levels), (name, seq)
        for beyond in (seq + 1, -1, None):
            with pytest.raises(asyncpg.RaiseError, match=f"from 0 to {seq}, got"):
                await sql.fetch("SELECT * FROM book_at($1, $2)", name, beyond)
    kept = await sql.fetchval("SELECT count(*) FROM book_checkpoints")
    assert kept == 0 if checkpoint_every in (0, 100_000) else kept > 10
    with pytest.raises(asyncpg.RaiseError, match="there is no security NONE"):
        await sql.fetch("SELECT * FROM book_at('NONE', 5)")


async def test_a_quiet_market_keeps_its_book_once_a_day(make_postgres, dsn, sql, specs, flow):
    store = make_postgres(dsn)
    source = flow(await store.open(specs, 0))
    books = {}
    for day in range(12):
        if day == 6:  # a store that has just started does not know that the day has begun
            await store.open(specs, 0)
        await store.commit(store.prepare(source.batch(9)))
        books |= {(name, seq): fold(source.past)[name][seq] for name, seq in source.seqs.items()}
        source.time_ms += DAY_MS
    days = await sql.fetch(
        "SELECT d.security, d.time, count(c.seq) AS kept FROM days AS d"
        " LEFT JOIN book_checkpoints AS c ON c.security = d.security AND c.seq >= d.seq"
        "   AND c.time >= d.time AND c.time < d.time + 86400000"
        " WHERE d.seq > 1 GROUP BY 1, 2"
    )
    assert len(days) > 15
    assert {row["kept"] for row in days} == {1}
    grids = {instrument.security: instrument for instrument in source.instruments}
    for (name, seq), levels in books.items():
        book = await sql.fetch("SELECT * FROM book_at($1, $2)", name, seq)
        assert [tuple(row) for row in book] == rows(grids[name], levels), (name, seq)


async def test_a_checkpoint_of_an_empty_book_is_a_start_too(make_postgres, dsn, sql, specs, flow):
    store = make_postgres(dsn, checkpoint_every=1)
    source = flow(await store.open(specs, 0))
    btc = source.instruments[0]
    given = {"exec_type": "limit", "time_in_force": "gtc", "side": "bid", "price": 3, "quantity": 4}
    for events in (
        source.add(btc, **given),
        source.cancel(list(source.resting)),
        source.add(btc, **given),
    ):
        await store.commit(store.prepare(source.close_batch(events)))
    kept = await sql.fetch("SELECT seq, quantity_lots FROM book_checkpoints ORDER BY seq")
    assert [(row[0], list(map(int, row[1]))) for row in kept] == [(1, [4]), (2, []), (3, [4])]
    assert await sql.fetch("SELECT * FROM book_at('BTC-USD', 2)") == []


@pytest.mark.parametrize(
    "step", ["0.01", "1e-8", "3", "0.1", "0.25", "7.3", "1e-12", "999999999999"]
)
async def test_numbers_become_steps_as_exactly_as_in_python(make_postgres, dsn, sql, specs, step):
    await make_postgres(dsn).open(specs, 0)
    grid, pick = Grid.parse(step), random.Random(step)
    units = [2**52 - k for k in range(50)] + [2**50 + k for k in range(-9, 9)]
    units += [pick.randrange(1, 2 ** pick.randrange(1, 53)) for _ in range(400)]
    numbers = [grid.number(n) for n in units]
    assert [grid.units(number) for number in numbers] == units
    for function in ("units", "units_exactly"):
        found = await sql.fetch(
            f"SELECT {function}(v, $2::text::numeric) FROM unnest($1::float8[]) AS v", numbers, step
        )
        assert [row[0] for row in found] == units, function


async def test_a_total_is_the_nearest_double(make_postgres, dsn, sql, flow):
    """The view multiplies exact decimals and rounds once, as ``Instrument.total`` does."""
    spec = InstrumentSpec.parse("ODD:0.0000073:0.00000011")
    store = make_postgres(dsn)
    source = flow(await store.open([spec], 0))
    odd, pick = source.instruments[0], random.Random(3)
    events = []
    for _ in range(200):
        events += source.add(
            odd, side="bid", exec_type="limit", time_in_force="gtc",
            price=pick.randrange(1, 2**52), quantity=pick.randrange(1, 2**52),
        )  # fmt: skip
    await store.commit(store.prepare(source.close_batch(events)))
    found = await sql.fetch("SELECT price_ticks, quantity_lots, total FROM agg_order_book")
    assert len(found) == 200
    for price, lots, total in found:
        exact = Fraction(spec.tick.step) * Fraction(spec.lot.step) * price * int(lots)
        assert total == float(exact) == odd.total(price * int(lots))
