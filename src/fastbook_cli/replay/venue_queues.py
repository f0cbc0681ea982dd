"""The queues of a venue's book, as a recording tells of them."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

from fastbook_wire.words import SideName


class Queued:
    """An order that rests at the venue; ``is_in``: in our market too, under its ``name``."""

    __slots__ = ("amount", "filled", "id", "is_in", "name", "price", "side")

    def __init__(self, order_id: str, side: SideName, price: Any, amount: Any) -> None:
        self.id = order_id
        self.name = order_id  # in our market, where an id is never given twice
        self.side = side
        self.price = price
        self.amount = amount  # what is left of it
        self.filled = 0 * amount
        self.is_in = False  # placed in our market


class Queues:
    """The queues of one side: prices best first, orders oldest first."""

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._queues: dict[Any, dict[str, Queued]] = {}
        self._heap: list[Any] = []

    def push(self, order: Queued) -> None:
        """Put an order behind all others at its price."""
        queue = self._queues.get(order.price)
        if queue is None:
            queue = self._queues[order.price] = {}
            heappush(self._heap, self._sign * order.price)
        queue[order.id] = order

    def pull(self, order: Queued) -> None:
        """Take an order out."""
        queue = self._queues[order.price]
        del queue[order.id]
        if not queue:
            del self._queues[order.price]

    def best(self) -> dict[str, Queued] | None:
        """Return the orders at the best price by id, None if there are none."""
        heap = self._heap
        while heap:
            queue = self._queues.get(self._sign * heap[0])
            if queue:
                return queue
            heappop(heap)
        return None

    def meets(self, limit: Any, fills: Sequence[tuple[str, Any, Any]]) -> bool:
        """Return whether more than these fills can be had at `limit` (None: at any price)."""
        filled: dict[str, Any] = {}
        for maker, _, amount in fills:
            filled[maker] = filled.get(maker, 0) + amount
        for price in sorted(self._queues, key=lambda price: self._sign * price):
            if limit is not None and self._sign * price > self._sign * limit:
                return False
            for order in self._queues[price].values():
                if order.amount > filled.get(order.id, 0):
                    return True
        return False

    def before(self, order: Queued) -> list[Queued]:
        """Return all orders that have priority over one."""
        if (best := self.best()) is not None and next(iter(best)) == order.id:
            return []
        found = []
        limit = self._sign * order.price
        for price in sorted(p for p in self._queues if self._sign * p <= limit):
            for other in self._queues[price].values():
                if other is order:
                    break
                found.append(other)
        return found
