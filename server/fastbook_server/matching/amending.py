"""What an ``amend`` asks for, checked against the order that it changes."""

from __future__ import annotations

from fastbook_server.matching.terms import RuleBroken, amount_of, check_display, price_of
from fastbook_server.values.events import CLIENT_ORDER_IDS_MAX, Order, changed
from fastbook_wire.commands import Amend
from fastbook_wire.words import Code


def amended(order: Order, command: Amend, filled: int) -> Order:
    """Return an open order with the terms that a command gives it; the same one if none differs.

    Raises:
        RuleBroken: a number is off its grid or out of range, the order takes no price, or the
            amount is below the `filled` lots, or the client order id is one too many.
    """
    instrument, price, quantity = order.instrument, order.price, order.quantity
    if command.price is not None:
        if price is None:
            raise RuleBroken(Code.INVALID_ORDER, f"price: a {order.exec_type} order takes none")
        price = price_of("price", command.price, instrument)
    if command.amount is not None:
        quantity = amount_of("amount", command.amount, instrument)
        if quantity < filled:
            raise RuleBroken(
                Code.AMOUNT_BELOW_FILLED,
                f"amount: expected at least the filled {instrument.lot.number(filled)!r}, "
                f"got {command.amount!r}",
            )
        if order.display:
            check_display(min(order.display, quantity), quantity, instrument)
    name, names = command.new_client_order_id or order.client_order_id, order.client_order_ids
    if name is not None and name not in names and len(names) >= CLIENT_ORDER_IDS_MAX:
        raise RuleBroken(
            Code.INVALID_ORDER,
            f"newClientOrderId: an order has at most {CLIENT_ORDER_IDS_MAX} client order ids, "
            "one after the other; give one again that it had",
        )
    if (price, quantity, name) == (order.price, order.quantity, order.client_order_id):
        return order
    return changed(order, price=price, quantity=quantity, client_order_id=name)
