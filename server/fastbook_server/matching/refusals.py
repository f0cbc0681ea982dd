"""Refusals that are more than a code: of unknown orders, of bounds, of retries that are none."""

from __future__ import annotations

from fastbook_server.channels.order_channel import OVERLOADED_RETRY_MS
from fastbook_server.matching.order_progress import OrderProgress
from fastbook_server.matching.terms import RuleBroken, Terms, terms_of
from fastbook_server.values.accounts import is_account
from fastbook_server.values.events import Order
from fastbook_server.values.instruments import Instrument
from fastbook_wire.commands import Amend, Delete, GetOrder
from fastbook_wire.words import Code


def unknown_order(what: str, command: Amend | Delete | GetOrder) -> RuleBroken:
    """Return the refusal of a command about an order (`what`) that its user does not have."""
    name, given = "clientOrderId", command.client_order_id
    if given is None:
        name, given = "id", (command.id or "")[:40]
    return RuleBroken(Code.UNKNOWN_ORDER, f"{name}: you have no {what} with {given!r}")


def overloaded(name: str, bound: int) -> RuleBroken:
    """Return the refusal of a command beyond a bound over all users."""
    return RuleBroken(Code.OVERLOADED, f"{name} {bound} reached", OVERLOADED_RETRY_MS)


def duplicate(client_order_id: str, other: Order, field: str = "clientOrderId") -> RuleBroken:
    """Return the refusal of a client order id, in `field`, that names another of its user's."""
    return RuleBroken(
        Code.DUPLICATE_CLIENT_ORDER_ID,
        f"{field}: {client_order_id!r} names another order, {other.id}",
    )


def named_again(
    client_order_id: str, known: OrderProgress, instrument: Instrument, terms: Terms
) -> OrderProgress | None:
    """Return the order that a retry repeats; None if its client order id is free for another.

    That of an account is, once its order has ended; until then a repetition is refused.

    Raises:
        RuleBroken: the client order id was used for an order with other terms.
    """
    order = known.order
    if is_account(order.user_id):
        if known.is_open():
            raise duplicate(client_order_id, order)
        return None
    if order.instrument.security != instrument.security or terms_of(order) != terms:
        raise duplicate(client_order_id, order)
    return known
