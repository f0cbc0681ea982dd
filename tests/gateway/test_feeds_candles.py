"""The candles channels: what changes, at most so often, and each bucket's end exactly once."""

from __future__ import annotations

import itertools

import pytest
from fakes import FakeReader
from hall import INTERVAL_S, Hall
from hypothesis import given
from hypothesis import strategies as st
from trading import T0, ask, bid, market

from fastbook_server.values.candles import Candle, CandleSeries
from fastbook_server.values.events import OrderFilled
from fastbook_wire.words import INTERVALS


def candle(start, open_, high, low, close, volume, trades, *, final=False) -> dict:
    prices = {"open": open_, "high": high, "low": low, "close": close}
    return {"time": start, **prices, "volume": volume, "trades": trades, "final": final}


def frame(interval: str, *candles: dict) -> dict:
    named = {"event": "candles", "security": "COIN", "interval": interval}
    return named | {"candles": list(candles)}


def supplied(**options) -> Hall:
    """Return a hall in which there is something to buy at 10, 11 and 12."""
    hall = Hall(**options)
    hall.do("bob", ask(10, 2), ask(11, 2), ask(12, 100_000))
    return hall


def test_a_joiner_gets_the_last_candles_then_what_changes_at_most_so_often():
    hall = supplied()
    hall.do("ann", market("bid", 3))
    reader = hall.follow("candles:1m")
    hall.do("ann", market("bid", 1))
    hall.do("ann", market("bid", 1), market("bid", 1))
    hall.do("ann", bid(1, 1))
    hall.advance(0.05)
    hall.do("ann", market("bid", 4))
    hall.advance(INTERVAL_S)
    assert reader.take() == [
        frame("1m", candle(T0, 10.0, 11.0, 10.0, 11.0, 3.0, 1)),
        frame("1m", candle(T0, 10.0, 11.0, 10.0, 11.0, 4.0, 2)),
        frame("1m", candle(T0, 10.0, 12.0, 10.0, 12.0, 10.0, 5)),
    ]


def test_a_later_fill_ends_a_bucket():
    hall = supplied()
    reader = hall.follow("candles:1s")
    hall.do("ann", market("bid", 2))
    hall.advance(0.999)
    hall.match("ann", market("bid", 1))
    hall.advance(0.001)
    hall.match("ann", market("bid", 1))
    assert [f["candles"] for f in reader.take()] == [[], [candle(T0, *[10.0] * 4, 2.0, 1)]]
    hall.publish()
    assert reader.take() == [
        frame(
            "1s",
            candle(T0, 10.0, 11.0, 10.0, 11.0, 3.0, 2, final=True),
            candle(T0 + 1_000, *[11.0] * 4, 1.0, 1),
        )
    ]


@pytest.mark.parametrize("interval", INTERVALS)
def test_the_time_ends_a_bucket_and_none_is_made_where_nothing_traded(interval):
    hall = supplied()
    reader = hall.follow(f"candles:{interval}")
    hall.do("ann", market("bid", 2))
    reader.take()
    hall.advance(INTERVALS[interval] / 1_000 - 0.001)
    assert reader.take() == []
    hall.advance(0.001 + 0.05)
    assert reader.take() == [frame(interval, candle(T0, *[10.0] * 4, 2.0, 1, final=True))]
    hall.advance(3 * INTERVALS[interval] / 1_000)
    assert (reader.take(), hall.timers.pending) == ([], 0)
    start = hall.now_ms() // INTERVALS[interval] * INTERVALS[interval]
    hall.do("ann", market("bid", 1))
    assert reader.take() == [frame(interval, candle(start, *[11.0] * 4, 1.0, 1))]


def test_a_bucket_is_not_over_while_a_command_of_it_may_still_be_published():
    hall = supplied()
    reader = hall.follow("candles:1s")
    hall.do("ann", market("bid", 1))
    hall.advance(0.5)
    hall.match("ann", market("bid", 1))
    reader.take()
    hall.advance(30)  # the database takes its time
    assert reader.take() == []
    hall.publish()
    hall.advance(1)
    last = [c for f in reader.take() for c in f["candles"]]
    assert [c["final"] for c in last] in ([True], [False, True])
    assert last[-1] == candle(T0, *[10.0] * 4, 2.0, 2, final=True)


def test_a_joiner_hears_of_an_end_that_the_throttle_holds_back_once():
    hall = supplied(interval_s=5.0)
    first = hall.follow("candles:1s")
    for _ in range(3):
        hall.do("ann", market("bid", 1))
        hall.advance(1)
    late = hall.follow("candles:1s")
    hall.advance(5)
    for reader in (first, late):
        finals = [c["time"] for f in reader.take() for c in f["candles"] if c["final"]]
        assert finals == [T0, T0 + 1_000, T0 + 2_000]


def test_only_so_many_candles_come_at_first_but_every_end_comes_later():
    hall = supplied(interval_s=5.0, candles_max=2)
    early = hall.follow("candles:1s")
    for _ in range(4):
        hall.do("ann", market("bid", 1))
        hall.advance(1)
    assert [c["time"] - T0 for c in hall.follow("candles:1s").take()[0]["candles"]] == [
        *(2_000, 3_000)
    ]
    hall.advance(5)
    finals = [c["time"] - T0 for f in early.take() for c in f["candles"] if c["final"]]
    assert finals == [0, 1_000, 2_000, 3_000]


def test_candles_go_on_from_those_of_the_past():
    past = {"COIN": {"1m": [Candle(T0 - 60_000, 5, 6, 4, 5, 9, 3), Candle(T0, 5, 5, 5, 5, 1, 1)]}}
    hall = Hall(candles=past)
    hall.do("bob", ask(10, 2))
    reader = hall.follow("candles:1m")
    hall.do("ann", market("bid", 2))
    assert reader.take() == [
        frame(
            "1m",
            candle(T0 - 60_000, 5.0, 6.0, 4.0, 5.0, 9.0, 3, final=True),
            candle(T0, *[5.0] * 4, 1.0, 1),
        ),
        frame("1m", candle(T0, 5.0, 10.0, 5.0, 10.0, 3.0, 2)),
    ]


def test_a_slow_reader_skips_changes_but_no_end():
    hall = supplied()
    slow = hall.follow("candles:1s")
    slow.take()
    slow.behind = True
    for _ in range(4):
        hall.do("ann", market("bid", 1))
        hall.advance(0.3)
    assert [[c["final"] for c in f["candles"]] for f in slow.take()] == [[True]]
    hall.do("ann", market("bid", 1))
    hall.advance(0.2)
    slow.behind = False
    hall.advance(INTERVAL_S)
    assert [[c["final"] for c in f["candles"]] for f in slow.take()] == [[False]]


def test_who_was_behind_is_offered_the_open_candle_as_it_is_then():
    hall = supplied()
    slow = hall.follow("candles:1m")
    slow.take()
    slow.behind = True
    for _ in range(3):
        hall.do("ann", market("bid", 1))
    slow.behind = False
    hall.advance(INTERVAL_S)
    assert [[c["volume"] for c in f["candles"]] for f in slow.take()] == [[3.0], [3.0]]


def test_without_readers_nothing_is_done_and_nothing_collected():
    hall = supplied()
    reader = hall.follow("candles:1s")
    hall.do("ann", market("bid", 1))
    hall.feeds.leave(reader, "COIN", "candles:1s")
    reader.take()
    for _ in range(3):
        hall.advance(1)
        hall.do("ann", market("bid", 1))
    assert (reader.take(), hall.timers.pending > 1) == ([], False)
    assert hall.view.stats.series["1s"].ended is None
    assert len(hall.feeds._active["COIN"]) == 1
    hall.feeds.stop()


def fold(hall: Hall, interval_ms: int) -> dict[int, Candle]:
    """Return all candles of what was published, by the definition."""
    held = {id(e) for e in hall.held}
    series = CandleSeries(interval_ms, 0)
    for e in hall.floor.events:
        if isinstance(e, OrderFilled) and id(e) not in held:
            series.add(e.time_ms, e.price, e.quantity, e.n == 0)
    return {c.start_ms: c for c in series.candles}


def values(shown: dict) -> tuple:
    return tuple(shown[k] for k in ("open", "high", "low", "close", "volume", "trades"))


gaps = st.sampled_from((0.0, 0.001, 0.05, 0.1, 0.4, 0.999, 1.0, 1.7, 61.0, 300.0))
steps = st.sampled_from(("trade", "rest", "publish", "join", "leave", "slow", "fast"))


@given(
    st.lists(st.tuples(gaps, steps), max_size=40),
    st.sampled_from(("1s", "1m", "5m")),
    st.sampled_from((0.0, 0.1, 2.5)),
    st.integers(1, 3),
)
def test_each_bucket_ends_exactly_once_for_everyone_whenever_it_was_committed(
    script, interval, interval_s, candles_max
):
    hall = supplied(interval_s=interval_s, candles_max=candles_max)
    readers: list[FakeReader] = []
    for gap, step in script:
        hall.advance(gap)
        if step == "trade":
            hall.match("ann", market("bid", 1))
        elif step == "rest":
            hall.match("ann", bid(1, 1))
        elif step == "publish" and hall.held:
            hall.publish()
        elif step == "join":
            readers.append(hall.follow(f"candles:{interval}"))
        elif step == "leave" and readers:
            hall.feeds.leave(readers.pop(0), "COIN", f"candles:{interval}")
        elif step in ("slow", "fast") and readers:
            readers[-1].behind = step == "slow"
    for reader in readers:
        reader.behind = False
    hall.publish()
    hall.advance(INTERVALS[interval] / 1_000 + 2 * interval_s + 61)
    truth = fold(hall, INTERVALS[interval])
    for reader in readers:
        opening, *live = reader.take()
        seen = [c for f in (opening, *live) for c in f["candles"]]
        finals = [c for c in seen if c["final"]]
        assert len({c["time"] for c in finals}) == len(finals)
        assert [c["time"] for c in finals] == sorted(c["time"] for c in finals)
        first = opening["candles"][0]["time"] if opening["candles"] else None
        expected = [start for start in truth if first is None or start >= first]
        if first is None:
            expected = [s for s in expected if s in {c["time"] for c in seen}]
            assert expected == list(truth)[len(truth) - len(expected) :]
        assert [c["time"] for c in finals] == expected
        for c in finals:
            t = truth[c["time"]]
            assert values(c) == (t.open, t.high, t.low, t.close, t.volume, t.trades)
        times = [c["time"] for c in seen]
        assert times == sorted(times)
        ended_at = {c["time"]: n for n, c in enumerate(seen) if c["final"]}
        assert all(n <= ended_at[c["time"]] for n, c in enumerate(seen))


@given(st.lists(gaps, max_size=20), st.sampled_from((0.1, 2.5)))
def test_never_two_frames_in_one_interval(pauses, interval_s):
    hall = supplied(interval_s=interval_s)
    at: list[float] = []

    class Timed(FakeReader):
        def send(self, frame: bytes) -> None:
            at.append(hall.timers.time())

    hall.follow("candles:1s", Timed())
    at.clear()
    for gap in pauses:
        hall.advance(gap)
        hall.do("ann", market("bid", 1))
    hall.advance(5)
    assert all(b - a >= interval_s - 1e-9 for a, b in itertools.pairwise(at))
