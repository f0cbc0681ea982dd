"""When open orders expire."""

from __future__ import annotations

import heapq

from fastbook_server.matching.order_progress import OrderProgress

COMPACT_MIN = 64
"""Ended orders are dropped once they are this many and more than half of all."""


class Expiries:
    """The open orders that expire, by their time, then by age."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str, OrderProgress]] = []
        self._ended = 0

    def next_ms(self) -> int | None:
        """Return the time of the next expiry, or that of an order which has ended meanwhile."""
        return self._heap[0][0] if self._heap else None

    def add(self, progress: OrderProgress, expire_ms: int) -> None:
        """Add an open order."""
        heapq.heappush(self._heap, (expire_ms, progress.order.id, progress))

    def ended(self) -> None:
        """Note that one of these orders has ended."""
        self._ended += 1
        if self._ended >= COMPACT_MIN and self._ended > len(self._heap) // 2:
            self._heap = [entry for entry in self._heap if entry[2].is_open()]
            heapq.heapify(self._heap)
            self._ended = 0

    def take_due(self, time_ms: int) -> list[OrderProgress]:
        """Return the open orders whose time has come; the caller must end them."""
        due = []
        while self._heap and self._heap[0][0] <= time_ms:
            progress = heapq.heappop(self._heap)[2]
            self._ended -= 1  # one that is due is about to end
            if progress.is_open():
                due.append(progress)
        return due
