"""Books at most so often and the last one always; trades at once; joiners miss nothing."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest
from fakes import FakeClock, FakeReader, unframed
from hall import INTERVAL_S, Hall
from hypothesis import example, given
from hypothesis import strategies as st
from trading import ask, bid, market, recovered

from fastbook_server.gateway import websocket_frames
from fastbook_server.gateway.feeds import book
from fastbook_server.gateway.feeds.audience import Audience, Throttle
from fastbook_server.gateway.market_views import MarketViews
from fastbook_server.gateway.snapshots import Snapshots
from peers import PATIENCE_S

# ---- the throttle --------------------------------------------------------------------------------


@given(
    gaps=st.lists(st.sampled_from((0.0, 0.001, 0.02, 0.05, 0.0999, 0.1, 0.1001, 0.15, 0.3, 5.0))),
    early_s=st.sampled_from((0.0, 0.0005, 0.004)),
)
@example(gaps=[0.0, 0.0999], early_s=0.004)
def test_the_last_change_always_goes_out_and_never_two_in_one_interval(gaps, early_s):
    timers = FakeClock(early_s)
    emitted: list[tuple[float, int]] = []
    changes: list[float] = []
    throttle = Throttle(timers, INTERVAL_S, lambda: emitted.append((timers.time(), len(changes))))
    for gap in gaps:
        timers.advance(gap)
        changes.append(timers.time())
        throttle.changed()
    timers.advance(1)
    for number, at in enumerate(changes, start=1):
        assert any(seen >= number and at <= when <= at + 2 * INTERVAL_S for when, seen in emitted)
    times = [when for when, _ in emitted]
    assert all(b - a >= INTERVAL_S - 1e-9 for a, b in itertools.pairwise(times))
    assert timers.pending == 0


def test_the_first_change_goes_out_at_once():
    timers = FakeClock()
    emitted: list[float] = []
    throttle = Throttle(timers, INTERVAL_S, lambda: emitted.append(timers.time()))
    throttle.changed()
    assert emitted == [1000.0]


def test_an_interval_of_0_lets_every_change_through():
    emitted: list[None] = []
    throttle = Throttle(FakeClock(), 0, lambda: emitted.append(None))
    for _ in range(5):
        throttle.changed()
    assert len(emitted) == 5


def test_a_stopped_throttle_emits_nothing_more():
    timers = FakeClock()
    emitted: list[None] = []
    throttle = Throttle(timers, INTERVAL_S, lambda: emitted.append(None))
    throttle.changed()
    throttle.changed()
    throttle.stop()
    timers.advance(1)
    assert len(emitted) == 1


# ---- feeds ---------------------------------------------------------------------------------------


def shape(frame):
    """Return what a frame is about: the number of a book, or of each trade."""
    if frame["event"] == "aggOrderBook":
        return ("book", frame["seq"])
    return ("trades", frame["prevSeq"], *(t["seq"] for t in frame["trades"]))


def shapes(reader):
    return [shape(frame) for frame in reader.take()]


def test_trades_come_at_once_and_before_the_book_of_their_batch():
    hall = Hall()
    reader = hall.join()
    hall.do("bob", ask(10, 9))
    hall.timers.advance(INTERVAL_S)
    hall.do("ann", market("bid", 1), market("bid", 1))
    hall.do("ann", market("bid", 1))
    assert shapes(reader) == [
        ("book", 0),
        ("trades", None),
        ("book", 1),
        ("trades", None, 2, 3),
        ("book", 3),
        ("trades", 3, 4),
    ]
    hall.timers.advance(INTERVAL_S)
    assert shapes(reader) == [("book", 4)]


def test_a_quiet_market_sends_nothing():
    hall = Hall()
    reader = hall.join()
    reader.take()
    hall.do("ann", bid(9, 1, time_in_force="ioc"))
    hall.timers.advance(60)
    assert reader.take() == []
    assert hall.timers.pending == 0


def test_who_left_hears_nothing_more():
    hall = Hall()
    reader = hall.join()
    reader.take()
    hall.do("ann", bid(9, 1))
    hall.do("ann", bid(9, 1))
    hall.feeds.leave(reader, "COIN")
    hall.timers.advance(1)
    assert shapes(reader) == [("book", 1)]


def test_securities_do_not_disturb_each_other():
    hall = Hall()
    coin, fine = hall.join(), FakeReader()
    hall.feeds.join(fine, "FINE", hall.snapshots.build("FINE"))
    coin.take(), fine.take()
    hall.do("ann", bid(9, 1), bid(1, 1, security="FINE"))
    assert [f["security"] for f in coin.take() + fine.take()] == ["COIN", "FINE"]


def test_a_joiner_with_an_old_pair_gets_every_trade_since_and_the_newest_book():
    hall = Hall()
    hall.do("bob", ask(10, 9))
    hall.do("ann", market("bid", 1))
    opening = hall.snapshots.build("COIN")
    hall.timers.advance(1)
    hall.do("ann", market("bid", 1))
    hall.do("ann", market("bid", 1), market("bid", 1))
    hall.timers.advance(1)  # the market has come to rest: no later change will bring a book
    assert shapes(hall.join(opening)) == [
        ("book", 2),
        ("trades", None, 2),
        ("trades", 2, 3),
        ("trades", 3, 4, 5),
        ("book", 5),
    ]


def test_a_joiner_whose_pair_is_older_than_the_kept_trades_gets_a_new_pair(monkeypatch):
    monkeypatch.setattr(book, "HISTORY_BYTES_MAX", 600)
    hall = Hall()
    hall.do("bob", ask(10, 9))
    old = hall.snapshots.build("COIN")
    for _ in range(5):
        hall.do("ann", market("bid", 1))
    hall.timers.advance(1)
    builds = hall.snapshots.builds
    assert shapes(hall.join(old)) == [("book", 6), ("trades", None, 2, 3, 4, 5, 6)]
    assert hall.snapshots.builds == builds + 1


@given(st.lists(st.sampled_from(("trade", "two", "rest", "pair", "join", "wait")), max_size=30))
def test_no_trade_is_lost_or_doubled_whenever_one_joins(script):
    hall = Hall(trades_max=3)
    hall.do("bob", ask(10, 10_000))
    pair = hall.snapshots.build("COIN")
    readers = []
    for step in script:
        if step == "trade":
            hall.do("ann", market("bid", 1))
        elif step == "two":
            hall.do("ann", market("bid", 1), market("bid", 1))
        elif step == "rest":
            hall.do("ann", bid(9, 1))
        elif step == "pair":
            pair = hall.snapshots.build("COIN")
        elif step == "join":
            readers.append(hall.join(pair))
        else:
            hall.timers.advance(0.06)
    hall.timers.advance(1)
    last_seq = hall.floor.exchange.markets["COIN"].seq
    traded = [e.seq for e in hall.floor.events if type(e).__name__ == "Traded"]
    for reader in readers:
        opening_book, opening, *live = reader.take()
        seen = [t["seq"] for t in opening["trades"]]
        prev = seen[-1] if seen else None
        for frame in live:
            if frame["event"] == "trades":
                assert frame["prevSeq"] == prev
                seen += [t["seq"] for t in frame["trades"]]
                assert frame["seq"] == seen[-1]
                prev = frame["seq"]
        assert seen == traded[-len(seen) :] if seen else not traded
        assert traded[-1:] == seen[-1:]
        books = [opening_book["seq"]] + [f["seq"] for f in live if f["event"] == "aggOrderBook"]
        assert books[-1] == last_seq
        assert books == sorted(books)


# ---- slow readers --------------------------------------------------------------------------------


def test_a_reader_that_is_behind_skips_books_and_gets_the_newest_when_it_has_caught_up():
    hall = Hall()
    slow, fast = hall.join(), hall.join()
    slow.take(), fast.take()
    slow.behind = True
    for n in range(3):
        hall.do("ann", bid(9 + n, 1))
        hall.timers.advance(INTERVAL_S)
    assert (shapes(slow), shapes(fast)) == ([], [("book", 1), ("book", 2), ("book", 3)])
    slow.behind = False
    hall.timers.advance(INTERVAL_S)
    assert (shapes(slow), shapes(fast)) == ([("book", 3)], [])
    hall.timers.advance(5)
    assert (shapes(slow), hall.timers.pending) == ([], 0)


def test_a_reader_that_is_behind_is_never_offered_a_book_older_than_its_trades():
    hall = Hall()
    hall.do("bob", ask(10, 9))
    hall.advance(INTERVAL_S)
    slow = hall.join()
    slow.take()
    slow.behind = True
    hall.do("ann", bid(9, 1))  # it misses this book, and is offered one at the interval's end
    hall.do("ann", market("bid", 1))
    slow.behind = False
    hall.advance(INTERVAL_S)
    assert shapes(slow) == [("trades", None, 3), ("book", 3), ("book", 3)]


@pytest.mark.parametrize("interval_s", [0, 0.05, 0.1])
def test_a_reader_never_goes_back_however_often_it_falls_behind_and_whenever_it_joins(interval_s):
    dice = random.Random(interval_s)
    hall = Hall(interval_s=interval_s)
    hall.do("bob", ask(10, 100_000))
    pair = hall.snapshots.build("COIN")
    readers = [hall.join()]
    for _ in range(3_000):
        step = dice.random()
        if step < 0.4:
            hall.do("ann", market("bid", 1))
        elif step < 0.6:
            hall.do("ann", bid(dice.randint(1, 9), 1))
        elif step < 0.62:
            pair = hall.snapshots.build("COIN")
        elif step < 0.64:
            readers.append(hall.join(pair))
        elif step < 0.8:
            dice.choice(readers).behind = dice.random() < 0.5
        else:
            hall.advance(dice.choice((0.001, 0.02, 0.03, 0.1, 0.3)))
    for reader in readers:
        reader.behind = False
    hall.advance(1)
    for reader in readers:
        told = [frame["seq"] for frame in reader.take()]
        assert told == sorted(told)
        assert told[-1] == hall.view.seq


def test_an_offer_is_built_once_for_all_that_are_behind_and_for_nobody_not_at_all():
    timers, built, readers = FakeClock(), [], [FakeReader() for _ in range(3)]

    def newest() -> bytes:
        built.append(timers.time())
        return websocket_frames.text(b"{}")

    audience = Audience(timers, INTERVAL_S, newest)
    for reader in readers:
        audience.join(reader)
        reader.behind = True
    audience.show(b"")
    timers.advance(INTERVAL_S)
    assert len(built) == 1
    for reader in readers[:2]:
        reader.behind = False
    timers.advance(INTERVAL_S)
    assert ([len(r.take()) for r in readers], len(built)) == ([1, 1, 0], 2)
    audience.tell_all_there_is(b"")
    timers.advance(1)
    assert (len(built), timers.pending) == (2, 0)


def test_a_reader_that_leaves_while_it_is_behind_is_forgotten():
    hall = Hall()
    slow = hall.join()
    slow.behind = True
    hall.do("ann", bid(9, 1))
    hall.feeds.leave(slow, "COIN")
    hall.timers.advance(1)
    assert hall.timers.pending == 0


def test_stopped_feeds_send_nothing_more():
    hall = Hall()
    reader = hall.join()
    reader.take()
    hall.do("ann", bid(9, 1))
    hall.do("ann", bid(10, 1))
    hall.feeds.stop()
    hall.timers.advance(1)
    assert shapes(reader) == [("book", 1)]


# ---- snapshots -----------------------------------------------------------------------------------


async def test_a_thousand_who_come_together_cost_one_build():
    data = MarketViews(recovered())
    snapshots = Snapshots(data, 30.0)
    pairs = await asyncio.gather(*(snapshots.opening("COIN") for _ in range(1000)))
    assert (snapshots.builds, len({id(p) for p in pairs})) == (1, 1)
    await snapshots.opening("FINE")
    assert snapshots.builds == 2


async def test_a_pair_is_kept_for_the_interval_and_then_built_anew():
    snapshots = Snapshots(MarketViews(recovered()), 0.02)
    first = await snapshots.opening("COIN")
    async with asyncio.timeout(PATIENCE_S):
        # The cache keeps its time by itself, so all there is to do is to look again.
        while await snapshots.opening("COIN") is first:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert snapshots.builds == 2


async def test_without_an_interval_each_gets_a_pair_of_now():
    snapshots = Snapshots(MarketViews(recovered()), 0)
    await snapshots.opening("COIN")
    await snapshots.opening("COIN")
    assert snapshots.builds == 2


async def test_servers_in_one_process_do_not_share_pairs():
    floors = [MarketViews(recovered(seqs={"COIN": n})) for n in (1, 2)]
    both = [await Snapshots(data, 30.0).opening("COIN") for data in floors]
    assert [pair.seq for pair in both] == [1, 2]


@pytest.mark.parametrize("security", ["COIN", "FINE"])
def test_a_pair_is_one_book_and_one_list_of_trades_at_one_number(security):
    pair = Snapshots(MarketViews(recovered(seqs={"COIN": 7, "FINE": 9})), 0).build(security)
    assert [(f["event"], f["seq"]) for f in unframed(pair.data)] == [
        ("aggOrderBook", pair.seq),
        ("trades", pair.seq),
    ]
