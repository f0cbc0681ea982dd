"""What became of orders whose answer was lost with the connection, asked without risk.

The wire has no question for this, so it is asked in a way that is safe whether or not the order had
arrived: another order with the same client order id and other content (one lot, post-only, at
the lowest price) is refused as a duplicate if it had. Then the first one is sent again, which the
server answers with its state and does not execute. If it had not arrived, the other order is
refused for another reason, or rests at the lowest price for a moment and is withdrawn at once.

Nor can an order that had not arrived come later: once a user has resumed, the server no longer
listens to the connection before.
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
"""Orders that can still be asked about; older ones are forgotten."""

# Refusals that come after a client order id has been looked up: the server does not know it.
_ID_IS_UNUSED = {Code.POST_ONLY_WOULD_CROSS, Code.TOO_MANY_ORDERS, Code.HALTED}


class Outcomes:
    """The unanswered orders of a session, by client order id."""

    def __init__(self, session: Link) -> None:
        self._session = session
        self._unanswered: OrderedDict[str, tuple[str, NewOrder]] = OrderedDict()

    def note(self, user_id: str, order: NewOrder) -> None:
        """Note that `order`, sent as `user_id`, was not answered."""
        assert order.client_order_id is not None, "every order is given one"
        self._unanswered[order.client_order_id] = (user_id, order)
        if len(self._unanswered) > UNANSWERED_MAX:
            self._unanswered.popitem(last=False)

    async def ask(self, client_order_id: str) -> OrderState | None:
        """Return an order's state, or None if it never arrived; see `Market.outcome`."""
        if client_order_id not in self._unanswered:
            raise FastbookError(f"no order {client_order_id!r} is unanswered")
        user_id, order = self._unanswered[client_order_id]
        welcome = self._session.welcome
        assert welcome is not None, "it has been open"
        if user_id != welcome.user_id:
            raise FastbookError(
                f"{client_order_id!r} was sent as {user_id}, whom the server has forgotten: "
                f"now {welcome.user_id}; the public trades say whether it traded"
            )
        state = None
        # Who asks may be cancelled; the other order must not be left at rest by that.
        asking = asyncio.create_task(self._has_arrived(client_order_id, order))
        asking.add_done_callback(lambda done: done.cancelled() or done.exception())
        if await asyncio.shield(asking):
            state = OrderState.of(await self._session.ask(Add(order=order)))
        self._unanswered.pop(client_order_id, None)
        return state

    async def _has_arrived(self, client_order_id: str, order: NewOrder) -> bool:
        assert self._session.welcome is not None
        known = self._session.welcome.instruments
        instrument = next(i for i in known if i.security == order.security)
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
            reply = OrderState.of(await self._session.ask(Add(order=probe)))
        except Rejected as rejected:
            if rejected.code == Code.DUPLICATE_CLIENT_ORDER_ID:
                return True
            if rejected.code in _ID_IS_UNUSED:
                return False
            raise
        with contextlib.suppress(Rejected):  # somebody sold to it, at the lowest price there is
            await self._session.ask(Delete(id=reply.id))
        return False
