"""How a simulated market opens: its first price, and the size of its usual order."""

from __future__ import annotations

from typing import NamedTuple

from fastbook_cli.sim.usual_prices import usual_amount, usual_ticks
from fastbook_wire.grid import Grid

START_TICKS = 10_000
"""The first price of a security with neither orders nor trades, whose name says nothing either."""
TYPICAL_AMOUNT = 0.5
"""The typical order for a security of which nobody knows the worth."""
TYPICAL_LOTS_MIN = 10
TYPICAL_LOTS_MAX = 10**10


class Beginning(NamedTuple):
    """The first value in ticks, and the typical order size in lots."""

    start: int
    typical: int


def opening(security: str, tick: Grid, lot: Grid, last: int | None = None) -> Beginning:
    """Return how a security opens; `last` is its current price in ticks, if it has one."""
    start = last if last is not None else usual_ticks(security, tick)
    amount = usual_amount(security)
    lots = lot.nearest(TYPICAL_AMOUNT if amount is None else amount)
    typical = max(TYPICAL_LOTS_MIN, min(TYPICAL_LOTS_MAX, lots))
    return Beginning(START_TICKS if start is None else max(1, start), typical)
