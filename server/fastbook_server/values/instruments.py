"""Instruments: what a price and an amount of a security may be."""

from __future__ import annotations

from typing import Literal

import msgspec

from fastbook_wire.grid import Grid


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
