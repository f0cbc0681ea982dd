"""What the exchange remembers of its participants: open orders and client order ids."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable

import msgspec

from fastbook_server.values.events import Order, OrderReport
from fastbook_server.values.persisted import CLIENT_ORDERS_KEPT_MS
from fastbook_wire.words import Reason, Status


class OrderProgress(msgspec.Struct, eq=False, gc=False):
    """What changes of an order: kept while it is open, longer if it bears a client order id.

    There can be millions, and none is part of a cycle: the garbage collector need not walk them.
    """

    order: Order
    remaining: int
    notional: int = 0
    status: Status = "open"
    reason: Reason | None = None

    def __post_init__(self) -> None:
        if self.status == "open" and self.remaining < self.order.quantity:
            self.status = "partiallyFilled"

    @property
    def is_open(self) -> bool:
        """Whether it may still trade."""
        return self.status == "open" or self.status == "partiallyFilled"

    def fill(self, price: int, quantity: int) -> None:
        """Count one fill of `quantity` lots at `price` ticks."""
        self.remaining -= quantity
        self.notional += price * quantity
        self.status = "partiallyFilled" if self.remaining else "filled"

    def cancel(self, reason: Reason) -> None:
        """End it; ``remaining`` stays what had not been filled."""
        self.status = "cancelled"
        self.reason = reason

    def report(
        self,
        ref: str | int | None = None,
        last_price: int | None = None,
        last_quantity: int | None = None,
    ) -> OrderReport:
        """Return the state as its owner is told it."""
        return OrderReport(
            self.order.user_id,
            ref,
            self.order,
            self.status,
            self.remaining,
            self.notional,
            self.reason,
            last_price,
            last_quantity,
        )


class Owner:
    """A user with open orders: their orders by id, and the number that the books know them by."""

    __slots__ = ("open", "owner", "user_id")

    def __init__(self, user_id: str, owner: int) -> None:
        self.user_id = user_id
        self.owner = owner
        self.open: dict[str, OrderProgress] = {}


class Owners:
    """All users with open orders, and the client order ids of the last 24 hours.

    Owner numbers are 32-bit in the books, so they are given back when a user's last order leaves:
    an order's owner number stays theirs for as long as any order of theirs rests.
    """

    def __init__(self) -> None:
        self._accounts: dict[str, Owner] = {}
        self._free_owners: list[int] = []
        self._owners = 0
        self._open = 0
        # Ordered by age; a plain dict's oldest entry is slow to find once many older ones are gone.
        self._client_orders: OrderedDict[tuple[str, str], OrderProgress] = OrderedDict()
        self._remembered: Counter[str] = Counter()  # by user

    def account(self, user_id: str) -> Owner:
        """Return the user's account, a new one if they have no open order."""
        account = self._accounts.get(user_id)
        if account is None:
            if self._free_owners:
                owner = self._free_owners.pop()
            else:
                self._owners = owner = self._owners + 1
            account = self._accounts[user_id] = Owner(user_id, owner)
        return account

    def release_if_idle(self, account: Owner) -> None:
        """Give back the owner number of a user without open orders; harmless when done twice."""
        if not account.open and self._accounts.pop(account.user_id, None) is not None:
            self._free_owners.append(account.owner)

    def opened(self, account: Owner, state: OrderProgress) -> None:
        """Note that an order came to rest."""
        self._open += 1
        account.open[state.order.id] = state

    def closed(self, state: OrderProgress) -> Owner:
        """Note that an order left the book; returns its owner's account, perhaps idle now."""
        self._open -= 1
        account = self._accounts[state.order.user_id]
        del account.open[state.order.id]
        return account

    def open_orders(self, user_id: str) -> Iterable[OrderProgress]:
        """Return the user's open orders, oldest first."""
        account = self._accounts.get(user_id)
        return list(account.open.values()) if account is not None else []

    def open_count(self, user_id: str) -> int:
        """Return how many open orders the user has."""
        account = self._accounts.get(user_id)
        return len(account.open) if account is not None else 0

    def open_total(self) -> int:
        """Return how many orders are open, of all users."""
        return self._open

    def users_with_open_orders(self) -> dict[str, bool]:
        """Return these users; True if they must not outlive their user's connection.

        Their newest order says so: it came over the user's last connection.
        """
        return {
            user_id: max(a.open.values(), key=lambda s: s.order.id).order.withdraw_on_close
            for user_id, a in self._accounts.items()
        }

    def client_order(
        self, user_id: str, client_order_id: str, time_ms: int
    ) -> OrderProgress | None:
        """Return the order that bore this id, open or not; one that ended is known for 24 h."""
        state = self._client_orders.get((user_id, client_order_id))
        if state is None or not (state.is_open or _is_recent(state, time_ms)):
            return None
        return state

    def remember(self, state: OrderProgress) -> None:
        """Keep an order findable by its client order id."""
        assert state.order.client_order_id is not None
        key = state.order.user_id, state.order.client_order_id
        if key not in self._client_orders:
            self._remembered[key[0]] += 1
        self._client_orders[key] = state
        self._client_orders.move_to_end(key)  # an id that comes again after its 24 h

    def remembered(self, user_id: str) -> int:
        """Return how many client order ids of the user are known."""
        return self._remembered[user_id]

    def remembered_total(self) -> int:
        """Return how many client order ids are known, of all users."""
        return len(self._client_orders)

    def expire(self, time_ms: int) -> None:
        """Forget client order ids older than 24 h whose order has left the book.

        Looks at two of the oldest only, so that the cost of forgetting is spread evenly over the
        orders that come; an old order that still rests goes to the back of the line.
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
