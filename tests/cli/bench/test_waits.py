"""The histogram of waits: bounded, and as exact as it says."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastbook_cli.bench.waits import BARS_MS, Waits


def waits_of(*times_ms: float) -> Waits:
    waits = Waits()
    for each in times_ms:
        waits.add(each)
    return waits


@given(st.lists(st.floats(0, 1e6), min_size=1), st.sampled_from([1.0, 50.0, 90.0, 99.0, 99.9]))
def test_a_percentile_is_that_of_the_times_but_for_a_microsecond_or_1_6_per_cent(times, percent):
    waits = waits_of(*times)
    exact = sorted(times)[math.ceil(percent / 100 * len(times)) - 1]
    found = waits.percentile_ms(percent)
    assert exact <= found + 1e-9
    assert found <= exact * (1 + 1 / 64) + 0.001 + 1e-9


@given(st.lists(st.floats(0, 1e6)), st.lists(st.floats(0, 1e6)))
def test_two_together_are_as_one(some, others):
    together = waits_of(*some)
    together += waits_of(*others)
    one = waits_of(*some, *others)
    assert list(together.bars()) == list(one.bars())
    assert (together.count, together.max_ms) == (one.count, one.max_ms)
    assert together.percentile_ms(90) == one.percentile_ms(90)


def test_the_longest_is_exact_and_none_is_none():
    assert waits_of(1.0, 7.1234567).percentile_ms(100) == 7.1234567
    assert Waits().percentile_ms(50) == Waits().percentile_ms(100) == 0.0
    assert list(Waits().bars()) == []


def test_less_than_none_is_none():
    assert waits_of(-1.0).percentile_ms(50) == 0.0


def test_bars_run_from_the_shortest_to_the_longest_without_a_gap():
    assert list(waits_of(0.3, 0.4, 3.0).bars()) == [(0.5, 2), (1, 0), (2, 0), (5, 1)]
    assert list(waits_of(60_000.0, 100_000.0).bars()) == [(100_000.0, 2)]


@given(st.lists(st.floats(0, 1e6)))
def test_each_time_is_in_one_bar(times):
    assert sum(count for _, count in waits_of(*times).bars()) == len(times)


def test_memory_does_not_grow_with_the_number_of_times():
    waits = waits_of(*(n / 100 for n in range(100_000)))
    assert len(waits._buckets) < 1_000


def test_bars_have_round_bounds():
    assert BARS_MS[:4] == pytest.approx((0.01, 0.02, 0.05, 0.1))
