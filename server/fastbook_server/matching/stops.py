"""Stop orders that wait for the price of a fill."""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import deque

from fastbook_server.matching.order_progress import OrderProgress
from fastbook_wire.words import SideName

_Key = tuple[int, int]  # how soon a moving price meets it; then the order's seq

_SIGNS: dict[SideName, int] = {"bid": 1, "ask": -1}


class Stops:
    """The waiting stop orders of one security, and the price of its last fill in ticks.

    A bid is triggered by a fill at its trigger price or above, an ask at or below. Those that one
    fill triggers follow in the order in which a price on its way there would meet them, the oldest
    first at the same trigger price.
    """

    def __init__(self, last_price: int | None) -> None:
        self.last_price = last_price
        self.triggered: deque[OrderProgress] = deque()
        self._waiting: dict[int, OrderProgress] = {}  # by seq
        self._keys: dict[SideName, list[_Key]] = {"bid": [], "ask": []}

    def meets(self, side: SideName, trigger_price: int) -> bool:
        """Whether the last fill triggers an order of `side` at once."""
        sign, last = _SIGNS[side], self.last_price
        return last is not None and sign * trigger_price <= sign * last

    def hold(self, progress: OrderProgress) -> None:
        """Let an order wait."""
        self._waiting[progress.order.seq] = progress
        insort(self._keys[progress.order.side], _key(progress))

    def release(self, progress: OrderProgress) -> None:
        """Let an order wait no longer."""
        del self._waiting[progress.order.seq]
        keys = self._keys[progress.order.side]
        del keys[bisect_left(keys, _key(progress))]

    def filled(self, price: int) -> None:
        """Note a fill; the orders that it triggers join ``triggered``."""
        self.last_price = price
        if self._waiting:
            self._trigger(price)

    def _trigger(self, price: int) -> None:
        met = []
        for side, sign in _SIGNS.items():
            keys = self._keys[side]
            count = bisect_left(keys, (sign * price + 1, 0))
            if count:
                met.append([(trigger - sign * price, seq) for trigger, seq in keys[:count]])
                del keys[:count]
        self.triggered.extend(self._waiting.pop(seq) for _, seq in heapq.merge(*met))


def _key(progress: OrderProgress) -> _Key:
    order = progress.order
    assert order.trigger_price is not None, "only stop orders wait"
    return _SIGNS[order.side] * order.trigger_price, order.seq
