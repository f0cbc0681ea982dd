"""The single writer: match, commit, publish; one commit in flight, nothing guessed or lost."""

from __future__ import annotations

import asyncio

import pytest
from fakes import settle
from line import Line
from trading import T0, ask, bid, delete, market, orders

from fastbook_server.channels.order_channel import Pressure, Unavailable
from fastbook_server.matching import commits
from fastbook_server.matching.pipeline import EXPIRY_CHECK_S
from fastbook_server.store import StoreBroken, StoreFenced, StoreUnavailable


@pytest.fixture
async def line():
    line = Line()
    yield line
    line.running.cancel()


@pytest.fixture(autouse=True)
def _no_delays(monkeypatch):
    monkeypatch.setattr(commits, "RETRY_DELAY_FIRST_S", 0.0)


async def test_nothing_is_published_before_its_commit(line):
    line.add("1")
    await line.store.attempts(1)
    await settle()
    assert line.published == []
    line.store.answer()
    await settle()
    assert line.published == [
        [("accepted", 1), ("rested", 1, 1, 0, 1), ("ann", "1", "open", 1, 1, 0)]
    ]


async def test_what_arrives_during_a_commit_is_the_next_batch(line):
    line.add("1")
    await line.store.attempts(1)
    line.add("2", "3")
    await settle()
    assert len(line.store.started) == 1, "one commit at a time"
    line.store.answer()
    await line.store.attempts(2)
    assert line.replies() == [["1"]]
    line.add("4")
    line.store.answer()
    await line.store.attempts(3)
    line.store.answer()
    await settle()
    assert line.replies() == [["1"], ["2", "3"], ["4"]]
    assert [(b.number, len(b.events)) for b in line.store.prepared] == [(8, 2), (9, 4), (10, 2)]


async def test_a_batch_closes_at_its_bound():
    line = Line(batch_commands_max=2)
    line.add("1", "2", "3", "4", "5")
    await line.stop()
    assert line.replies() == [["1", "2"], ["3", "4"], ["5"]]


async def test_what_is_submitted_together_shares_a_batch_even_beyond_its_bound():
    line = Line(batch_commands_max=2)
    line.add("1")
    line.pipeline.submit("ann", bid(10, 1, "2"), orders("3"), bid(10, 1, "4"))
    line.add("5")
    await line.stop()
    assert line.replies() == [["1", "2", "3", "4"], ["5"]]


async def test_what_is_submitted_together_is_taken_whole_or_not_at_all():
    line = Line(uncommitted_events_max=3)
    line.pipeline.submit("ann", *(bid(10, 1, ref) for ref in "1234"))
    with pytest.raises(Unavailable, match="uncommitted_events_max 3 reached"):
        line.pipeline.submit("ann", delete("5", id="x"), delete("6", id="x"))
    await line.stop()
    assert line.replies() == [["1", "2", "3", "4"]]


async def test_the_very_same_prepared_batch_is_retried_until_its_outcome_is_known(line):
    line.add("1")
    for attempt in (1, 2, 3):
        await line.store.attempts(attempt)
        line.store.answer(StoreUnavailable("cut"))
    await line.store.attempts(4)
    line.add("2")
    assert (line.published, line.pipeline.available) == ([], False)
    line.store.answer()
    await line.store.attempts(5)
    assert (line.replies(), line.pipeline.available) == ([["1"]], True)
    assert len({id(p) for p in line.store.started[:4]}) == 1
    assert [b.number for b in line.store.prepared] == [8, 9]


async def test_the_delay_between_retries_grows_to_its_bound(line, monkeypatch):
    delays = []
    real_sleep = asyncio.sleep

    async def sleep(delay, *_):
        if delay:
            delays.append(delay)
        await real_sleep(0)

    monkeypatch.setattr(commits, "RETRY_DELAY_FIRST_S", 0.05)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    line.add("1")
    for _ in range(8):
        line.store.answer(StoreUnavailable("cut"))
    line.store.answer()
    await line.store.attempts(9)
    assert delays == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


async def test_refusals_leave_in_order_with_their_batch(line):
    line.add("1")
    await line.store.attempts(1)
    line.pipeline.submit("ann", bid(1.5, 1, "2"))
    line.pipeline.submit("ann", orders("3"))
    line.add("4")
    line.pipeline.submit("ann", delete("5", id="x"))
    await settle()
    assert line.published == []
    line.store.answer()
    await line.store.attempts(2)
    assert line.replies() == [["1"]]
    line.store.answer()
    await settle()
    assert line.replies() == [["1"], ["2", "3", "4", "5"]]


async def test_refusals_alone_need_no_transaction(line):
    line.pipeline.submit("ann", bid(1.5, 1, "1"))
    line.pipeline.submit("ann", orders("2"))
    await settle()
    assert (line.replies(), line.store.prepared) == ([["1", "2"]], [])
    line.add("3")
    await line.store.attempts(1)
    assert line.store.prepared[0].number == 8


async def test_the_bound_of_uncommitted_events_refuses_at_once_and_recovers_by_itself():
    line = Line(uncommitted_events_max=6)  # three events for each order that comes to rest
    line.add("1", "2")
    with pytest.raises(Unavailable, match="uncommitted_events_max 6 reached") as refused:
        line.add("3")
    assert (refused.value.code, refused.value.retry_after_ms) == ("unavailable", 1_000)
    assert line.exchange.markets["COIN"].seq == 2, "what is refused is not matched"
    line.store.answer(StoreUnavailable("away"))
    await line.store.attempts(2)
    with pytest.raises(Unavailable):
        line.add("4")
    line.store.answer()
    await settle()
    line.add("5")
    await line.stop()
    assert line.replies() == [["1", "2"], ["5"]]


async def test_a_list_of_orders_weighs_what_it_carries():
    """Else one user with many open orders could fill the memory with a run of small commands."""
    line = Line(uncommitted_events_max=50)
    line.add(*"123456789")
    line.store.answer()
    await settle()
    for ref in "abcde":
        line.pipeline.submit("ann", orders(ref))
    with pytest.raises(Unavailable):
        line.pipeline.submit("ann", orders("f"))
    await settle()
    assert line.replies() == [list("123456789"), list("abcde")]
    line.pipeline.submit("ann", orders("g"))
    await line.stop()


async def test_a_sender_of_much_waits_while_the_database_is_there():
    line = Line(inbox_commands_max=4, batch_commands_max=1)
    pressure = line.pipeline.pressure
    line.add("1")
    assert pressure("ann") is Pressure.NONE
    line.add("2")
    assert pressure("ann") is Pressure.WAIT
    assert pressure("bob") is Pressure.NONE, "there is room for others"
    await line.store.attempts(1)
    waiting = asyncio.ensure_future(line.pipeline.progress())
    await settle()
    assert not waiting.done()
    line.store.answer()
    await waiting
    assert pressure("ann") is Pressure.NONE
    line.add("3")
    assert pressure("ann") is Pressure.WAIT
    line.clock.advance(commits.STALL_S + 0.1)
    assert (pressure("ann"), line.pipeline.available) == (Pressure.NONE, False)
    await line.stop()


async def test_the_commands_of_a_crowd_count_until_they_are_durable():
    line = Line(inbox_commands_max=10, batch_commands_max=3)
    pressure = line.pipeline.pressure
    for n in range(8):
        line.pipeline.submit(f"user{n}", bid(10, 1, "r"), bid(10, 1, "s"))
    await line.store.attempts(1)
    assert {pressure(f"user{n}") for n in range(8)} == {Pressure.ALL}
    assert pressure("new") is Pressure.ALL
    for _ in range(3):
        assert pressure("user7") is not Pressure.NONE
        line.store.answer()
        await settle()
    assert pressure("new") is Pressure.NONE
    assert line.pipeline.retry_after_ms() >= 1
    await line.stop()


async def test_stamps_never_go_back():
    line = Line(time_ms=T0 + 5)
    for now_ms in (T0, T0 + 9, T0 + 7):
        line.clock.stamp_ms = now_ms
        line.add("x")
    await line.stop()
    times = [e.order.time_ms for b in line.store.prepared for e in b.events]
    assert times == [T0 + t for t in (5, 5, 9, 9, 9, 9)]
    assert line.store.prepared[-1].time_ms == T0 + 9


async def test_orders_come_before_trades_and_a_batch_ends_with_its_mark(line):
    line.pipeline.submit("bob", ask(10, 2))
    line.pipeline.submit("ann", market("bid", 1, "1"))
    line.pipeline.submit("ann", market("bid", 1, "2"))
    line.store.answer()
    await settle()
    (batch,) = line.published
    assert [e[0] for e in batch if e[0] in ("accepted", "fill", "trade")] == [
        *("accepted", "accepted", "fill", "accepted", "fill", "trade", "trade"),
    ]


async def test_stop_commits_and_publishes_what_was_taken_and_refuses_the_rest(line):
    line.add("1")
    await line.store.attempts(1)
    line.add("2")
    line.pipeline.stop()
    assert not line.pipeline.available
    with pytest.raises(Unavailable, match="stopping"):
        line.add("3")
    line.store.answer(StoreUnavailable("cut"))
    line.store.answer()
    line.store.answer()
    await line.running
    assert line.replies() == [["1"], ["2"]]
    assert line.pipeline.uncommitted_commands == 0


async def test_an_idle_server_notices_that_its_database_is_away_or_taken():
    line = Line(idle_check_s=0.001)
    await line.store.attempts(1)
    assert [list(b.events) for b in line.store.prepared] == [[]]
    line.store.answer(StoreUnavailable("cut"))
    await line.store.attempts(2)
    assert not line.pipeline.available
    line.store.answer()
    await line.store.attempts(3)
    assert line.pipeline.available
    line.store.answer(StoreFenced("taken"))
    with pytest.raises(StoreFenced):
        await line.running


@pytest.mark.parametrize("answered", [False, True], ids=["hanging", "refused"])
async def test_who_stops_with_nothing_to_commit_waits_for_no_database(answered):
    line = Line(idle_check_s=0.001)
    await line.store.attempts(1)
    if answered:
        line.store.answer(StoreUnavailable("away"))
    line.pipeline.stop()
    await asyncio.wait_for(line.running, 10)


async def test_who_stops_while_the_database_is_looked_at_commits_what_came_meanwhile():
    line = Line(idle_check_s=0.001)
    await line.store.attempts(1)
    line.add("1")
    line.pipeline.stop()
    await settle()
    assert not line.running.done()
    await line.stop()
    assert line.replies() == [["1"]]


@pytest.mark.parametrize("error", [StoreFenced("taken"), StoreBroken("42P01")])
async def test_a_database_that_is_lost_for_good_ends_the_run_unpublished(line, error):
    line.add("1")
    line.store.answer(error)
    with pytest.raises(type(error)):
        await line.running
    assert (line.published, line.pipeline.available) == ([], False)
    with pytest.raises(Unavailable):
        line.add("2")


async def test_a_bug_in_the_matcher_ends_the_run_after_what_was_whole_is_committed(line):
    """What the books did before they failed is unknown: only a rebuild from SQL is right."""
    line.add("1")
    await line.store.attempts(1)
    line.add("2")
    line.exchange.markets["COIN"].open.clear()
    with pytest.raises(Unavailable):
        line.pipeline.submit("bob", market("ask", 1, "3"))
    assert not line.pipeline.available
    line.store.answer()
    line.store.answer()
    with pytest.raises(KeyError):
        await line.running
    assert line.replies() == [["1"], ["2"]]


async def test_relaxed_publishes_at_once_and_lets_the_database_follow():
    line = Line(durability="relaxed")
    line.add("1", "2")
    assert line.published == []
    line.clock.advance(0)
    assert line.replies() == [["1", "2"]]
    await line.store.attempts(1)
    line.add("3")
    line.clock.advance(0)
    assert line.replies() == [["1", "2"], ["3"]]
    await line.stop()
    assert [len(b.events) for b in line.store.prepared] == [4, 2]
    assert line.replies() == [["1", "2"], ["3"]]
    line.clock.advance(5)
    assert line.replies() == [["1", "2"], ["3"]]


async def test_relaxed_stops_without_losing_what_was_not_yet_published():
    line = Line(durability="relaxed")
    line.add("1")
    await line.stop()
    assert line.replies() == [["1"]]
    line.clock.advance(1)
    assert line.replies() == [["1"]]


# ---- how far time is settled ---------------------------------------------------------------------


def horizons(line) -> list[tuple[int, int, int]]:
    """Return number, settled and stored time of each message so far; forget them."""
    told = [(b.number, b.settled_ms - T0, b.stored_ms - T0) for b in line.told]
    line.told.clear()
    return told


async def test_a_batch_settles_the_time_up_to_the_oldest_command_that_is_not_durable(line):
    await settle()
    assert horizons(line) == [(7, 0, 0)]
    line.clock.stamp_ms = T0 + 10
    line.add("1")
    line.clock.stamp_ms = T0 + 20
    await line.store.attempts(1)
    line.add("2")
    line.clock.stamp_ms = T0 + 30
    line.clock.advance(5)
    assert horizons(line) == [(7, 10, 10)], "one is in flight"
    line.store.answer()
    await line.store.attempts(2)
    assert horizons(line) == [(8, 20, 20)]
    line.store.answer()
    await settle()
    assert horizons(line) == [(9, 30, 30)]


async def test_a_batch_that_is_full_but_not_begun_counts_too():
    line = Line(batch_commands_max=1)
    line.add("1")
    line.clock.stamp_ms = T0 + 10
    line.add("2")
    line.clock.stamp_ms = T0 + 20
    await line.store.attempts(1)
    line.store.answer()
    await line.store.attempts(2)
    await line.stop()
    assert horizons(line) == [(7, 0, 0), (8, 10, 10), (9, 20, 20)]


async def test_settled_time_holds_when_the_clock_goes_back(line):
    await settle()
    line.clock.stamp_ms = T0 + 10
    line.clock.advance(1)
    line.clock.stamp_ms = T0
    line.clock.advance(1)
    assert horizons(line) == [(7, 0, 0), (7, 10, 10)]
    line.add("1")
    await line.store.attempts(1)
    assert line.store.prepared[0].events[0].order.time_ms == T0 + 10


async def test_relaxed_is_settled_before_it_is_stored():
    line = Line(durability="relaxed")
    line.add("1")
    line.clock.stamp_ms = T0 + 10
    line.clock.advance(0)
    assert horizons(line) == [(7, 10, 0)]
    await line.store.attempts(1)
    line.clock.advance(1)
    assert horizons(line) == []
    line.store.answer()
    await settle()
    line.clock.advance(1)
    assert horizons(line) == [(8, 10, 10)]
    await line.stop()


async def test_idle_marks_come_at_whole_seconds_and_after_a_minute_at_whole_minutes():
    line = Line()
    await settle()
    line.told.clear()
    seen = []
    line.batches.subscribe(lambda batch: seen.append(batch.settled_ms - T0))
    for ms in range(250, 400_000, 250):
        line.clock.stamp_ms = T0 + ms
        line.clock.advance(0.25)
    minutes = [s for s in seen if s > 61_000]
    assert [s for s in seen if s <= 61_000] == [1_000 * n for n in range(1, 62)]
    assert minutes == [120_000, 180_000, 240_000, 300_000, 360_000]
    assert {len(b.orders) + len(b.trades) + len(b.reports) for b in line.told} == {0}
    line.add("1")
    line.store.answer()
    await settle()
    seen.clear()
    for ms in range(400_000, 403_250, 250):
        line.clock.stamp_ms = T0 + ms
        line.clock.advance(0.25)
    assert seen == [400_000, 401_000, 402_000, 403_000], (
        "there was an order: marks come at seconds again"
    )
    await line.stop()
    line.clock.advance(EXPIRY_CHECK_S)
    assert line.clock.pending == 0


# ---- orders that expire -------------------------------------------------------------------------


async def test_an_order_expires_by_the_clock_though_nobody_sends_anything(line):
    line.pipeline.submit("ann", bid(10, 1, "g", expire_time=T0 + 5_000))
    line.pipeline.submit("ann", bid(10, 1, "h", expire_time=T0 + 9_000))
    line.store.answer()
    await line.store.attempts(1)
    line.clock.advance(5)  # the timer fires, but the clock has not got there
    await settle()
    assert len(line.store.started) == 1
    for second in (5, 9):
        line.clock.stamp_ms = T0 + second * 1_000
        line.clock.advance(second)
        line.store.answer()
        await settle()
    gone = [e for batch in line.published for e in batch if e[0] == "gone"]
    assert gone == [
        ("gone", 3, 0, 1, 1, "expired", "book", 1),
        ("gone", 4, 0, 2, 1, "expired", "book", 0),
    ]
    await line.stop()


async def test_an_order_expires_soon_after_the_clock_was_set_forward(line):
    line.pipeline.submit("ann", bid(10, 1, "g", expire_time=T0 + 3_600_000))
    line.store.answer()
    await line.store.attempts(1)
    line.clock.stamp_ms = T0 + 3_600_000
    line.clock.advance(EXPIRY_CHECK_S)
    line.store.answer()
    await settle()
    assert [e[5] for batch in line.published for e in batch if e[0] == "gone"] == ["expired"]
    await line.stop()


async def test_a_batch_bears_the_stamp_of_its_newest_command_not_of_later_ones():
    """A checkpoint of the book bears it too, and what is stamped earlier is not looked at."""
    line = Line(batch_commands_max=1)
    for now_ms in (T0, T0 + 5, T0 + 9):
        line.clock.stamp_ms = now_ms
        line.add("1")
    line.store.answer()
    line.store.answer()
    await line.store.attempts(3)
    await line.stop()
    assert [batch.time_ms for batch in line.store.prepared] == [T0, T0 + 5, T0 + 9]
