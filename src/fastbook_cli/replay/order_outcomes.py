"""The state of every order of a replay, from the server's replies and reports.

Each message carries the whole state of an order. The ledger keeps the latest one of every order
that may still change, and adds it to its sums once it has ended: so a message received twice, or
missed while the connection was down, never distorts them, and memory grows with the open orders
only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import msgspec

from fastbook_cli.errors import CommandError
from fastbook_cli.replay.actions import Action
from fastbook_cli.replay.agreement import Match
from fastbook_wire.frames import Error, Fill, OrderFrame, OrdersFrame, OrderView, ServerFrame
from fastbook_wire.grid import Grid
from fastbook_wire.words import Code


class ReplayError(CommandError):
    """The replay cannot continue; the message says why."""


Reply = OrderFrame | OrdersFrame | Error
"""The frames a replay reads besides fills: replies to its commands, and reports of its orders."""

decode: Callable[[bytes], ServerFrame] = msgspec.json.Decoder(ServerFrame).decode

_OPEN = frozenset({"open", "partiallyFilled", "untriggered", "triggered"})


class OrderOutcome(msgspec.Struct, eq=False, gc=False):
    """The latest known state of an order; ``action`` placed it, once that has been answered."""

    status: str
    order_id: str
    side: str
    action: Action | None = None
    filled: float = 0.0
    reason: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether it may still trade."""
        return self.status in _OPEN


class Ledger:
    """The orders of one session, by client order id; amounts are multiples of the server's `lot`.

    ``refused`` counts the refused adds by code, but for post-only orders that ``would_cross``: they
    ask for it. ``deletes_refused`` and ``amends_refused`` count the others. A delete or an amend
    that came after the end of its order counts in neither.
    """

    def __init__(self) -> None:
        self.outcomes: dict[str, OrderOutcome] = {}
        self.placing: set[str] = set()  # sent, not answered
        self.refused: Counter[str] = Counter()
        self.deletes_refused: Counter[str] = Counter()
        self.amends_refused: Counter[str] = Counter()
        self.lot = Grid.parse("1")
        self.adds = self.deletes = self.amends = self.amended = 0
        self.accepted = 0
        self.would_cross = 0
        self.cancelled = 0
        self.fills = 0
        self.fill_lots = 0
        self._ended_lots = {"bid": 0, "ask": 0}
        self._matches: dict[str, list[Match]] = {}
        self._taker_fill: tuple[int, str | None] = (0, None)

    def is_gone(self, client_order_id: str) -> bool:
        """Return whether an order does not rest, as far as the server has told."""
        outcome = self.outcomes.get(client_order_id)
        if outcome is not None:
            return not outcome.is_open
        return client_order_id not in self.placing

    @property
    def open_orders(self) -> int:
        """The number of orders that rest, or wait for a trigger."""
        return sum(outcome.is_open for outcome in self.outcomes.values())

    # ---- messages -----------------------------------------------------------------------------

    def sent(self, action: Action) -> None:
        """Take note of an add that is under way."""
        self.placing.add(action.order_id)

    def replied(self, action: Action, frame: OrderFrame) -> None:
        """Take note of the reply to a command of the recording."""
        if action.op == "add":
            self.adds += 1
            self.placing.discard(action.order_id)
            if frame.order is not None:
                self.reported(frame, action)
            elif frame.code == Code.POST_ONLY_WOULD_CROSS:
                self.would_cross += 1
            else:
                self.refused[frame.code or "?"] += 1
            return
        counts = self.deletes_refused
        if action.op == "amend":
            self.amends += 1
            self.amended += frame.order is not None
            counts = self.amends_refused
        else:
            self.deletes += 1
        if frame.order is not None:
            self.reported(frame)
        elif frame.code != Code.UNKNOWN_ORDER:
            counts[frame.code or "?"] += 1

    def skipped(self, action: Action) -> None:
        """Count a command that was not sent, because its order is known to have ended."""
        if action.op == "amend":
            self.amends += 1
        else:
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
        outcome.filled = view.filled
        outcome.status = frame.status
        outcome.reason = frame.reason
        if frame.last_amount is not None:
            self.fills += 1
            self.fill_lots += self._lots(frame.last_amount)
        self._settle(view.client_order_id or "", outcome)

    def _settle(self, client_order_id: str, outcome: OrderOutcome) -> None:
        """Add an order that has ended to the sums; an unanswered one is still to be told of."""
        if outcome.is_open or client_order_id in self.placing:
            return
        del self.outcomes[client_order_id]
        self._ended_lots[outcome.side] += self._lots(outcome.filled)
        self.cancelled += outcome.status == "cancelled" and outcome.reason == "user"

    def _outcome(self, view: OrderView, status: str, action: Action | None) -> OrderOutcome | None:
        name = view.client_order_id
        if name is None:
            return None  # not an order of this replay
        outcome = self.outcomes.get(name)
        if outcome is None:
            if action is None and name not in self.placing:
                return None  # ended, and told before
            outcome = self.outcomes[name] = OrderOutcome(status, view.id, view.type, action)
            self.accepted += 1
        elif outcome.order_id != view.id:
            raise ReplayError(
                f"order {name}: expected the id {outcome.order_id} that the server acknowledged, "
                f"got {view.id}: the server has lost orders (does it run with "
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
        for client_order_id, outcome in self.outcomes.items():
            view = views.get(client_order_id)
            if view is None:
                if outcome.is_open and outcome.action is not None:
                    unheard.append(outcome.action)
            elif view.id == outcome.order_id and not view.waits:
                outcome.filled = view.filled
                outcome.status = "partiallyFilled" if view.filled else "open"
        return unheard

    # ---- matches ------------------------------------------------------------------------------

    def matched(self, frame: Fill) -> None:
        """Take note of one match: the taker's frame comes first, then the maker's if it is ours."""
        if frame.role == "taker":
            taker = frame.client_order_id or ""
            self._taker_fill = frame.fill_id, taker
            self._matches.setdefault(taker, []).append((None, frame.price, frame.amount))
        elif self._taker_fill[0] == frame.fill_id and self._taker_fill[1] is not None:
            matches = self._matches[self._taker_fill[1]]
            matches[-1] = (frame.client_order_id, frame.price, frame.amount)
            self._taker_fill = 0, None

    def take_matches(self, client_order_id: str) -> list[Match]:
        """Return what an order has traded since the last time, and forget it."""
        return self._matches.pop(client_order_id, [])

    def forget_matches(self) -> None:
        """Forget what was told of matches: the rest of it is lost with the connection."""
        self._matches.clear()
        self._taker_fill = 0, None

    # ---- sums ---------------------------------------------------------------------------------

    def filled_lots(self, side: str) -> int:
        """Return the total quantity filled on one side."""
        open_lots = sum(
            self._lots(o.filled) for o in self.outcomes.values() if o.side == side and o.filled
        )
        return self._ended_lots[side] + open_lots

    def _lots(self, amount: float) -> int:
        if not amount:
            return 0
        lots = self.lot.units(amount)
        assert lots is not None, f"expected a multiple of {self.lot.step}, got {amount!r}"
        return lots
