"""The two names of an order: the id that the server gave it, and the client's own."""

from __future__ import annotations

import re

from fastbook_wire.frames import OrderFrame, OrderView

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def named(
    order: OrderView | OrderFrame | str | None, client_order_id: str | None
) -> tuple[str | None, str | None]:
    """Return the id and the client order id by which a command names an order: one of them."""
    if isinstance(order, OrderFrame):
        order = order.order
    if isinstance(order, OrderView):
        order = order.id
    if (order is None) == (client_order_id is None):
        raise TypeError("expected an order, or a client_order_id")
    if order is not None and not _UUID.fullmatch(order):
        return None, order
    return order, client_order_id
