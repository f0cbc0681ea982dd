"""The pages of an ``orders`` reply, joined again."""

from __future__ import annotations

from fastbook_wire.frames import OrdersFrame, OrderView


class OrderPages:
    """The pages of one connection that have arrived; those of one reply follow one another."""

    def __init__(self) -> None:
        self._orders: list[OrderView] = []

    def joined(self, page: OrdersFrame) -> OrdersFrame | None:
        """Return the whole reply if this is its last page, else None."""
        self._orders += page.orders
        if page.more:
            return None
        orders, self._orders = tuple(self._orders), []
        return OrdersFrame(ref=page.ref, orders=orders)
