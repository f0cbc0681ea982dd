"""The exact way between the wire's numbers and integer ticks or lots."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple


class Grid(NamedTuple):
    """The multiples of a step, ``numerator / denominator``."""

    numerator: int
    denominator: int

    @classmethod
    def of(cls, step: float) -> Grid:
        """Return the grid of a ``tickSize`` or ``lotSize``: the shortest decimal of the double."""
        return cls(*Decimal(repr(step)).as_integer_ratio())

    def units(self, number: float) -> int:
        """Return how many steps `number` is, to the nearest."""
        return round(number * self.denominator / self.numerator)

    def number(self, units: int) -> float:
        """Return the double nearest to `units` steps."""
        return units * self.numerator / self.denominator
