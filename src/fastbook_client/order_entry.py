"""Sends order commands, gives every order an id, and remembers those whose reply is missing."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

import msgspec

from fastbook_client.errors import ConnectionClosed, FastbookError, NotConnected, Unanswered
from fastbook_client.events import OrderState
from fastbook_client.link import Link
from fastbook_client.unsettled import Unsettled
from fastbook_wire.commands import COMMANDS_PER_FRAME_MAX, Add, NewOrder, OrderCommand
from fastbook_wire.frames import DeletedAll, OrderFrame


class OrderEntry:
    """The order commands of one market, over all its connections."""

    def __init__(self) -> None:
        self.unsettled = Unsettled()
        self._prefix = secrets.token_hex(5)
        self._orders_placed = 0

    async def place(self, link: Link, order: NewOrder) -> OrderState:
        """Place one order; return its state, or raise why there is none."""
        (state,) = await self.submit(link, (order,))
        if isinstance(state, FastbookError):
            raise state
        assert isinstance(state, OrderState)
        return state

    async def submit(
        self, link: Link, commands: Iterable[NewOrder | OrderCommand]
    ) -> list[OrderState | int | FastbookError]:
        """Send commands in one frame; see `fastbook_client.Market.submit`."""
        assert link.welcome is not None, "open_link() waits for it"
        user_id, security = link.welcome.user_id, link.welcome.security
        if isinstance(commands, str) or not isinstance(commands, Iterable):
            raise TypeError(f"commands: expected a list of commands, got {commands!r}")
        sent = [self._own(command, security) for command in commands]
        if not 1 <= len(sent) <= COMMANDS_PER_FRAME_MAX:
            raise ValueError(f"expected 1 to {COMMANDS_PER_FRAME_MAX} commands, got {len(sent)}")
        order_ids = [c.order.client_order_id for c in sent if isinstance(c, Add)]
        for order_id in filter(None, order_ids):
            self.unsettled.sent(order_id, user_id)
        try:
            replies = await link.request_all(sent)
        except (NotConnected, ConnectionClosed):
            for order_id in filter(None, order_ids):
                self.unsettled.answered(order_id)
            raise
        unanswered = {r.client_order_id for r in replies if isinstance(r, Unanswered)}
        for order_id in filter(None, order_ids):
            if order_id not in unanswered:
                self.unsettled.answered(order_id)
        return [_result(reply) for reply in replies]

    def _own(self, command: NewOrder | OrderCommand, security: str) -> OrderCommand:
        """Return a copy of a command; an order gets what all orders of this client have."""
        if not isinstance(command, NewOrder | OrderCommand):
            names = ", ".join(kind.__name__ for kind in OrderCommand.__args__)
            raise TypeError(f"commands: expected NewOrder, {names}, got {command!r}")
        if not isinstance(command, NewOrder | Add):
            return msgspec.structs.replace(command)
        order = command if isinstance(command, NewOrder) else command.order
        return Add(
            order=msgspec.structs.replace(
                order,
                security=security if order.security is None else order.security,
                client_order_id=self._new_order_id()
                if order.client_order_id is None
                else order.client_order_id,
            )
        )

    def _new_order_id(self) -> str:
        self._orders_placed += 1
        return f"{self._prefix}-{self._orders_placed}"


def _result(reply: Any) -> OrderState | int | FastbookError:
    match reply:
        case OrderFrame():
            return OrderState.of(reply)
        case DeletedAll():
            return reply.count
    assert isinstance(reply, FastbookError), f"no reply to an order command: {reply!r}"
    return reply
