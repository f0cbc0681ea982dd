"""Instruments: what a price and an amount of a security may be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from fastbook_wire.grid import Grid

_INTEGER_MAX = 2**53
"""Every integer up to here is a double."""


class Scale:
    """The numbers of a grid, without its detours: for what is converted with every order."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._numerator = self._denominator = 1
        # Up to here numerator and denominator are doubles, and their quotient is rounded once.
        self._exact_max = 0
        if max(grid.numerator, grid.denominator) <= _INTEGER_MAX:
            self._numerator, self._denominator = grid.numerator, grid.denominator
            self._exact_max = _INTEGER_MAX // grid.numerator

    def number(self, units: int) -> float:
        """Return the double nearest to `units` steps, not negative."""
        if units <= self._exact_max:
            return units * self._numerator / self._denominator
        return self._grid.number(units)

    def units(self, value: float) -> int:
        """Return `value` as a number of steps; 0 if it is off the grid, see `Grid.units`."""
        steps = value * self._denominator / self._numerator
        if 0.5 <= steps < self._exact_max:
            guess = int(steps + 0.5)
            if guess * self._numerator / self._denominator == value:
                return guess
        return self._grid.units(value) or 0


@dataclass
class Instrument:
    """A tradable security and the grids of its prices and amounts.

    ``number`` is assigned by the database once and never changes; it is part of every id. ``price``
    and ``amount`` convert between ticks or lots and the numbers of the wire.
    """

    number: int
    security: str
    tick: Grid
    lot: Grid
    status: Literal["open", "halted"] = "open"
    price: Scale = field(init=False, repr=False, compare=False)
    amount: Scale = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.price, self.amount = Scale(self.tick), Scale(self.lot)

    @property
    def quote_currency(self) -> str:
        """What prices are in, by its name: ``USD`` of ``BTC-USD``; empty if the name tells none."""
        return _quote_currency(self.security)

    def total(self, notional: int) -> float:
        """Return price x amount for a notional in ticks x lots: exact, rounded to a double once."""
        return (
            notional
            * (self.tick.numerator * self.lot.numerator)
            / (self.tick.denominator * self.lot.denominator)
        )

    def average(self, notional: int, quantity: int) -> float:
        """Return the average price of `quantity` lots with a notional in ticks x lots."""
        return notional * self.tick.numerator / (quantity * self.tick.denominator)


def _quote_currency(security: str) -> str:
    parts = re.split("[-/_]", security)
    return parts[-1] if len(parts) > 1 else ""


class InstrumentSpec(msgspec.Struct, frozen=True):
    """A configured instrument, before the database has assigned its number."""

    security: str
    tick: Grid
    lot: Grid
    status: Literal["open", "halted"] = "open"

    @classmethod
    def parse(cls, text: str) -> InstrumentSpec:
        """Return the instrument of a ``SECURITY:TICK:LOT`` text, such as ``BTC-USD:0.01:0.0001``.

        Raises:
            ValueError: the text has another form; the message names the part.
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
        """Return the instrument of these parts after validating them.

        Raises:
            ValueError: a part is invalid; the message names it.
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


def default_security(instruments: Sequence[Instrument | InstrumentSpec]) -> str:
    """Return the security used when a request names none: that of the first instrument."""
    return instruments[0].security
