"""Finds out, without side effects, what became of orders whose reply was lost.

The wire has no query for this, so the client sends a *probe*: an order with the same client order
id but other content (one lot, post-only, at the lowest price). If the original order arrived, the
server refuses the probe as a duplicate; sending the original again then returns its state without
executing it twice. If it did not arrive, the probe is refused for another reason, or it rests
briefly at the lowest price and is cancelled at once.

An order that has not arrived cannot arrive later: once a user has resumed, the server no longer
reads from the previous connection.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict

from fastbook_client.errors import FastbookError, Rejected
from fastbook_client.events import OrderState
from fastbook_client.link import Link
from fastbook_wire.commands import Add, Delete, NewOrder
from fastbook_wire.words import Code

UNANSWERED_MAX = 10_000
"""Unanswered orders that are remembered; beyond it the oldest are forgotten."""

# Checked by the server after the client order id, so they prove that the id is unknown.
_ID_IS_UNUSED = {Code.POST_ONLY_WOULD_CROSS, Code.TOO_MANY_ORDERS, Code.HALTED}


class Outcomes:
    """The unanswered orders of a link, by client order id."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._unanswered: OrderedDict[str, tuple[str, NewOrder]] = OrderedDict()

    def note(self, user_id: str, order: NewOrder) -> None:
        """Remember that `order`, placed by `user_id`, got no reply."""
        assert order.client_order_id is not None, "every order has one"
        self._unanswered[order.client_order_id] = (user_id, order)
        if len(self._unanswered) > UNANSWERED_MAX:
            self._unanswered.popitem(last=False)

    async def find(self, client_order_id: str) -> OrderState | None:
        """Return the order's state, or None if it never arrived; see `Market.outcome`."""
        if client_order_id not in self._unanswered:
            raise FastbookError(f"{client_order_id!r} is not the id of an unanswered order")
        user_id, order = self._unanswered[client_order_id]
        welcome = self._link.welcome
        assert welcome is not None, "it has been connected"
        if user_id != welcome.user_id:
            raise FastbookError(
                f"{client_order_id!r} was placed by {user_id}, a user the server has forgotten "
                f"(now {welcome.user_id}); the public trades show whether it traded"
            )
        state = None
        # Shielded: if the caller is cancelled, the probe must still not stay in the book.
        probing = asyncio.create_task(self._has_arrived(client_order_id, order))
        probing.add_done_callback(lambda done: done.cancelled() or done.exception())
        if await asyncio.shield(probing):
            state = OrderState.of(await self._link.request(Add(order=order)))
        self._unanswered.pop(client_order_id, None)
        return state

    async def _has_arrived(self, client_order_id: str, order: NewOrder) -> bool:
        assert self._link.welcome is not None
        instruments = self._link.welcome.instruments
        instrument = next(i for i in instruments if i.security == order.security)
        probe = NewOrder(
            type="bid",
            exec_type="limit",
            price=instrument.tick_size,
            amount=instrument.lot_size,
            security=order.security,
            post_only=True,
            client_order_id=client_order_id,
        )
        try:
            reply = OrderState.of(await self._link.request(Add(order=probe)))
        except Rejected as rejected:
            if rejected.code == Code.DUPLICATE_CLIENT_ORDER_ID:
                return True
            if rejected.code in _ID_IS_UNUSED:
                return False
            raise
        with contextlib.suppress(Rejected):  # it has traded: somebody sold at the lowest price
            await self._link.request(Delete(id=reply.id))
        return False
