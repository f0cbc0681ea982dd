"""Activity and value, without a market."""

from __future__ import annotations

import math
from itertools import pairwise
from random import Random

import pytest

from fastbook_cli.sim.activity_and_value import ACTIVITY_MAX, FACTOR_MAX, Activity, Value
from fastbook_cli.sim.statistics import autocorrelation, excess_kurtosis, mean

DAY_S = 86_400


def test_activity_is_one_on_average_bounded_and_clusters() -> None:
    levels = []
    for seed in range(10):
        random = Random(seed)
        activity = Activity(random)
        for second in range(10, 4 * 3_600, 10):
            levels.append(activity.advance(float(second)))
            for _ in range(sum(random.random() < activity.level / 20 for _ in range(20))):
                activity.traded(0.1)
    assert 0.6 < mean(levels) < 1.6
    assert min(levels) > 0
    assert max(levels) <= ACTIVITY_MAX
    assert autocorrelation(levels, 30)[0] > 0.3


def test_trades_and_news_excite_for_a_while() -> None:
    activity = Activity(Random(1))
    before = activity.advance(1.0)
    for _ in range(20):
        activity.traded(10.0)
    activity.kick(2.0)
    assert activity.advance(1.0) > before + 1
    assert activity.advance(400.0) < before + 1


def test_a_days_return_is_as_volatile_as_was_asked_and_has_fat_tails() -> None:
    returns, days = [], []
    for seed in range(60):
        value = Value(Random(seed), 1e6, 0.03)
        logs = [0.0]
        for minute in range(1, 1_441):
            value.advance(60.0 * minute, 1.0)
            logs.append(math.log(value.ticks / 1e6))
        returns += [b - a for a, b in pairwise(logs)]
        days.append(logs[-1])
    assert math.sqrt(mean([d * d for d in days])) == pytest.approx(0.03 * 0.75, rel=0.35)
    assert excess_kurtosis(returns) > 0.3  # of news alone


@pytest.mark.parametrize("start", [1.0, 10_000.0])
def test_the_value_stays_within_its_factor_whatever_happens(start: float) -> None:
    value = Value(Random(1), start, 1.0)
    for hour in range(2_000):
        value.advance(3_600.0 * hour, 6.0)
        value.traded(1e9 * (-1) ** hour)
        assert max(0.5, start / FACTOR_MAX * 0.999) <= value.ticks <= start * FACTOR_MAX * 1.001


def test_people_move_the_value_a_little() -> None:
    value = Value(Random(1), 10_000.0, 0.03)
    for _ in range(1_000):
        value.traded(3.0)
    assert 10_010 < value.ticks < 10_100
