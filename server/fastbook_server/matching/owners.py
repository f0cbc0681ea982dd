"""The owners of orders: their open orders, and the client order ids of the last 24 hours."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable

from fastbook_server.matching.order_progress import OrderProgress
from fastbook_server.values.persisted import CLIENT_ORDERS_KEPT_MS


class Owner:
    """A user with open orders: the orders by id, and the user's owner number in the books."""

    __slots__ = ("number", "open", "user_id")

    def __init__(self, user_id: str, number: int) -> None:
        self.user_id = user_id
        self.number = number
        self.open: dict[str, OrderProgress] = {}


class Owners:
    """All users with open orders, and the client order ids of the last 24 hours.

    Owner numbers have 32 bits in the books, so one is reused once its user's last order has left.
    """

    def __init__(self) -> None:
        self._owners: dict[str, Owner] = {}
        self._free_numbers: list[int] = []
        self._numbers = 0
        self._open = 0
        # By age. A plain dict's oldest entry is slow to find once many older ones are gone.
        self._client_orders: OrderedDict[tuple[str, str], OrderProgress] = OrderedDict()
        self._remembered: Counter[str] = Counter()  # by user

    def owner(self, user_id: str) -> Owner:
        """Return the owner of this user id; a new one if the user has no open order."""
        owner = self._owners.get(user_id)
        if owner is None:
            if self._free_numbers:
                number = self._free_numbers.pop()
            else:
                self._numbers += 1
                number = self._numbers
            owner = self._owners[user_id] = Owner(user_id, number)
        return owner

    def release_if_idle(self, owner: Owner) -> None:
        """Free the number of an owner without open orders; harmless when repeated."""
        if not owner.open and self._owners.pop(owner.user_id, None) is not None:
            self._free_numbers.append(owner.number)

    def opened(self, owner: Owner, progress: OrderProgress) -> None:
        """Add an order that came to rest."""
        self._open += 1
        owner.open[progress.order.id] = progress

    def closed(self, progress: OrderProgress) -> Owner:
        """Remove an order that left the book; return its owner, who may be idle now."""
        self._open -= 1
        owner = self._owners[progress.order.user_id]
        del owner.open[progress.order.id]
        return owner

    def open_orders(self, user_id: str) -> Iterable[OrderProgress]:
        """Return the user's open orders, oldest first."""
        owner = self._owners.get(user_id)
        return list(owner.open.values()) if owner is not None else []

    def open_count(self, user_id: str) -> int:
        """Return how many open orders the user has."""
        owner = self._owners.get(user_id)
        return len(owner.open) if owner is not None else 0

    def open_total(self) -> int:
        """Return how many orders are open, over all users."""
        return self._open

    def client_order(
        self, user_id: str, client_order_id: str, time_ms: int
    ) -> OrderProgress | None:
        """Return the order with this id, open or ended; an ended one is remembered for 24 h."""
        state = self._client_orders.get((user_id, client_order_id))
        if state is None or not (state.is_open or _is_recent(state, time_ms)):
            return None
        return state

    def remember(self, state: OrderProgress) -> None:
        """Remember an order by its client order id."""
        assert state.order.client_order_id is not None
        key = state.order.user_id, state.order.client_order_id
        if key not in self._client_orders:
            self._remembered[key[0]] += 1
        self._client_orders[key] = state
        self._client_orders.move_to_end(key)  # the id may be reused after its 24 h

    def remembered(self, user_id: str) -> int:
        """Return how many client order ids of the user are remembered."""
        return self._remembered[user_id]

    def remembered_total(self) -> int:
        """Return how many client order ids are remembered, over all users."""
        return len(self._client_orders)

    def expire(self, time_ms: int) -> None:
        """Forget client order ids older than 24 h whose order has left the book.

        Only the two oldest are examined, which spreads the cost over the incoming orders. An old
        order that still rests moves to the back of the queue.
        """
        for _ in range(2):
            oldest = next(iter(self._client_orders.items()), None)
            if oldest is None:
                return
            key, state = oldest
            if _is_recent(state, time_ms):
                return
            if state.is_open:
                self._client_orders.move_to_end(key)
            else:
                del self._client_orders[key]
                self._remembered[key[0]] -= 1
                if not self._remembered[key[0]]:
                    del self._remembered[key[0]]


def _is_recent(state: OrderProgress, time_ms: int) -> bool:
    return state.order.time_ms >= time_ms - CLIENT_ORDERS_KEPT_MS
