"""What a first reading finds out for the second one."""

from __future__ import annotations

from typing import Any

from fastbook_cli.replay.grid import StepFinder
from fastbook_cli.replay.repeats import Repeats
from fastbook_wire.words import SideName


class Earlier:
    """What a first reading has found out: orders from before the file, and orders without end.

    ``orders`` holds side, price and amount by id, in the order of the mentions. ``unended`` are the
    orders that the file places or mentions, and never ends. ``ticks`` and ``lots`` find the grid of
    all that is placed. ``repeats`` are the rows that stand there twice.
    """

    def __init__(self) -> None:
        self.ticks, self.lots = StepFinder(), StepFinder()
        self.orders: dict[str, tuple[SideName, Any, Any]] = {}
        self.unended: frozenset[str] = frozenset()
        self.repeats = Repeats()

    def mention(self, order_id: str, side: SideName, price: Any, amount: Any) -> None:
        """Take note of a part of an order that the file has not placed."""
        known = self.orders.get(order_id)
        self.orders[order_id] = (side, price, amount + (known[2] if known else 0))
