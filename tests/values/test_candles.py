"""Candles are a fold of the fills, and longer ones are sums of shorter ones."""

from __future__ import annotations

from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from fastbook_server.values.candles import Candle, CandleSeries

SHORT_MS, LONG_MS = 1_000, 60_000

fills = st.lists(
    st.tuples(st.integers(0, 90_000), st.integers(1, 9), st.integers(1, 5), st.booleans())
)


def folded(made, interval_ms):
    """Return the candles of fills (time, price, quantity, is the first of its order), plainly."""
    buckets = groupby(made, key=lambda fill: fill[0] // interval_ms)
    candles = []
    for number, group in buckets:
        _, prices, quantities, firsts = zip(*group, strict=True)
        low, high = min(prices), max(prices)
        counts = (sum(quantities), sum(firsts))
        start_ms = number * interval_ms
        candles.append(Candle(start_ms, prices[0], high, low, prices[-1], *counts))
    return candles


@given(fills)
def test_a_series_is_the_fold_of_its_fills(made):
    series = CandleSeries(SHORT_MS, kept=0)
    for fill in sorted(made, key=lambda fill: fill[0]):
        assert series.add(*fill) is series.candles[-1]
    assert list(series.candles) == folded(sorted(made, key=lambda fill: fill[0]), SHORT_MS)


@given(fills)
def test_short_candles_add_up_to_the_long_ones(made):
    made.sort(key=lambda fill: fill[0])
    series = CandleSeries(LONG_MS, kept=0)
    for part in folded(made, SHORT_MS):
        assert series.merge(part) is series.candles[-1]
    assert list(series.candles) == folded(made, LONG_MS)


def test_merging_leaves_the_short_candle_as_it_was():
    part = Candle(61_000, 5, 5, 5, 5, 2, 1)
    series = CandleSeries(LONG_MS, kept=0)
    series.merge(part)
    series.merge(Candle(62_000, 7, 7, 7, 7, 1, 1))
    assert part == Candle(61_000, 5, 5, 5, 5, 2, 1)
    assert list(series.candles) == [Candle(60_000, 5, 7, 5, 7, 3, 2)]


def test_only_so_many_candles_are_kept_and_the_past_counts():
    past = [Candle(n * SHORT_MS, n, n, n, n, 1, 1) for n in (1, 2)]
    series = CandleSeries(SHORT_MS, kept=2, past=past)
    series.add(2_500, 9, 1, True)  # continues the last of the past
    series.add(3_000, 4, 1, True)
    assert [(c.start_ms, c.high) for c in series.candles] == [(2_000, 9), (3_000, 4)]


def test_ended_candles_are_collected_while_somebody_asks_for_them():
    series = CandleSeries(SHORT_MS, kept=1)
    series.add(0, 1, 1, True)
    series.add(1_000, 2, 1, True)
    assert series.ended is None
    series.ended = []
    series.add(1_999, 3, 1, True)
    assert series.ended == []
    series.merge(Candle(2_000, 4, 4, 4, 4, 1, 1))
    series.add(3_000, 5, 1, True)
    assert [(c.start_ms, c.close) for c in series.ended] == [(1_000, 3), (2_000, 4)]
