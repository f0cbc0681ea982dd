"""Finds the tick and the lot of a recording: the largest steps that all its numbers are made of."""

from __future__ import annotations

from decimal import Decimal
from math import gcd

_CACHE_MAX = 50_000


class StepFinder:
    """The largest step that divides every number seen, and 1: 0.25 of 4800.25 and 4801.5.

    No larger one than 1, because a few round numbers say little about the market.
    """

    def __init__(self) -> None:
        self._decimals = 0
        self._gcd = 0
        self._seen: set[Decimal] = set()

    def see(self, number: Decimal) -> None:
        """Take a number into account, if it is positive."""
        if number <= 0 or number in self._seen:
            return
        if len(self._seen) >= _CACHE_MAX:
            self._seen.clear()
        self._seen.add(number)
        exponent = number.normalize().as_tuple().exponent
        decimals = -exponent if isinstance(exponent, int) else 0
        if decimals > self._decimals:
            self._gcd *= 10 ** (decimals - self._decimals)
            self._decimals = decimals
        self._gcd = gcd(self._gcd, int(number.scaleb(self._decimals)))

    @property
    def step(self) -> str:
        """The step as a decimal number; 1 if nothing was seen."""
        step = Decimal(gcd(self._gcd, 10**self._decimals) or 1).scaleb(-self._decimals)
        return f"{step.normalize():f}"
