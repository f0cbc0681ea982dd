"""What takes long is done in steps: others have their turn in between, and nothing overtakes."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import Sequence

import pytest
from fakes import settle
from line import Line
from trading import T0, Floor, amend, ask, bid, delete_all, market, orders, stop

from fastbook_server.channels.order_channel import Operate, Pressure, Unavailable
from fastbook_server.matching import cancelling, collected, execution, listing, placing
from fastbook_server.matching import exchange as exchange_module
from fastbook_server.matching import pipeline as pipeline_module
from fastbook_server.matching import steps as steps_module
from fastbook_server.matching.pipeline import EXPIRY_CHECK_S
from fastbook_server.values.portions import taken


@pytest.fixture
async def line():
    line = Line()
    yield line
    line.running.cancel()


@pytest.fixture
def busy(line, monkeypatch):
    """A line on which `deleteAll` of ann's ten orders has taken its first step of three orders."""
    monkeypatch.setattr(cancelling, "PORTION", 3)
    line.add(*map(str, range(10)))
    line.pipeline.submit("ann", delete_all("all"))
    return line


async def test_between_two_steps_others_have_their_turn(busy):
    assert busy.pipeline.pressure("bob") is Pressure.WAIT
    assert busy.pipeline.available
    assert len(busy.exchange.markets["COIN"].book) == 7
    busy.clock.advance(0)
    assert busy.pipeline.pressure("bob") is Pressure.NONE
    await busy.stop()
    events = [event for batch in busy.published for event in batch]
    assert [e[3] for e in events if e[0] == "gone"] == list(range(1, 11))
    assert ("all", "deletedAll", 10) in [event[1:] for event in events]


async def test_what_comes_meanwhile_follows_in_its_order(busy):
    busy.pipeline.submit("bob", ask(10, 1, "1"), delete_all("2"))
    busy.pipeline.submit("bob", ask(11, 1, "3"))
    stored = asyncio.ensure_future(busy.pipeline.stored())
    await settle()
    assert busy.exchange.markets["COIN"].seq == 11  # the ten orders and their cancellation
    busy.clock.advance(0)
    assert busy.exchange.markets["COIN"].seq == 14
    assert not stored.done()
    await busy.stop()
    await stored
    refs = [e[1] for batch in busy.published for e in batch if e[0] in ("ann", "bob") and e[1]]
    assert refs[-4:] == ["all", "1", "2", "3"]


async def test_a_stop_waits_for_the_last_step(busy):
    busy.pipeline.submit("bob", ask(10, 1, "later"))
    busy.pipeline.stop()
    await busy.store.attempts(1)
    busy.store.answer()
    await settle()
    assert not busy.running.done()
    busy.clock.advance(0)
    await busy.stop()
    assert ("bob", "later") in [event[:2] for event in busy.published[-1]]


async def test_until_its_last_step_no_time_is_settled_beyond_it(busy):
    await busy.store.attempts(1)
    busy.clock.stamp_ms += 5_000
    busy.store.answer()
    await settle()
    assert busy.told[-1].settled_ms == busy.told[-1].stored_ms == T0


async def test_what_follows_it_in_an_array_is_not_lost(busy):
    busy.clock.advance(0)
    busy.add(*map(str, range(20, 30)))
    busy.pipeline.submit("ann", delete_all("first"), bid(3, 1, "second"), bid(4, 1, "third"))
    busy.pipeline.submit("bob", bid(5, 1, "fourth"))
    busy.clock.advance(0)
    await busy.stop()
    refs = [e[1] for batch in busy.published for e in batch if e[0] in ("ann", "bob") and e[1]]
    assert refs[-4:] == ["first", "second", "third", "fourth"]


async def test_orders_expire_after_what_takes_long(busy):
    busy.clock.advance(0)
    busy.pipeline.submit("bob", bid(5, 1, "1", time_in_force="gtt", expire_time=T0 + 1))
    busy.pipeline.submit("ann", *(bid(9, 1) for _ in range(9)), delete_all("again"))
    busy.clock.stamp_ms += 10
    busy.clock.advance(EXPIRY_CHECK_S)
    await busy.stop()
    reasons = [e[5] for batch in busy.published for e in batch if e[0] == "gone"]
    assert reasons == ["user"] * 19 + ["expired"]


async def test_a_mistake_in_a_later_step_stops_the_server(busy):
    busy.exchange.markets["COIN"].book.cancel(10)  # the exchange does not know of it
    busy.clock.advance(0)
    with pytest.raises(Unavailable):
        busy.add("more")
    with pytest.raises(KeyError):
        await busy.stop()


@pytest.mark.parametrize(
    ("user", "command", "least"),
    [
        ("ann", orders("1"), 4),
        ("ann", delete_all("1"), 4),
        ("operator", Operate("cancel"), 8),
        ("operator", Operate("cancel", "COIN", "ann"), 12),
        ("cat", market("ask", 12, "1"), 4),
        ("cat", ask(5, 12, "1"), 4),
        ("bob", amend("1", client_order_id="resting", price=5.0), 4),
        ("cat", market("ask", 1, "1"), 4),
        ("cat", market("ask", None, "1", total=115.0), 4),
    ],
)
def test_whatever_meets_many_orders_takes_as_many_steps(monkeypatch, user, command, least):
    floor, other = Floor(), Floor()
    floor.exchange.markets["COIN"].book.events_at_once = 3
    for each in (floor, other):
        each.do("bob", ask(20, 12, client_order_id="resting"))
        for _ in range(12):
            each.do("bob", stop("ask", 10, 1))
            each.do("ann", bid(10, 1))
    expected = repr(other.do(user, command))
    for module in (cancelling, exchange_module, execution, listing, placing):
        monkeypatch.setattr(module, "PORTION", 3)
    monkeypatch.setattr(cancelling, "GROUPED", 3)
    monkeypatch.setattr(steps_module, "JOINED", 2)
    steps, count = floor.exchange.begin(user, command, floor.now_ms), 0
    assert not isinstance(steps, list)
    events = None
    while events is None:
        count += 1
        try:
            next(steps)
        except StopIteration as end:
            events = end.value
    assert count > least
    assert repr(events) == expected


def test_an_order_through_more_than_a_portion_does_not_match_at_once():
    floor = Floor()
    for _ in range(steps_module.PORTION + 100):
        floor.do("ann", bid(10, 1))
    market = floor.exchange.markets["COIN"]
    begun = floor.exchange.begin("bob", ask(10, steps_module.PORTION + 100), floor.now_ms)
    assert (market.book.unfinished, len(market.open)) == (True, steps_module.PORTION + 100)
    events = steps_module.finished(begun)
    assert (market.book.unfinished, len(market.book), len(market.open)) == (False, 0, 0)
    assert sum(type(e).__name__ == "OrderFilled" for e in events) == steps_module.PORTION + 100


def test_an_iceberg_that_has_grown_again_shows_all_of_its_display():
    floor = Floor()
    floor.do("ann", ask(10, 10, client_order_id="berg", display=5))
    floor.do("ann", amend("1", client_order_id="berg", price=11.0, amount=3.0))
    floor.do("ann", amend("2", client_order_id="berg", amount=20.0))
    book = floor.exchange.markets["COIN"].book
    (resting,) = book
    assert (resting.quantity, resting.display, book.best_ask[1]) == (20, 5, 5)


async def test_what_waits_meanwhile_is_bounded_and_the_rest_is_refused_unchanged(busy):
    room = 1_600  # inbox_commands_max
    pair = (ask(10, 1), ask(10, 1))
    for _ in range(room // 2):
        busy.pipeline.submit("bob", *pair)
    with pytest.raises(Unavailable, match=f"inbox_commands_max {room} reached"):
        busy.pipeline.submit("bob", *pair)
    busy.clock.advance(0)
    busy.pipeline.submit("bob", *pair)
    assert len(busy.exchange.markets["COIN"].book) == 2 * (room // 2) + 2
    await busy.stop()


async def test_what_is_caused_is_sorted_in_steps_into_one_batch(line, monkeypatch):
    """As many turns as it takes; meanwhile nothing of it is committed."""
    monkeypatch.setattr(cancelling, "PORTION", 3)
    monkeypatch.setattr(collected, "SORTED", 4)
    line.add(*map(str, range(10)))
    line.pipeline.submit("ann", delete_all("all"))
    line.clock.advance(0)
    assert line.pipeline.uncommitted_commands == 11
    await line.stop()
    last = line.published[-1]
    assert [e[3] for e in last if e[0] == "gone"] == list(range(1, 11))
    assert [e[1:] for e in last if "deletedAll" in e] == [("all", "deletedAll", 10)]


async def test_a_large_batch_is_told_in_steps_and_nothing_in_between(line, monkeypatch):
    monkeypatch.setattr(pipeline_module, "LARGE_EVENTS", 30)
    heard: list[str] = []

    def take_in_steps(batch):
        for step in range(3):
            heard.append(f"{len(batch.orders)} orders, step {step}")
            yield

    line.batches.subscribe(lambda batch: heard.append(f"{len(batch.orders)} orders"), take_in_steps)
    line.add(*map(str, range(20)))
    while not heard:
        line.store.answer()
        await settle()
    assert heard == [f"40 orders, step {n}" for n in range(3)]  # accepted, and come to rest
    line.pipeline.submit("bob", bid(9, 1, "after"))
    await line.stop()
    assert [h for h in heard[3:] if h != "0 orders"] == ["2 orders"]


async def test_no_idle_mark_comes_between_the_steps_of_a_large_batch(line, monkeypatch):
    monkeypatch.setattr(pipeline_module, "LARGE_EVENTS", 30)
    told: list[int] = []

    def take_in_steps(batch):
        line.clock.stamp_ms += 5_000
        line.clock.advance(5)  # the time of several marks
        yield
        told.append(batch.number)

    line.batches.subscribe(lambda batch: told.append(batch.number), take_in_steps)
    line.add(*map(str, range(20)))
    before = len(told)
    while len(told) == before:
        line.store.answer()
        await settle()
    assert line.told[-1].number == told[-1] == line.told[-2].number + 1
    line.clock.stamp_ms += 5_000
    line.clock.advance(5)
    assert not line.told[-1].orders, "then marks come again"
    await line.stop()


def caused(count: int) -> collected.Collected:
    """Return what so many orders have caused that came to rest."""
    floor, found = Floor(), collected.Collected()
    for n in range(count):
        found.add(floor.do("ann", bid(10, 1, str(n))), T0)
    return found


def held(found: collected.Collected) -> int:
    """Return how many events are held."""
    lists = (found.stored, found.orders, found.trades, found.reports)
    return sum(event is not None for events in lists for event in events)


def test_what_is_stored_and_told_is_handed_on_and_nothing_of_it_copied():
    found = caused(3)
    batch, told = found.batch(1, T0), found.committed(1, T0, T0)
    assert (batch.events, batch.reports) == (found.stored, found.reports)
    assert batch.events is found.stored
    assert batch.reports is told.reports is found.reports
    assert (told.orders is found.orders, told.trades is found.trades) == (True, True)


@pytest.mark.parametrize("before", [2, 5])
def test_of_two_parts_of_a_batch_the_shorter_is_copied(before):
    first, then = caused(before), caused(3)
    both = [*first.reports, *then.reports]
    longer = max(first.reports, then.reports, key=len)
    first.merge(then, takes=True)
    assert first.reports == both
    assert first.reports is longer


def test_what_is_still_needed_is_not_taken():
    first, then = caused(2), caused(5)
    before = [*then.reports]
    first.merge(then)
    assert (then.reports, first.commands) == (before, 7)


def test_events_are_let_go_of_a_portion_at_a_time(monkeypatch):
    monkeypatch.setattr(collected, "JOINED", 4)
    found = caused(10)
    counts = [held(found)]
    for _ in found.let_go():
        counts.append(held(found))
    assert counts[0] == 50, "accepted and rested, each stored and told; reported"
    assert max(before - after for before, after in itertools.pairwise(counts)) == 4
    assert counts[-1] == 0


def test_a_list_is_given_away_in_portions_of_which_it_keeps_none():
    events = list(range(10))
    given = []
    for part in taken(events, 4):
        given.append(part)
        assert not set(part) & set(events)
    assert (given, events) == ([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]], [])


async def test_once_a_large_batch_is_told_its_events_are_let_go_of(line, monkeypatch):
    monkeypatch.setattr(pipeline_module, "LARGE_EVENTS", 30)
    told: list[Sequence[object]] = []
    line.batches.subscribe(lambda batch: told.append(batch.orders))
    line.add(*map(str, range(20)))
    while not told:
        line.store.answer()
        await settle()
    await settle()
    assert told == [[]]
    await line.stop()


def test_the_collector_looks_through_no_list_of_very_many_events():
    """It would visit each of them, whenever it looks at what is young."""
    floor = Floor()
    for _ in range(12):
        floor.do("ann", bid(10, 1))
    for command in (market("ask", 6, "1"), delete_all("2")):
        found = steps_module.finished(floor.exchange.begin("ann", command, floor.now_ms))
        assert not gc.is_tracked(found)
        sorted_ = collected.Collected()
        sorted_.add(found, floor.now_ms)
        lists = (sorted_.stored, sorted_.orders, sorted_.trades, sorted_.reports)
        assert [gc.is_tracked(events) for events in lists] == [False] * 4
