"""How many open orders each user has, counted from the events of committed batches."""

from __future__ import annotations

from collections import Counter
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
        self._counts = Counter(resting.order.user_id for resting in recovered)

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def __contains__(self, user_id: str) -> bool:
        return user_id in self._counts

    def follow(self, events: Iterable[OrderEvent]) -> None:
        """Count the orders that a batch has opened and ended."""
        for event in events:
            match event:
                case OrderRested(order) | OrderHeld(order):
                    self._counts[order.user_id] += 1
                case OrderTriggered(order=order):  # it enters the book, and may come to rest
                    self._ended(order.user_id)
                case OrderAmended(order=order):
                    if event.in_book and not event.stays:  # so does this one
                        self._ended(order.user_id)
                case OrderFilled(maker=maker):
                    if not event.maker_remaining:
                        self._ended(maker.user_id)
                case OrderCancelled(order=order):
                    if event.rested or event.held:
                        self._ended(order.user_id)
                case OrderAccepted():
                    pass
                case _:
                    assert_never(event)

    def _ended(self, user_id: str) -> None:
        self._counts[user_id] -= 1
        if not self._counts[user_id]:
            del self._counts[user_id]
