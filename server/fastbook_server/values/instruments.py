"""Instruments, and the exact way between wire numbers (doubles) and ticks or lots (integers)."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Literal

import msgspec

UNITS_MAX = 2**52
"""The most ticks of a price, or lots of an amount: up to here each has a double of its own."""

_DECIMAL = re.compile(r"([0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?", re.ASCII)
_NUMBER_BOUND = 1e28  # above 2**52 steps of 1e12; below what would overflow on the way to a guess


class Grid(msgspec.Struct, frozen=True):
    """The multiples of a decimal step: a tick for prices, a lot for amounts.

    ``step`` is the decimal text as it was configured, and equals ``numerator / denominator``.
    """

    step: str
    numerator: int
    denominator: int

    @classmethod
    def parse(cls, text: str) -> Grid:
        """Return the grid of a decimal text such as ``0.01``, ``5`` or ``1e-8``.

        Raises:
            ValueError: `text` is no decimal number from 1e-12 to 1e12, or has more digits than a
                double can show.
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

    def units(self, value: float) -> int | None:
        """Return how many steps `value` is, or None if it is off the grid.

        On the grid is the double nearest to a multiple, from 1 to ``UNITS_MAX`` steps: nothing is
        ever rounded to fit.
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


class Instrument(msgspec.Struct, frozen=True):
    """One tradable security: what a price and an amount of it may be.

    ``number`` is given by the database once and for all; it is part of every id.
    """

    number: int
    security: str
    tick: Grid
    lot: Grid
    status: Literal["open", "halted"] = "open"

    def total(self, notional: int) -> float:
        """Return ``price x amount`` of a notional in ticks x lots: one division, exact integers."""
        return (
            notional
            * (self.tick.numerator * self.lot.numerator)
            / (self.tick.denominator * self.lot.denominator)
        )

    def average(self, notional: int, quantity: int) -> float:
        """Return the average price of `quantity` lots that cost `notional` ticks x lots."""
        return notional * self.tick.numerator / (quantity * self.tick.denominator)


class InstrumentSpec(msgspec.Struct, frozen=True):
    """An instrument as it is configured, before the database has given it a number."""

    security: str
    tick: Grid
    lot: Grid
    status: Literal["open", "halted"] = "open"

    @classmethod
    def parse(cls, text: str) -> InstrumentSpec:
        """Return the instrument of a ``SECURITY:TICK:LOT`` text, such as ``BTC-USD:0.01:0.0001``.

        Raises:
            ValueError: the text has another shape; the message says which part.
        """
        parts = text.split(":")
        if len(parts) != 3:
            raise ValueError(f"expected SECURITY:TICK:LOT, got {text!r}")
        security, tick, lot = parts
        return cls.build(security, tick, lot)

    @classmethod
    def build(
        cls, security: str, tick: str, lot: str, status: Literal["open", "halted"] = "open"
    ) -> InstrumentSpec:
        """Return the validated instrument of its parts.

        Raises:
            ValueError: a part is not as it should be; the message says which.
        """
        if not 1 <= len(security) <= 32 or not all(
            c.isascii() and (c.isalnum() or c in "-._/") for c in security
        ):
            raise ValueError(
                f"security: expected 1 to 32 letters, digits or -._/, got {security!r}"
            )
        grids = []
        for name, text in (("tick", tick), ("lot", lot)):
            try:
                grids.append(Grid.parse(text))
            except ValueError as error:
                raise ValueError(f"{name} of {security}: {error}") from None
        return cls(security, grids[0], grids[1], status)
