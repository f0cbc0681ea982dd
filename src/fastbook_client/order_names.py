"""The two names of an order: the id that the server gave it, and the client's own."""

from __future__ import annotations

import re

from fastbook_client import arguments
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
    if client_order_id is not None:
        return None, arguments.text("client_order_id", client_order_id)
    if not isinstance(order, str):
        raise TypeError(f"order: expected an order or an id, got {order!r}")
    return (order, None) if _UUID.fullmatch(order) else (None, arguments.text("order", order))
