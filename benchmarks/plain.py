"""The baseline: a careful order book in plain Python, written for speed.

It only counts trades and keeps a checksum over every (maker, taker, price, quantity), which shows
whether all engines in the tables make the same trades. Cancelled orders stay in their queue with a
quantity of 0 until they reach its front.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush

Row = tuple[int, int, int, int, int, int]  # op, side, order_id, new_order_id, price, quantity
Resting = list[int]  # order_id, side, price, quantity

WORD = 2**64 - 1
FAR = 2**62


class PlainBook:
    """Price-time priority with heaps of prices and queues of orders."""

    def __init__(self) -> None:
        self.resting: dict[int, Resting] = {}
        self.queues: tuple[dict[int, deque[Resting]], ...] = ({}, {})
        self.ranks: tuple[list[int], list[int]] = ([], [])  # heaps; the rank of a bid is -price
        self.trades = 0
        self.volume = 0
        self.check = 0

    def best(self, side: int) -> int | None:
        """Return the best price of a side, or None if it is empty."""
        ranks, queues = self.ranks[side], self.queues[side]
        while ranks:
            price = ranks[0] if side else -ranks[0]
            queue = queues[price]
            while queue and not queue[0][3]:
                queue.popleft()
            if queue:
                return price
            del queues[price]
            heappop(ranks)
        return None

    def take(self, order_id: int, side: int, limit: int, quantity: int) -> int:
        """Trade against the other side up to a price; return the remaining quantity."""
        other = 1 - side
        ranks, queues, resting = self.ranks[other], self.queues[other], self.resting
        limit_rank = limit if other else -limit
        while ranks and ranks[0] <= limit_rank:
            price = ranks[0] if other else -ranks[0]
            queue = queues[price]
            while queue:
                maker = queue[0]
                available = maker[3]
                if available == 0:
                    queue.popleft()
                    continue
                traded = available if available < quantity else quantity
                self.trades += 1
                self.volume += traded
                self.check = (
                    self.check * 1000003 + maker[0] * 31 + order_id * 17 + price * 7 + traded
                ) & WORD
                quantity -= traded
                maker[3] = available - traded
                if traded == available:
                    queue.popleft()
                    del resting[maker[0]]
                if quantity == 0:
                    return 0
            del queues[price]
            heappop(ranks)
        return quantity

    def limit(self, order_id: int, side: int, price: int, quantity: int) -> int:
        """Match a limit order, then rest the remainder; return its quantity."""
        quantity = self.take(order_id, side, price, quantity)
        if quantity:
            order = [order_id, side, price, quantity]
            self.resting[order_id] = order
            queue = self.queues[side].get(price)
            if queue is None:
                self.queues[side][price] = deque((order,))
                heappush(self.ranks[side], price if side else -price)
            else:
                queue.append(order)
        return quantity

    def cancel(self, order_id: int) -> None:
        """Cancel an order if it rests."""
        order = self.resting.pop(order_id, None)
        if order is not None:
            order[3] = 0

    def replace(self, order_id: int, new_order_id: int, price: int, quantity: int) -> int:
        """Cancel an order and place a new one; return the quantity that rests."""
        order = self.resting.pop(order_id, None)
        if order is None:
            return 0
        order[3] = 0
        return self.limit(new_order_id, order[1], price, quantity)

    def market(self, order_id: int, side: int, quantity: int) -> int:
        """Match a market order at any price; return the remaining quantity."""
        return self.take(order_id, side, 0 if side else FAR, quantity)

    def run(self, rows: list[Row]) -> None:
        """Execute the operations of a flow."""
        limit, cancel, replace, market = self.limit, self.cancel, self.replace, self.market
        for op, side, order_id, new_order_id, price, quantity in rows:
            if op == 0:
                limit(order_id, side, price, quantity)
            elif op == 1:
                cancel(order_id)
            elif op == 2:
                replace(order_id, new_order_id, price, quantity)
            else:
                market(order_id, side, quantity)
