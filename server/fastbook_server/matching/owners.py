"""The owners of orders: their open orders, and the client order ids of the last 24 hours."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from fastbook_server.matching.order_progress import OrderProgress
from fastbook_server.matching.refusals import overloaded
from fastbook_server.values.persisted import CLIENT_ORDERS_KEPT_MS

_Key = tuple[str, str]  # user id and client order id


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
        self._client_orders: dict[_Key, OrderProgress] = {}
        # The ended ones in the order of their ends, over all users and by user. An entry is void
        # once its id names a newer order. OrderedDict: a plain dict finds its oldest entry slowly.
        self._ended: OrderedDict[_Key, OrderProgress] = OrderedDict()
        self._none_old_until_ms = 0
        self._ended_of: dict[str, OrderedDict[_Key, None]] = {}
        self._remembered: dict[str, int] = {}  # how many, by user

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
        if owner is None:
            return []
        # Ids sort by age, over all securities and restarts.
        return sorted(owner.open.values(), key=lambda progress: progress.order.id)

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
        progress = self._client_orders.get((user_id, client_order_id))
        return None if progress is None or _is_old(progress, time_ms) else progress

    def remember(self, progress: OrderProgress, client_order_id: str) -> None:
        """Remember an order by one of its client order ids; call `ended` when it ends."""
        key = progress.order.user_id, client_order_id
        if key in self._client_orders:
            self._forget(key)  # the id may be reused after its 24 h
        self._client_orders[key] = progress
        self._remembered[key[0]] = self.remembered(key[0]) + 1
        if progress.ended_ms is not None:
            self._let_end(key, progress)

    def ended(self, progress: OrderProgress, time_ms: int) -> None:
        """Let the 24 hours of an order's client order ids begin; harmless for an order without."""
        progress.ended_ms = time_ms
        order = progress.order
        if order.client_order_id is not None:
            self._let_end((order.user_id, order.client_order_id), progress)
        for client_order_id in order.former_client_order_ids:
            self._let_end((order.user_id, client_order_id), progress)

    def _let_end(self, key: _Key, progress: OrderProgress) -> None:
        if self._client_orders.get(key) is progress:
            self._ended[key] = progress
            of_user = self._ended_of.get(key[0])
            if of_user is None:
                of_user = self._ended_of[key[0]] = OrderedDict()
            of_user[key] = None

    def remembered(self, user_id: str) -> int:
        """Return how many client order ids of the user are remembered."""
        return self._remembered.get(user_id, 0)

    def remembered_total(self) -> int:
        """Return how many client order ids are remembered, over all users."""
        return len(self._client_orders)

    def check_room(self, user_id: str, *, of_user_max: int, total_max: int) -> None:
        """Check that `make_room` could make room for one more client order id.

        Raises:
            RuleBroken: all client order ids are those of open orders.
        """
        if self.remembered(user_id) >= of_user_max and user_id not in self._ended_of:
            raise overloaded("client_order_ids_max", of_user_max)
        if len(self._client_orders) >= total_max and not self._ended:
            raise overloaded("client_order_ids_total_max", total_max)

    def make_room(self, user_id: str, of_user_max: int, total_max: int) -> None:
        """Forget ended orders, oldest first, until one more client order id keeps both bounds.

        Open orders are never forgotten, so their number must be bounded elsewhere. Beyond the total
        the user's own ids go first: nobody uses up what others rely on while ids of theirs remain.
        """
        while self.remembered(user_id) >= of_user_max and self._forget_oldest_of(user_id):
            pass
        while len(self._client_orders) >= total_max and self._ended:
            if not self._forget_oldest_of(user_id):
                self._forget(next(iter(self._ended)))

    def expire(self, time_ms: int) -> None:
        """Forget client order ids whose order ended more than 24 h ago.

        Only the two oldest are examined, which spreads the cost over the incoming orders.
        """
        if time_ms <= self._none_old_until_ms:
            return
        for _ in range(2):
            key = next(iter(self._ended), None)
            if key is None:
                return
            oldest = self._ended[key]
            if not _is_old(oldest, time_ms):
                self._none_old_until_ms = (oldest.ended_ms or 0) + CLIENT_ORDERS_KEPT_MS
                return
            self._forget(key)

    def _forget_oldest_of(self, user_id: str) -> bool:
        ended = self._ended_of.get(user_id)
        if not ended:
            return False
        self._forget(next(iter(ended)))
        return True

    def _forget(self, key: _Key) -> None:
        del self._client_orders[key]
        if self._ended.pop(key, None) is not None:
            of_user = self._ended_of[key[0]]
            del of_user[key]
            if not of_user:
                del self._ended_of[key[0]]
        self._remembered[key[0]] -= 1
        if not self._remembered[key[0]]:
            del self._remembered[key[0]]


def _is_old(progress: OrderProgress, time_ms: int) -> bool:
    ended_ms = progress.ended_ms
    return ended_ms is not None and ended_ms < time_ms - CLIENT_ORDERS_KEPT_MS
