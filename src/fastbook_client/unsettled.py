"""Which user placed the orders whose reply is still missing, or never came."""

from __future__ import annotations

from collections import OrderedDict

from fastbook_client.errors import FastbookError

UNANSWERED_MAX = 10_000
"""Unanswered orders that are remembered; beyond it the oldest are forgotten."""


class Unsettled:
    """The users of unanswered orders, by client order id.

    A server that has forgotten a user knows nothing of that user's orders, so "there is no such
    order" is an answer only to the user who placed it.
    """

    def __init__(self) -> None:
        self._users: OrderedDict[str, str] = OrderedDict()

    def sent(self, client_order_id: str, user_id: str) -> None:
        """Remember who placed an order, until its reply comes."""
        self._users[client_order_id] = user_id
        if len(self._users) > UNANSWERED_MAX:
            self._users.popitem(last=False)

    def answered(self, client_order_id: str) -> None:
        """Forget an order whose state is known."""
        self._users.pop(client_order_id, None)

    def check(self, client_order_id: str, user_id: str) -> None:
        """Raise FastbookError if another user than `user_id` placed the order."""
        placed_by = self._users.get(client_order_id, user_id)
        if placed_by != user_id:
            raise FastbookError(
                f"{client_order_id!r} was placed by {placed_by}, a user the server has forgotten "
                f"(now {user_id}); the public trades show whether it traded"
            )
