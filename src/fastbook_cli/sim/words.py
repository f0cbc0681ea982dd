"""What agents see and what they want: values. Prices are in ticks, quantities in lots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from fastbook_wire.words import SideName

BUY: SideName = "bid"
SELL: SideName = "ask"


class Limit(NamedTuple):
    """Bring a limit order; `slot` is the agent's own name for it, `ioc`: it must not rest."""

    side: SideName
    price: int
    quantity: int
    slot: int = -1
    ioc: bool = False


class VisibleMarket(NamedTuple):
    """Bring a market order."""

    side: SideName
    quantity: int


class Cancel(NamedTuple):
    """Withdraw an open order."""

    order_id: str


Intent = Limit | VisibleMarket | Cancel


class Resting(NamedTuple):
    """An open order of one agent; `slot` as in ``Limit``."""

    side: SideName
    price: int
    quantity: int
    slot: int


class AgentReport(NamedTuple):
    """What has become of an order of one agent.

    `filled` is what was filled since the report before; `slot` is that of the ``Limit`` whose
    reply this is, -1 in later reports. `rests`: it is in the book, with `remaining`.
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
        """Return the best bid and the best ask; None: there is none."""

    def depth(self, side: SideName, count: int) -> Sequence[tuple[int, int]]:
        """Return (price, quantity) of the best levels of a side, best first."""


@dataclass(slots=True)
class Look:
    """What an agent sees when it acts.

    `bid` and `ask` are the best prices; where a side is empty, what would be natural. `value` is
    the belief that the market makers share; the others do not look at it. `unit` is how far the
    value usually moves in a second, at least a tick: what is near in this market.
    """

    now_s: float
    value: float
    unit: float
    bid: int
    ask: int
    book: VisibleBook
