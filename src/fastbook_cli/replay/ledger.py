"""What became of every order of a replay, told by the server's replies and reports.

Each message carries an order's whole state, so the ledger keeps the last one and all sums are made
from the final states: a message that comes twice, or was missed while the connection was down,
cannot be counted wrongly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import msgspec

from fastbook_cli.replay.recording import Action
from fastbook_wire.frames import Error, OrderFrame, OrdersFrame, OrderView, ServerFrame
from fastbook_wire.grid import Grid
from fastbook_wire.words import Code


class ReplayError(Exception):
    """The replay cannot go on; the message says why."""


Reply = OrderFrame | OrdersFrame | Error
"""What a replay is told: replies to its commands, and reports of its orders."""

decode: Callable[[bytes], ServerFrame] = msgspec.json.Decoder(ServerFrame).decode


class OrderOutcome(msgspec.Struct, eq=False, gc=False):
    """The last that was heard of an order; ``status`` may be ``rejected``.

    ``action`` is what brought it, once that has been answered.
    """

    status: str
    action: Action | None = None
    order_id: str | None = None
    side: str = ""
    amount: float = 0.0
    remaining: float = 0.0
    reason: str | None = None


class Ledger:
    """The orders of one session, by client order id; amounts are the server's multiples of `lot`.

    ``refused`` counts the adds that were refused, ``deletes_refused`` the deletes that were, both
    by code; a delete of an order that is gone is neither.
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
        """Return whether the server has said that this order does not rest (any more)."""
        return client_order_id in self.outcomes and client_order_id not in self.open

    # ---- messages -----------------------------------------------------------------------------

    def replied(self, action: Action, frame: OrderFrame) -> None:
        """Note the reply to a command of the recording."""
        if action.op == "add":
            self.adds += 1
            if frame.order is not None:
                self.told(frame, action)
            else:
                self.refused[frame.code or "?"] += 1
                self.outcomes.setdefault(action.order_id, OrderOutcome("rejected"))
        else:
            self.deletes += 1
            if frame.order is not None:
                self.told(frame)
            elif frame.code != Code.UNKNOWN_ORDER:
                self.deletes_refused[frame.code or "?"] += 1

    def skipped(self) -> None:
        """Note a delete that was not sent because its order is known to be gone."""
        self.deletes += 1

    def told(self, frame: OrderFrame, action: Action | None = None) -> None:
        """Note an order's state; `action` brought it, if this answers that.

        Raises:
            ReplayError: it is another order than the one that was acknowledged under this id.
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
            return None  # not of this replay
        outcome = self.outcomes.get(view.client_order_id)
        if outcome is None or outcome.status == "rejected":
            outcome = OrderOutcome(status, action, view.id, view.type, view.amount, view.remaining)
            self.outcomes[view.client_order_id] = outcome
            self.accepted += 1
        elif outcome.order_id != view.id:
            raise ReplayError(
                f"the server acknowledged {view.client_order_id} as {outcome.order_id} and now "
                f"calls it {view.id}: it has lost orders (does it run with durability relaxed?)"
            )
        elif action is not None:
            outcome.action = action
        return outcome

    def listed(self, orders: Iterable[OrderView]) -> list[Action]:
        """Compare with the server's list of all open orders.

        Returns the adds of the orders that ended without our being told; sent again, each is
        answered with its order's last state.
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

    def withdrawn(self) -> int:
        """Return how many orders ended by a delete."""
        return sum(o.status == "cancelled" and o.reason == "user" for o in self.outcomes.values())

    def filled_lots(self, side: str) -> int:
        """Return what the orders of one side have bought or sold in all."""
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
        assert lots is not None, f"the server sent {amount!r}, not a multiple of {self.lot.step}"
        return lots
