"""Statistics of a market's returns, in plain Python: moments, autocorrelations, tails.

The measures are those of R. Cont, "Empirical properties of asset returns: stylized facts and
statistical issues", Quantitative Finance 1 (2001).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice


def log_returns(prices: Sequence[float], every: int = 1) -> list[float]:
    """Return the log returns between successive prices, of which each `every`-th is taken."""
    logs = [math.log(p) for p in prices[::every]]
    return [later - earlier for earlier, later in zip(logs, islice(logs, 1, None), strict=False)]


def mean(values: Sequence[float]) -> float:
    """Return the mean, NaN for no values."""
    return math.fsum(values) / len(values) if values else math.nan


def deviation(values: Sequence[float]) -> float:
    """Return the standard deviation, NaN for no values."""
    middle = mean(values)
    return math.sqrt(mean([(v - middle) ** 2 for v in values]))


def excess_kurtosis(values: Sequence[float]) -> float:
    """Return the fourth moment over the squared second, less 3; 0 for a normal distribution."""
    middle = mean(values)
    second = mean([(v - middle) ** 2 for v in values])
    return mean([(v - middle) ** 4 for v in values]) / second**2 - 3.0 if second else math.nan


def autocorrelation(values: Sequence[float], lag: int) -> tuple[float, float]:
    """Return the autocorrelation at a lag, and its standard error under no correlation.

    The error is White's, for variance that changes with time: returns are uncorrelated but not
    independent. With 1/sqrt(n) as the error, chance would look like a finding here.
    """
    middle = mean(values)
    centred = [v - middle for v in values]
    total = math.fsum(v * v for v in centred)
    if not total:
        return math.nan, math.nan
    products = [a * b for a, b in zip(centred, islice(centred, lag, None), strict=False)]
    error = math.sqrt(math.fsum(p * p for p in products)) / total
    return math.fsum(products) / total, error


def hill(values: Sequence[float], share: float = 0.02) -> float:
    """Return Hill's estimate of the tail exponent of |v|, from the largest `share` of values."""
    largest = sorted((abs(v) for v in values), reverse=True)
    count = max(2, int(len(largest) * share))
    if len(largest) <= count or not largest[count]:
        return math.nan
    return 1.0 / mean([math.log(v / largest[count]) for v in largest[:count]])


def quantile(ascending: Sequence[float], share: float) -> float:
    """Return the value below which a `share` of the sorted values lies."""
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]
