"""The resting orders of the plain book, against which `fastbook.reference` matches.

Per side there are a dictionary of levels and a sorted list of prices.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from fastbook._types import Side


@dataclass(slots=True, eq=False)
class RestingOrder:
    """A resting order; what it hides is a part of its quantity."""

    order_id: int
    side: int
    price: int
    quantity: int
    owner: int
    display: int = 0  # 0: no iceberg
    hidden: int = 0

    @property
    def visible(self) -> int:
        """The lots that it shows."""
        return self.quantity - self.hidden

    def show(self) -> None:
        """Show as much as the display allows."""
        self.hidden = max(self.quantity - self.display, 0) if self.display else 0


@dataclass(slots=True)
class PriceLevel:
    """All orders at one price of one side, in the order in which they will trade."""

    total: int = 0  # what they show
    whole: int = 0  # also what they hide
    orders: OrderedDict[int, RestingOrder] = field(default_factory=OrderedDict)


class PriceLevels:
    """The levels of one side. On both sides a better price has a higher *rank*."""

    def __init__(self, side: int) -> None:
        self.sign = 1 if side == Side.BID else -1
        self.by_price: dict[int, PriceLevel] = {}
        self.ranks: list[int] = []  # ascending: the best is last, where most changes happen

    def best(self) -> int | None:
        """Return the best price, or None if the side is empty."""
        return self.sign * self.ranks[-1] if self.ranks else None

    def prices(self) -> Iterator[int]:
        """Yield all prices, best first."""
        return (self.sign * rank for rank in reversed(self.ranks))

    def within(self, price: int, limit: int | None) -> bool:
        """Return whether an order of the other side may trade at this price; None: no limit."""
        return limit is None or self.sign * price >= self.sign * limit

    def total(self, price: int) -> int:
        """Return the quantity that shows at a price."""
        level = self.by_price.get(price)
        return level.total if level else 0

    def whole(self, price: int) -> int:
        """Return the quantity that rests at a price, hidden or not."""
        level = self.by_price.get(price)
        return level.whole if level else 0

    def append(self, order: RestingOrder) -> int:
        """Queue an order behind all others at its price; return the level's new total."""
        level = self.by_price.get(order.price)
        if level is None:
            level = self.by_price[order.price] = PriceLevel()
            insort(self.ranks, self.sign * order.price)
        level.orders[order.order_id] = order
        level.total += order.visible
        level.whole += order.quantity
        return level.total

    def remove(self, order: RestingOrder) -> int:
        """Remove an order; return the level's new total."""
        level = self.by_price[order.price]
        del level.orders[order.order_id]
        level.total -= order.visible
        level.whole -= order.quantity
        if not level.orders:
            del self.by_price[order.price]
            del self.ranks[bisect_left(self.ranks, self.sign * order.price)]
        return level.total

    def shrink(self, order: RestingOrder, quantity: int) -> int:
        """Reduce an order by a part of its quantity, hidden first; return the level's new total."""
        level = self.by_price[order.price]
        level.total -= order.visible
        order.hidden -= min(order.hidden, quantity)
        order.quantity -= quantity
        level.whole -= quantity
        level.total += order.visible
        return level.total

    def take(self, order: RestingOrder, quantity: int) -> int:
        """Fill a part of what an order shows; return the level's new total.

        If nothing is left of it, the order shows its next slice, behind all others.
        """
        level = self.by_price[order.price]
        level.total -= quantity
        level.whole -= quantity
        order.quantity -= quantity
        if order.visible == 0:
            order.show()
            level.total += order.visible
            level.orders.move_to_end(order.order_id)
        return level.total

    def oldest(self, price: int) -> RestingOrder:
        """Return the order with priority at a price."""
        return next(iter(self.by_price[price].orders.values()))
