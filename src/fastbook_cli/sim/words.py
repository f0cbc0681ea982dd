"""What agents see and what they ask for, as values. Prices are in ticks, quantities in lots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from fastbook_wire.words import SideName

BUY: SideName = "bid"
SELL: SideName = "ask"


class Limit(NamedTuple):
    """Place a limit order. `slot` is the agent's own label for it; an `ioc` order never rests."""

    side: SideName
    price: int
    quantity: int
    slot: int = -1
    ioc: bool = False


class VisibleMarket(NamedTuple):
    """Place a market order."""

    side: SideName
    quantity: int


class Cancel(NamedTuple):
    """Cancel an open order."""

    order_id: str


Intent = Limit | VisibleMarket | Cancel


class Resting(NamedTuple):
    """An open order of one agent; `slot` as in ``Limit``."""

    side: SideName
    price: int
    quantity: int
    slot: int


class AgentReport(NamedTuple):
    """The state of one agent's order.

    `filled` is the quantity filled since the previous report. `slot` is the label of the ``Limit``
    that this report replies to, -1 in later reports. An order that `rests` is in the book with
    `remaining`.
    """

    order_id: str
    side: SideName
    price: int
    remaining: int
    rests: bool
    filled: int = 0
    slot: int = -1


class VisibleBook(Protocol):
    """The public book of one security, as a client sees it."""

    def best(self) -> tuple[int | None, int | None]:
        """Return the best bid and the best ask; None for an empty side."""

    def depth(self, side: SideName, count: int) -> Sequence[tuple[int, int]]:
        """Return (price, quantity) of the `count` best levels of a side, best first."""


@dataclass(slots=True)
class Look:
    """What an agent sees when it acts.

    `bid` and `ask` are the best prices, or prices around the value where a side is empty. `value`
    is the fair value in the eyes of the market makers; the other agents ignore it. `unit` is how
    far the value typically moves in a second, at least one tick: the scale of "near" here.
    """

    now_s: float
    value: float
    unit: float
    bid: int
    ask: int
    book: VisibleBook
