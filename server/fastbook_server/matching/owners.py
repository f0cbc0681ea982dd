"""The owners of orders: their open orders, and the client order ids of the last 24 hours."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import cython

from fastbook_server.matching.order_progress import OrderProgress
from fastbook_server.matching.refusals import overloaded
from fastbook_server.values.persisted import CLIENT_ORDERS_KEPT_MS

VOID_MAX = 64
"""Entries of forgotten ids are dropped once they are this many and more than half of all."""


@cython.no_gc
@cython.cclass
class Remembered:
    """A client order id of a user, and the order that it names."""

    __slots__ = ("has_ended", "is_forgotten", "name", "progress", "user_id")

    def __init__(self, user_id: str, name: str, progress: OrderProgress) -> None:
        self.user_id = user_id
        self.name = name
        self.progress = progress
        self.has_ended = False
        self.is_forgotten = False


class Ended:
    """Client order ids of ended orders, in the order of their ends."""

    def __init__(self) -> None:
        self.count = 0
        self._entries: deque[Remembered] = deque()  # some of them forgotten

    def add(self, remembered: Remembered) -> None:
        """Add an id whose order has just ended."""
        self.count += 1
        self._entries.append(remembered)

    def forgotten(self) -> None:
        """Note that one of the ids has been forgotten."""
        self.count -= 1
        void = len(self._entries) - self.count
        if void > VOID_MAX and void > self.count:
            self._entries = deque(e for e in self._entries if not e.is_forgotten)

    def oldest(self) -> Remembered | None:
        """Return the id that has been in it for longest."""
        while self._entries and self._entries[0].is_forgotten:
            self._entries.popleft()
        return self._entries[0] if self._entries else None


class Owner:
    """A user with orders: the open ones by id, and all that are known by client order id.

    ``number`` is the owner's in the books; 0: none, for there is no open order. ``open`` is in the
    order of ids if ``is_sorted``; none of them is above ``newest``.
    """

    __slots__ = ("ended", "is_sorted", "names", "newest", "number", "open", "user_id")

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.number = 0
        self.open: dict[str, OrderProgress] = {}
        self.is_sorted = True
        self.newest = ""
        self.names: dict[str, Remembered] = {}
        self.ended = Ended()


class Owners:
    """All users with open orders, and the client order ids of the last 24 hours.

    Owner numbers have 32 bits in the books, so one is reused once its user's last order has left.
    """

    def __init__(self) -> None:
        self._owners: dict[str, Owner] = {}
        self._free_numbers: list[int] = []
        self._numbers = 0
        self._open = 0
        self._remembered = 0
        self._ended = Ended()  # of all users
        self._none_old_until_ms = 0

    def owner(self, user_id: str) -> Owner:
        """Return the owner of this user id, who has a number now."""
        owner = self._any_owner(user_id)
        if not owner.number:
            if self._free_numbers:
                owner.number = self._free_numbers.pop()
            else:
                self._numbers += 1
                owner.number = self._numbers
        return owner

    def _any_owner(self, user_id: str) -> Owner:
        owner = self._owners.get(user_id)
        if owner is None:
            owner = self._owners[user_id] = Owner(user_id)
        return owner

    def release_if_idle(self, owner: Owner) -> None:
        """Free the number of an owner without open orders; harmless when repeated."""
        if not owner.open:
            if owner.number:
                self._free_numbers.append(owner.number)
                owner.number = 0
            self._drop_if_done(owner)

    def _drop_if_done(self, owner: Owner) -> None:
        if not (owner.number or owner.names):
            self._owners.pop(owner.user_id, None)

    def opened(self, owner: Owner, progress: OrderProgress) -> None:
        """Add an order that came to rest."""
        self._open += 1
        order_id = progress.order.id
        if order_id > owner.newest:
            owner.newest = order_id
        else:  # it has waited for its trigger, or has changed
            owner.is_sorted = False
        owner.open[order_id] = progress

    def closed(self, progress: OrderProgress) -> Owner:
        """Remove an order that left the book; return its owner, who may be idle now."""
        self._open -= 1
        owner = self._owners[progress.order.user_id]
        del owner.open[progress.order.id]
        if not owner.open:
            owner.is_sorted = True
        return owner

    def open_orders(self, user_id: str) -> Iterable[OrderProgress]:
        """Return the user's open orders, oldest first; none may open or close meanwhile.

        They are looked up as they are asked for, so that many of them can be taken in steps.
        """
        owner = self._owners.get(user_id)
        if owner is None:
            return ()
        if owner.is_sorted:
            return owner.open.values()
        # Ids sort by age, over all securities and restarts.
        return map(owner.open.__getitem__, sorted(owner.open))

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
        owner = self._owners.get(user_id)
        known = None if owner is None else owner.names.get(client_order_id)
        return None if known is None or _is_old(known.progress, time_ms) else known.progress

    def remember(self, progress: OrderProgress, client_order_id: str) -> None:
        """Remember an order by one of its client order ids; call `ended` when it ends."""
        user_id = progress.order.user_id
        owner = self._any_owner(user_id)
        known = owner.names.get(client_order_id)
        if known is not None:
            self._forget(owner, known)  # the id may be reused after its 24 h
            owner = self._any_owner(user_id)
        known = Remembered(user_id, client_order_id, progress)
        owner.names[client_order_id] = known
        self._remembered += 1
        if progress.ended_ms is not None:
            self._let_end(owner, known)

    def ended(self, progress: OrderProgress, time_ms: int) -> None:
        """Let the 24 hours of an order's client order ids begin; harmless for an order without."""
        progress.ended_ms = time_ms
        order = progress.order
        owner = self._owners.get(order.user_id)
        if owner is not None and order.client_order_id is not None:
            self._let_name_end(owner, progress, order.client_order_id)
            for client_order_id in order.former_client_order_ids:
                self._let_name_end(owner, progress, client_order_id)

    def _let_name_end(self, owner: Owner, progress: OrderProgress, client_order_id: str) -> None:
        known = owner.names.get(client_order_id)
        if known is not None and known.progress is progress:
            self._let_end(owner, known)

    def _let_end(self, owner: Owner, known: Remembered) -> None:
        if not known.has_ended:
            known.has_ended = True
            self._ended.add(known)
            owner.ended.add(known)

    def remembered(self, user_id: str) -> int:
        """Return how many client order ids of the user are remembered."""
        owner = self._owners.get(user_id)
        return len(owner.names) if owner is not None else 0

    def remembered_total(self) -> int:
        """Return how many client order ids are remembered, over all users."""
        return self._remembered

    def check_room(self, user_id: str, *, of_user_max: int, total_max: int) -> None:
        """Check that `make_room` could make room for one more client order id.

        Raises:
            RuleBroken: all client order ids are those of open orders.
        """
        owner = self._owners.get(user_id)
        if owner is not None and len(owner.names) >= of_user_max and not owner.ended.count:
            raise overloaded("client_order_ids_max", of_user_max)
        if self._remembered >= total_max and not self._ended.count:
            raise overloaded("client_order_ids_total_max", total_max)

    def make_room(self, user_id: str, of_user_max: int, total_max: int) -> None:
        """Forget ended orders, oldest first, until one more client order id keeps both bounds.

        Open orders are never forgotten, so their number must be bounded elsewhere. Beyond the total
        the user's own ids go first: nobody uses up what others rely on while ids of theirs remain.
        """
        while self.remembered(user_id) >= of_user_max and self._forget_oldest_of(user_id):
            pass
        while self._remembered >= total_max and self._ended.count:
            if not self._forget_oldest_of(user_id):
                self._forget_oldest()

    def expire(self, time_ms: int) -> None:
        """Forget client order ids whose order ended more than 24 h ago.

        Only the two oldest are examined, which spreads the cost over the incoming orders.
        """
        if time_ms <= self._none_old_until_ms:
            return
        for _ in range(2):
            oldest = self._ended.oldest()
            if oldest is None:
                return
            if not _is_old(oldest.progress, time_ms):
                ended_ms = oldest.progress.ended_ms or 0
                self._none_old_until_ms = ended_ms + CLIENT_ORDERS_KEPT_MS
                return
            self._forget_oldest()

    def _forget_oldest_of(self, user_id: str) -> bool:
        owner = self._owners.get(user_id)
        oldest = None if owner is None else owner.ended.oldest()
        if owner is None or oldest is None:
            return False
        self._forget(owner, oldest)
        return True

    def _forget_oldest(self) -> None:
        oldest = self._ended.oldest()
        if oldest is not None:
            self._forget(self._owners[oldest.user_id], oldest)

    def _forget(self, owner: Owner, known: Remembered) -> None:
        del owner.names[known.name]
        self._remembered -= 1
        known.is_forgotten = True
        if known.has_ended:
            self._ended.forgotten()
            owner.ended.forgotten()
        self._drop_if_done(owner)


def _is_old(progress: OrderProgress, time_ms: int) -> bool:
    ended_ms = progress.ended_ms
    return ended_ms is not None and ended_ms < time_ms - CLIENT_ORDERS_KEPT_MS
