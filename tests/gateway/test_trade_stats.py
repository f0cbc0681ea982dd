"""Candles and the last 24 hours: the same as a plain fold over all fills, at every moment."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from trading import T0

from fastbook_server.gateway.trade_stats import DAY_MINUTES, DAY_MS, MINUTE_MS, Day, TradeStats
from fastbook_server.values.candles import Candle
from fastbook_wire.words import INTERVALS

Fill = tuple[int, int, int, bool]

fills = st.lists(
    st.tuples(
        st.sampled_from((0, 1, 400, 999, 1_000, 30_000, 59_999, 3_600_000, 40_000_000, DAY_MS)),
        st.integers(1, 9),
        st.integers(1, 5),
        st.booleans(),
        st.booleans(),
    ),
    max_size=40,
)


def folded(past: list[Fill], interval_ms: int) -> list[Candle]:
    """Return the candles of fills, by the definition."""
    buckets: dict[int, list[Fill]] = {}
    for fill in past:
        buckets.setdefault(fill[0] // interval_ms * interval_ms, []).append(fill)
    return [
        Candle(
            start,
            some[0][1],
            max(f[1] for f in some),
            min(f[1] for f in some),
            some[-1][1],
            sum(f[2] for f in some),
            sum(f[3] for f in some),
        )
        for start, some in buckets.items()
    ]


def day(past: list[Fill], now_ms: int) -> tuple[int | None, int | None, int | None, int]:
    """Return open, high, low and volume of the last 24 hours, by the definition."""
    some = [f for f in past if f[0] // MINUTE_MS * MINUTE_MS + MINUTE_MS > now_ms - DAY_MS]
    if not some:
        return None, None, None, 0
    prices = [f[1] for f in some]
    return prices[0], max(prices), min(prices), sum(f[2] for f in some)


def shown(day: Day) -> tuple[int | None, int | None, int | None, int]:
    return day.open, day.high, day.low, day.volume


@given(fills, st.integers(0, 40), st.sampled_from((0, 1, 60_000, DAY_MS, 2 * DAY_MS)))
def test_a_tape_is_a_fold_over_its_fills_also_when_it_began_with_candles_of_the_past(
    script, split, later_ms
):
    past: list[Fill] = []
    time_ms = T0
    tape = TradeStats(10**6)
    for number, (gap_ms, price, quantity, is_first, ends_batch) in enumerate(script):
        if number == split:  # a restart
            tape.flush()
            tape = TradeStats(10**6, {i: folded(past, ms) for i, ms in INTERVALS.items()})
        time_ms += gap_ms
        past.append((time_ms, price, quantity, is_first))
        tape.add(time_ms, price, quantity, is_first)
        if ends_batch:
            tape.flush()
            tape.day.advance(time_ms)
            assert shown(tape.day) == day(past, time_ms)
    tape.flush()
    for interval, ms in INTERVALS.items():
        assert list(tape.series[interval].candles) == folded(past, ms)
    assert tape.last == (past[-1][1] if past else None)
    tape.day.advance(time_ms + later_ms)
    assert shown(tape.day) == day(past, time_ms + later_ms)


def test_a_minute_counts_until_all_of_it_is_older_than_24_hours():
    tape = TradeStats(100)
    tape.add(T0 + 59_999, 7, 1, True)
    tape.flush()
    assert tape.day.next_ms == T0 + MINUTE_MS + DAY_MS
    assert not tape.day.advance(T0 + MINUTE_MS + DAY_MS - 1)
    assert shown(tape.day) == (7, 7, 7, 1)
    assert tape.day.advance(T0 + MINUTE_MS + DAY_MS)
    assert (shown(tape.day), tape.day.next_ms, tape.last) == ((None, None, None, 0), None, 7)


def test_what_is_kept_is_bounded():
    tape = TradeStats(3)
    for n in range(2 * DAY_MINUTES):
        tape.add(T0 + n * MINUTE_MS, 1, 1, True)
        tape.flush()
    assert [len(s.candles) for s in tape.series.values()] == [3, DAY_MINUTES, 3, 3, 3]
    assert tape.day.volume == DAY_MINUTES
