"""How many open orders each user has, counted from the events of committed batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import assert_never

from fastbook_server.values.events import (
    OrderAccepted,
    OrderCancelled,
    OrderEvent,
    OrderFilled,
    OrderRested,
)
from fastbook_server.values.persisted import OpenOrder


class OpenOrderCounts:
    """The users who have orders in any book. `recovered` are the open orders at the start."""

    def __init__(self, recovered: Iterable[OpenOrder] = ()) -> None:
        self._counts = Counter(resting.order.user_id for resting in recovered)

    def __contains__(self, user_id: str) -> bool:
        return user_id in self._counts

    def follow(self, events: Iterable[OrderEvent]) -> None:
        """Count the orders that a batch has opened and ended."""
        for event in events:
            match event:
                case OrderRested(order):
                    self._counts[order.user_id] += 1
                case OrderFilled(maker=maker):
                    if not event.maker_remaining:
                        self._ended(maker.user_id)
                case OrderCancelled(order=order):
                    if event.rested:
                        self._ended(order.user_id)
                case OrderAccepted():
                    pass
                case _:
                    assert_never(event)

    def _ended(self, user_id: str) -> None:
        self._counts[user_id] -= 1
        if not self._counts[user_id]:
            del self._counts[user_id]


def cancelled_with_their_user(open_orders: Iterable[OpenOrder]) -> dict[str, bool]:
    """Return the users with open orders; True if those must not outlive the user's connection.

    A user's newest order decides: it came over the user's last connection.
    """
    newest: dict[str, OpenOrder] = {}
    for resting in open_orders:
        known = newest.get(resting.order.user_id)
        if known is None or resting.order.id > known.order.id:  # ids sort by age
            newest[resting.order.user_id] = resting
    return {user_id: resting.order.withdraw_on_close for user_id, resting in newest.items()}
