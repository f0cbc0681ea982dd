"""The state of every order of a replay, from the server's replies and reports.

Each message carries the whole state of an order. The ledger keeps the latest one and computes all
sums from the final states, so a message received twice, or missed while the connection was down,
never distorts them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import msgspec

from fastbook_cli.errors import CommandError
from fastbook_cli.replay.recording import Action
from fastbook_wire.frames import Error, OrderFrame, OrdersFrame, OrderView, ServerFrame
from fastbook_wire.grid import Grid
from fastbook_wire.words import Code


class ReplayError(CommandError):
    """The replay cannot continue; the message says why."""


Reply = OrderFrame | OrdersFrame | Error
"""The frames a replay reads: replies to its commands, and reports of its orders."""

decode: Callable[[bytes], ServerFrame] = msgspec.json.Decoder(ServerFrame).decode


class OrderOutcome(msgspec.Struct, eq=False, gc=False):
    """The latest known state of an order; its ``status`` may be ``rejected``.

    ``action`` is the one that placed the order, once it has been answered.
    """

    status: str
    action: Action | None = None
    order_id: str | None = None
    side: str = ""
    amount: float = 0.0
    remaining: float = 0.0
    reason: str | None = None


class Ledger:
    """The orders of one session, by client order id; amounts are multiples of the server's `lot`.

    ``refused`` counts the refused adds by code, ``deletes_refused`` the refused deletes. A delete
    that came after the end of its order counts in neither.
    """

    def __init__(self) -> None:
        self.outcomes: dict[str, OrderOutcome] = {}
        self.open: dict[str, OrderOutcome] = {}
        self.refused: Counter[str] = Counter()
        self.deletes_refused: Counter[str] = Counter()
        self.lot = Grid.parse("1")
        self.adds = 0
        self.deletes = 0
        self.accepted = 0
        self.fills = 0
        self.fill_lots = 0

    def is_gone(self, client_order_id: str) -> bool:
        """Return whether the server has reported that this order does not rest."""
        return client_order_id in self.outcomes and client_order_id not in self.open

    # ---- messages -----------------------------------------------------------------------------

    def replied(self, action: Action, frame: OrderFrame) -> None:
        """Take note of the reply to a command of the recording."""
        if action.op == "add":
            self.adds += 1
            if frame.order is not None:
                self.reported(frame, action)
            else:
                self.refused[frame.code or "?"] += 1
                self.outcomes.setdefault(action.order_id, OrderOutcome("rejected"))
        else:
            self.deletes += 1
            if frame.order is not None:
                self.reported(frame)
            elif frame.code != Code.UNKNOWN_ORDER:
                self.deletes_refused[frame.code or "?"] += 1

    def skipped(self) -> None:
        """Count a delete that was not sent, because its order is known to have ended."""
        self.deletes += 1

    def reported(self, frame: OrderFrame, action: Action | None = None) -> None:
        """Take note of an order's state; `action` placed it, if this is the reply to that.

        Raises:
            ReplayError: this client order id was acknowledged as another order.
        """
        view = frame.order
        assert view is not None
        outcome = self._outcome(view, frame.status, action)
        if outcome is None:
            return
        outcome.remaining = view.remaining
        outcome.status = frame.status
        outcome.reason = frame.reason
        if frame.last_amount is not None:
            self.fills += 1
            self.fill_lots += self._lots(frame.last_amount)
        client_order_id = view.client_order_id or ""
        if frame.status in ("open", "partiallyFilled"):
            self.open[client_order_id] = outcome
        else:
            self.open.pop(client_order_id, None)

    def _outcome(self, view: OrderView, status: str, action: Action | None) -> OrderOutcome | None:
        if view.client_order_id is None:
            return None  # not an order of this replay
        outcome = self.outcomes.get(view.client_order_id)
        if outcome is None or outcome.status == "rejected":
            outcome = OrderOutcome(status, action, view.id, view.type, view.amount, view.remaining)
            self.outcomes[view.client_order_id] = outcome
            self.accepted += 1
        elif outcome.order_id != view.id:
            raise ReplayError(
                f"order {view.client_order_id}: expected the id {outcome.order_id} that the server "
                f"acknowledged, got {view.id}: the server has lost orders (does it run with "
                "--durability relaxed?)"
            )
        elif action is not None:
            outcome.action = action
        return outcome

    def listed(self, orders: Iterable[OrderView]) -> list[Action]:
        """Compare with the server's list of all open orders.

        Returns the adds of the orders whose end was not reported. Sent again, each is answered with
        the last state of its order.
        """
        views = {view.client_order_id: view for view in orders}
        unheard = []
        for client_order_id, outcome in self.open.items():
            view = views.get(client_order_id)
            if view is None:
                if outcome.action is not None:
                    unheard.append(outcome.action)
            elif view.id == outcome.order_id:
                outcome.remaining = view.remaining
                partial = view.remaining < view.amount
                outcome.status = "partiallyFilled" if partial else "open"
        return unheard

    # ---- sums ---------------------------------------------------------------------------------

    def cancelled(self) -> int:
        """Return how many orders were cancelled by a delete."""
        return sum(o.status == "cancelled" and o.reason == "user" for o in self.outcomes.values())

    def filled_lots(self, side: str) -> int:
        """Return the total quantity filled on one side."""
        lots = self._lots
        return sum(
            lots(o.amount) - lots(o.remaining)
            for o in self.outcomes.values()
            if o.side == side and o.amount != o.remaining
        )

    def _lots(self, amount: float) -> int:
        if not amount:
            return 0
        lots = self.lot.units(amount)
        assert lots is not None, f"expected a multiple of {self.lot.step}, got {amount!r}"
        return lots
