"""What the demo's traders decide: a pure function of a seed and of what they see.

A ``Crowd`` is all noise traders of one security. They believe in a price that wanders at random,
rest limit orders around it at exponential distances, withdraw some, and now and then take. The
same seed and the same sights give the same intents; sending them is somebody else's business.

Prices are in ticks, quantities in lots.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import NamedTuple

from fastbook_client.wire.words import SideName

START_TICKS = 10_000
"""Where a market begins that has neither a book nor a trade."""

ORDERS_PER_SIDE_MIN = 40
"""What the whole crowd keeps resting on each side, whatever it withdraws."""
STEP_TICKS = 0.35
"""Standard deviation of the believed price's step, per intent."""
PULL = 0.03
"""How far one trade pulls the believed price towards its own: people can move this market."""
DISTANCE_TICKS = 12.0
"""Mean distance of a limit order from the believed price."""
MARKET_SHARE_MAX = 0.1
"""The most that one market order asks of what the crowd has resting against it."""


class Resting(NamedTuple):
    """An open order of one trader."""

    side: SideName
    price: int
    quantity: int


class Limit(NamedTuple):
    """Bring a limit order."""

    side: SideName
    price: int
    quantity: int


class Market(NamedTuple):
    """Bring a market order."""

    side: SideName
    quantity: int


class Cancel(NamedTuple):
    """Withdraw an open order."""

    order_id: str


Intent = Limit | Market | Cancel
Orders = Mapping[str, Resting]
"""One trader's open orders by id, oldest first."""


class Crowd:
    """The noise traders of one security.

    `start` is the price they first believe in, `typical` the size of an ordinary order.
    """

    def __init__(self, random: Random, traders: int, start: int, typical: int) -> None:
        self._random = random
        self._price = float(start)
        self._price_min = min(float(start), 4 * DISTANCE_TICKS)
        self._typical = typical
        self.per_side_min = max(4, -(-ORDERS_PER_SIDE_MIN // traders))
        self.open_max = 4 * self.per_side_min

    @property
    def price(self) -> float:
        """The price that the crowd believes in, in ticks."""
        return self._price

    def opening(self) -> list[Limit]:
        """Return one trader's first orders: as many on each side, none of which crosses."""
        sides: tuple[SideName, SideName] = ("bid", "ask")
        return [self._limit(side) for _ in range(self.per_side_min) for side in sides]

    def see_trade(self, price: int) -> None:
        """Let a trade, of whomever, move what the crowd believes."""
        self._price += PULL * (price - self._price)

    def decide(self, trader: int, orders: Sequence[Orders], room: int | None = None) -> Intent:
        """Return what trader number `trader` does next; `orders` are everybody's open orders.

        `room` is how many orders the trader may have open, by default ``open_max``.
        """
        random = self._random
        self._price = max(self._price_min, self._price + random.gauss(0.0, STEP_TICKS))
        own = orders[trader]
        counts: dict[SideName, int] = {"bid": 0, "ask": 0}
        for order in own.values():
            counts[order.side] += 1
        full = len(own) >= (self.open_max if room is None else room)
        if not full:
            scarce: SideName = "bid" if counts["bid"] <= counts["ask"] else "ask"
            if counts[scarce] < self.per_side_min:
                return self._limit(scarce)
        dice = random.random()
        if dice < 0.12:
            market = self._market(orders)
            if market is not None:
                return market
        if full or dice > 0.62:
            cancel = self._cancel(own, counts, 0 if full else self.per_side_min)
            if cancel is not None:
                return cancel
        return self._limit(self._side())

    def _side(self) -> SideName:
        return "bid" if self._random.random() < 0.5 else "ask"

    def _limit(self, side: SideName) -> Limit:
        distance = 1 + int(self._random.expovariate(1 / DISTANCE_TICKS))
        believed = int(self._price)
        price = max(1, believed - distance) if side == "bid" else believed + 1 + distance
        return Limit(side, price, self._quantity())

    def _market(self, orders: Sequence[Orders]) -> Market | None:
        """Return a market order that leaves most of the other side where it is."""
        side = self._side()
        against = sum(o.quantity for own in orders for o in own.values() if o.side != side)
        quantity = min(self._quantity(), int(against * MARKET_SHARE_MAX))
        return Market(side, quantity) if quantity > 0 else None

    def _cancel(self, own: Orders, counts: Mapping[SideName, int], keep: int) -> Cancel | None:
        """Return the withdrawal of the farthest order, or of any; sides keep `keep` orders."""
        spare = [i for i, o in own.items() if counts[o.side] > keep]
        if not spare:
            return None
        if self._random.random() < 0.6:
            return Cancel(max(spare, key=lambda i: abs(own[i].price - self._price)))
        return Cancel(self._random.choice(spare))

    def _quantity(self) -> int:
        """Return a size around the typical one, of two digits: people like round numbers."""
        lots = int(self._typical * min(20.0, self._random.lognormvariate(-0.3, 0.8)))
        if lots < 100:
            return max(1, lots)
        unit: int = 10 ** (len(str(lots)) - 2)
        return lots // unit * unit
