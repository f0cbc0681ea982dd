"""How many open orders each user has, counted from the events of committed batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import assert_never

from fastbook_server.values.events import (
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderEvent,
    OrderFilled,
    OrderHeld,
    OrderRested,
    OrderTriggered,
)
from fastbook_server.values.persisted import OpenOrder


class OpenOrderCounts:
    """The users who have orders in any book. `recovered` are the open orders at the start."""

    def __init__(self, recovered: Iterable[OpenOrder] = ()) -> None:
        self._counts: dict[str, int] = {}
        self._begin(recovered)

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def __contains__(self, user_id: str) -> bool:
        return user_id in self._counts

    def total(self) -> int:
        """Return how many orders are open. O(users)."""
        return sum(self._counts.values())

    def follow(self, events: Iterable[OrderEvent]) -> None:
        """Count the orders that a batch has opened and ended."""
        for event in events:
            match event:
                case OrderAccepted():
                    pass
                case OrderRested() as rested:
                    self._began(rested.order.user_id)
                case OrderCancelled() as cancelled:
                    if cancelled.rested or cancelled.held:
                        self._ended(cancelled.order.user_id)
                case OrderFilled() as filled:
                    if not filled.maker_remaining:
                        self._ended(filled.maker.user_id)
                case OrderHeld() as held:
                    self._began(held.order.user_id)
                case OrderTriggered() as triggered:  # it enters the book, and may come to rest
                    self._ended(triggered.order.user_id)
                case OrderAmended() as amended:
                    if amended.in_book and not amended.stays:  # so does this one
                        self._ended(amended.order.user_id)
                case _:
                    assert_never(event)

    def _begin(self, recovered: Iterable[OpenOrder]) -> None:
        for resting in recovered:
            self._began(resting.order.user_id)

    def _began(self, user_id: str) -> None:
        self._counts[user_id] = self._counts.get(user_id, 0) + 1

    def _ended(self, user_id: str) -> None:
        count = self._counts[user_id] - 1
        if count:
            self._counts[user_id] = count
        else:
            del self._counts[user_id]
