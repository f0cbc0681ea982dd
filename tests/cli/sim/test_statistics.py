"""The statistics, on series whose answers are known."""

from __future__ import annotations

import math
from random import Random

import pytest

from fastbook_cli.sim.statistics import (
    autocorrelation,
    deviation,
    excess_kurtosis,
    hill,
    log_returns,
    mean,
    quantile,
)


def test_moments_of_a_few_numbers() -> None:
    assert mean([1.0, 2.0, 6.0]) == 3.0
    assert deviation([1.0, 1.0, 3.0, 3.0]) == 1.0
    assert excess_kurtosis([1.0, -1.0] * 5) == -2.0
    assert math.isnan(mean([]))


def test_normal_numbers_have_neither_fat_tails_nor_memory() -> None:
    random = Random(1)
    values = [random.gauss(0.0, 1.0) for _ in range(50_000)]
    assert excess_kurtosis(values) == pytest.approx(0.0, abs=0.1)
    found, error = autocorrelation(values, 1)
    assert abs(found) < 3 * error
    assert error == pytest.approx(1 / math.sqrt(50_000), rel=0.05)


def test_a_memory_is_found() -> None:
    random = Random(2)
    values = [0.0]
    for _ in range(20_000):
        values.append(0.5 * values[-1] + random.gauss(0.0, 1.0))
    assert autocorrelation(values, 1)[0] == pytest.approx(0.5, abs=0.03)
    assert autocorrelation(values, 2)[0] == pytest.approx(0.25, abs=0.03)


def test_the_error_grows_where_the_variance_clusters() -> None:
    random = Random(3)
    values = [random.gauss(0.0, 5.0 if i // 500 % 10 == 0 else 1.0) for i in range(20_000)]
    assert autocorrelation(values, 1)[1] > 1.5 / math.sqrt(20_000)


def test_a_tail_exponent_is_found() -> None:
    random = Random(4)
    values = [random.paretovariate(3.0) * random.choice((-1, 1)) for _ in range(50_000)]
    assert hill(values) == pytest.approx(3.0, rel=0.1)


def test_returns_and_quantiles() -> None:
    assert log_returns([1.0, math.e, 1.0]) == [1.0, -1.0]
    assert log_returns([1.0, 5.0, math.e, 5.0], every=2) == [1.0]
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.5) == 3.0
    assert quantile([1.0, 2.0], 1.0) == 2.0
