"""Exact conversion between the wire's doubles and integer ticks or lots."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from fractions import Fraction
from numbers import Real
from typing import Literal, get_args

import msgspec

UNITS_MAX = 2**52
"""Largest number of ticks or lots; up to here every multiple has a double of its own."""

Rounding = Literal["down", "up", "nearest"]
Number = float | Decimal | Fraction
"""A price or an amount: an int, a float, a Decimal or a Fraction. NumPy's numbers will do too."""

_NUMBERS = (int, Decimal, Real)  # the abstract class last: it takes longest to ask
_ROUNDINGS = get_args(Rounding)
_ULPS = 4
_DECIMAL = re.compile(r"([0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?", re.ASCII)
_NUMBER_BOUND = 1e28  # more than 2**52 steps of 1e12; less than overflows in `units`


def finite(name: str, value: Number) -> float:
    """Return the double nearest to a finite number, which the argument `name` is to be.

    Raises:
        TypeError: `value` is no number; neither a text nor a bool is one.
        ValueError: it is not finite, or larger than every double.
    """
    if type(value) is not float and (isinstance(value, bool) or not isinstance(value, _NUMBERS)):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    try:
        double = float(value)
    except OverflowError:
        double = math.inf
    if not math.isfinite(double):
        raise ValueError(f"{name}: expected a finite number, got {value!r}")
    return double


class Grid(msgspec.Struct, frozen=True):
    """The multiples of a decimal step: a tick for prices, a lot for amounts.

    ``step`` is the configured decimal text; its value is ``numerator / denominator``.
    """

    step: str
    numerator: int
    denominator: int

    @classmethod
    def parse(cls, text: str) -> Grid:
        """Return the grid of a decimal text such as ``0.01``, ``5`` or ``1e-8``.

        Raises:
            ValueError: `text` is not a decimal number from 1e-12 to 1e12, or has more digits than
                a double preserves (15, of which 12 after the point).
        """
        decimal = Decimal(text) if _DECIMAL.fullmatch(text) else Decimal(0)
        if not Decimal("1e-12") <= decimal <= Decimal("1e12"):
            raise ValueError(f"expected a decimal number from 1e-12 to 1e12, got {text[:40]!r}")
        numerator, denominator = decimal.as_integer_ratio()
        if denominator > 10**12 or len(decimal.normalize().as_tuple().digits) > 15:
            raise ValueError(
                "expected a decimal number of at most 15 digits, 12 of them after the point, "
                f"got {text[:40]!r}"
            )
        return cls(text, numerator, denominator)

    @classmethod
    def of(cls, step: float) -> Grid:
        """Return the grid of a ``tickSize`` or ``lotSize``: the double's shortest decimal."""
        text = repr(step)
        return cls(text, *Decimal(text).as_integer_ratio())

    def units(self, value: float) -> int | None:
        """Return `value` as a number of steps, or None if it is off the grid.

        A value is on the grid if it is the double nearest to a multiple of 1 to ``UNITS_MAX``
        steps; nothing is ever rounded to fit.
        """
        if not 0.0 < value < _NUMBER_BOUND:
            return None
        guess = round(value * self.denominator / self.numerator)
        for units in (guess, guess - 1, guess + 1):
            if 0 < units <= UNITS_MAX and units * self.numerator / self.denominator == value:
                return units
        return None

    def number(self, units: int) -> float:
        """Return the double nearest to `units` steps."""
        return units * self.numerator / self.denominator

    def accepted(self, name: str, value: Number, rounding: Rounding) -> float:
        """Return `value`, the argument `name`, rounded to a number that the server accepts.

        Raises:
            TypeError: `value` is no number.
            ValueError: it is not finite, or rounds to less than a step or more than ``UNITS_MAX``;
                or `rounding` is no such word.
        """
        double = finite(name, value)
        units = self.rounded(double, rounding) if abs(double) < _NUMBER_BOUND else 0
        if not 0 < units <= UNITS_MAX:
            least, most = self.number(1), self.number(UNITS_MAX)
            raise ValueError(f"{name}: expected {least!r} to {most!r} once rounded, got {value!r}")
        return self.number(units)

    def nearest(self, value: float) -> int:
        """Return `value` as a number of steps, rounded to the nearest integer; never in doubles."""
        return self.rounded(value, "nearest")

    def rounded(self, value: float, rounding: Rounding) -> int:
        """Return `value` as a number of steps, rounded in integer arithmetic.

        A value within a few ulps of a multiple counts as that multiple, whatever the rounding: so
        the noise of ``100.01 + 0.01`` is not rounded up to another step.

        Raises:
            ValueError: `rounding` is no such word.
            OverflowError: `value` is not finite, or larger than any grid's numbers.
        """
        if rounding not in _ROUNDINGS:
            raise ValueError(f"rounding: expected down, up or nearest, got {rounding!r}")
        if not -_NUMBER_BOUND < value < _NUMBER_BOUND:
            raise OverflowError(f"expected a number below {_NUMBER_BOUND:g}, got {value!r}")
        n, d = value.as_integer_ratio()
        n, d = n * self.denominator, d * self.numerator
        units = (2 * n + d) // (2 * d)
        if rounding == "nearest" or abs(value - self.number(units)) <= _ULPS * math.ulp(value):
            return units
        return n // d if rounding == "down" else -(-n // d)
