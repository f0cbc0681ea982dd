"""Which order a command is about: named by the server's id or by the client's."""

from __future__ import annotations

from collections.abc import Iterable

from fastbook_server.matching.order_progress import OrderProgress
from fastbook_server.matching.owners import Owners
from fastbook_server.matching.refusals import unknown_order
from fastbook_server.matching.security_book import SecurityBook
from fastbook_server.values.ids import INSTRUMENT_MAX, place
from fastbook_wire.commands import Amend, Delete, GetOrder


class KnownOrders:
    """The orders of all users: the open ones, and those that are remembered by client order id."""

    def __init__(self, markets: Iterable[SecurityBook], owners: Owners) -> None:
        self._by_number = {market.instrument.number: market for market in markets}
        self._owners = owners

    def open(self, user_id: str, command: Amend | Delete, time_ms: int) -> OrderProgress:
        """Return the user's open order. Whether an id exists is not revealed to other users."""
        found = self._any(user_id, command, time_ms)
        if found is None or not found.is_open():
            raise unknown_order("open order", command)
        return found

    def remembered(self, user_id: str, command: GetOrder, time_ms: int) -> OrderProgress:
        """Return the user's order, open or ended, as far as it is remembered here."""
        found = self._any(user_id, command, time_ms)
        if found is None:
            raise unknown_order("order", command)
        return found

    def _any(
        self, user_id: str, command: Amend | Delete | GetOrder, time_ms: int
    ) -> OrderProgress | None:
        if command.client_order_id is not None:
            return self._owners.client_order(user_id, command.client_order_id, time_ms)
        order_id = command.id or ""
        claim = place(order_id)
        market = self._by_number.get(claim & INSTRUMENT_MAX)
        if claim < 0 or market is None:
            return None
        found = market.open.get(claim // (INSTRUMENT_MAX + 1))
        if found is None or found.order.id != order_id or found.order.user_id != user_id:
            return None
        return found
