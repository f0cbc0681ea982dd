"""Users whose gateway is gone: their orders go as if their connection had ended then."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping

from fastbook_server.channels.order_channel import Unavailable, Withdraw
from fastbook_server.channels.trade_channel import CommittedBatch
from fastbook_server.values.accounts import is_account
from fastbook_server.values.clock import Cancellable, Timers
from fastbook_server.values.persisted import CancelRule

log = logging.getLogger(__name__)

GONE_S = 5.0
"""A gateway that has not been heard of for so long is gone."""
LOOK_EVERY_S = 1.0


class Absence:
    """Follows which gateway holds whom, and withdraws the orders of those whom none holds.

    `rules` are the users' rules as of the claim: until a gateway says that it holds such a user,
    nobody does. `default_s` is the wait of users without a rule, if their orders go too; of those,
    `with_orders` have any. Who was asleep himself has heard nobody meanwhile: by that much time all
    of it is later.
    """

    def __init__(
        self,
        timers: Timers,
        submit: Callable[[str, Withdraw], None],
        rules: Mapping[str, CancelRule],
        *,
        default_s: float | None,
        with_orders: Iterable[str],
    ) -> None:
        self._timers = timers
        self._submit = submit
        self._default_s = default_s
        self._after_s = {user: rule.after_disconnect_s for user, rule in rules.items()}
        self._holders: dict[str, str] = {}
        self._heard_s: dict[str, float] = {}
        self._withdrawals: dict[str, Cancellable] = {}
        self._looked_s = timers.time()
        self._look_at: Cancellable | None = timers.call_later(LOOK_EVERY_S, self._look)
        left = () if default_s is None else with_orders
        for user_id in dict.fromkeys((*self._after_s, *left)):
            if not is_account(user_id):
                self._left(user_id, GONE_S)

    def heard(self, gateway: str) -> None:
        """Note that a gateway lives."""
        self._heard_s[gateway] = self._timers.time()

    def holds(self, user_id: str, gateway: str) -> None:
        """Note that a gateway speaks for a user."""
        if is_account(user_id):
            return  # whose orders outlive any connection
        self._holders[user_id] = gateway
        withdrawal = self._withdrawals.pop(user_id, None)
        if withdrawal is not None:
            withdrawal.cancel()

    def on_batch(self, batch: CommittedBatch) -> None:
        """Follow the users' rules."""
        for rule in batch.cancel_rules:
            self._after_s[rule.user_id] = rule.after_disconnect_s

    def stop(self) -> None:
        """Cancel all timers."""
        for timer in (self._look_at, *self._withdrawals.values()):
            if timer is not None:
                timer.cancel()

    def _look(self) -> None:
        self._look_at = self._timers.call_later(LOOK_EVERY_S, self._look)
        now_s = self._timers.time()
        asleep_s = max(0.0, now_s - self._looked_s - LOOK_EVERY_S)
        self._looked_s = now_s
        for gateway, at_s in self._heard_s.items():
            self._heard_s[gateway] = min(now_s, at_s + asleep_s)
        gone = {gateway for gateway, at_s in self._heard_s.items() if now_s - at_s > GONE_S}
        if not gone:
            return
        log.warning("not heard of for %.0f s, so gone: gateway %s", GONE_S, ", ".join(sorted(gone)))
        for gateway in gone:
            del self._heard_s[gateway]
        for user_id, holder in list(self._holders.items()):
            if holder in gone:
                del self._holders[user_id]
                self._left(user_id)

    def _left(self, user_id: str, also_s: float = 0.0) -> None:
        after_s = self._after_s.get(user_id)
        wait_s = self._default_s if after_s is None else after_s
        if wait_s is not None:
            self._withdraw_in(wait_s + also_s, user_id)

    def _withdraw_in(self, delay_s: float, user_id: str) -> None:
        due_s = self._timers.time() + delay_s
        self._withdrawals[user_id] = self._timers.call_later(
            delay_s, self._withdraw, user_id, due_s
        )

    def _withdraw(self, user_id: str, due_s: float) -> None:
        del self._withdrawals[user_id]
        if self._timers.time() - due_s > LOOK_EVERY_S:  # gateways may have spoken meanwhile
            self._withdraw_in(LOOK_EVERY_S, user_id)
            return
        try:
            self._submit(user_id, Withdraw())
        except Unavailable:
            self._left(user_id, LOOK_EVERY_S)
