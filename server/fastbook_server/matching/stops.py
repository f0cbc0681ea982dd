"""Orders that wait for the price of a fill: stop orders, and those that take a profit."""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import deque

from fastbook_server.matching.order_progress import OrderProgress
from fastbook_server.values.events import Order

_Key = tuple[int, int]  # how soon a moving price meets it; then the order's seq

_RISING, _FALLING = 1, -1


class Stops:
    """The waiting orders of one security, and the price of its last fill in ticks.

    A stop order to buy is triggered by a fill at its trigger price or above, one to sell at or
    below; an order that takes a profit the other way round. Those that one fill triggers follow in
    the order in which a price on its way there would meet them, the oldest first at the same
    trigger price.
    """

    def __init__(self, last_price: int | None) -> None:
        self.last_price = last_price
        self.triggered: deque[OrderProgress] = deque()
        self._waiting: dict[int, OrderProgress] = {}  # by seq
        self._keys: dict[int, list[_Key]] = {_RISING: [], _FALLING: []}

    def meets(self, order: Order) -> bool:
        """Whether the last fill triggers an order at once."""
        sign, last, trigger = _direction(order), self.last_price, order.trigger_price
        return last is not None and trigger is not None and sign * trigger <= sign * last

    def hold(self, progress: OrderProgress) -> None:
        """Let an order wait."""
        self._waiting[progress.order.seq] = progress
        insort(self._keys[_direction(progress.order)], _key(progress))

    def release(self, progress: OrderProgress) -> None:
        """Let an order wait no longer."""
        del self._waiting[progress.order.seq]
        keys = self._keys[_direction(progress.order)]
        del keys[bisect_left(keys, _key(progress))]

    def filled(self, price: int) -> None:
        """Note a fill; the orders that it triggers join ``triggered``."""
        self.last_price = price
        if self._waiting:
            self._trigger(price)

    def _trigger(self, price: int) -> None:
        met = []
        for sign, keys in self._keys.items():
            count = bisect_left(keys, (sign * price + 1, 0))
            if count:
                met.append([(trigger - sign * price, seq) for trigger, seq in keys[:count]])
                del keys[:count]
        self.triggered.extend(self._waiting.pop(seq) for _, seq in heapq.merge(*met))


def _direction(order: Order) -> int:
    """Return which way the price must move to trigger an order."""
    stops = order.exec_type in ("stop", "stopLimit")
    return _RISING if (order.side == "bid") is stops else _FALLING


def _key(progress: OrderProgress) -> _Key:
    order = progress.order
    assert order.trigger_price is not None, "only such orders wait"
    return _direction(order) * order.trigger_price, order.seq
