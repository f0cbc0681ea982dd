"""The timers of ``cancelAfter``: at a user's deadline the matcher is told to cancel the orders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from fastbook_server import metrics
from fastbook_server.channels.order_channel import CancelDue, Unavailable
from fastbook_server.values.clock import Cancellable, Clock
from fastbook_server.values.events import CancelRuleChanged
from fastbook_server.values.persisted import CancelRule

CANCEL_RETRY_S = 1.0


class DeadManSwitches:
    """The users whose orders are to be cancelled at a deadline; those of `rules` are the first.

    `submit` is called with the user id and the command once a deadline is over, and again later if
    it raises Unavailable. The matcher decides: it may know of a newer deadline already.
    """

    def __init__(
        self,
        clock: Clock,
        submit: Callable[[str, CancelDue], None],
        rules: Mapping[str, CancelRule],
    ) -> None:
        self._clock = clock
        self._submit = submit
        self._timers: dict[str, Cancellable] = {}
        for user_id, rule in rules.items():
            self._set(user_id, rule.deadline_ms)

    def __contains__(self, user_id: str) -> bool:
        return user_id in self._timers

    def follow(self, changes: Iterable[CancelRuleChanged]) -> None:
        """Set the timers as a batch has changed the deadlines."""
        for change in changes:
            self._set(change.user_id, change.deadline_ms)

    def stop(self) -> None:
        """Cancel all timers."""
        for timer in self._timers.values():
            timer.cancel()

    def _set(self, user_id: str, deadline_ms: int | None) -> None:
        timer = self._timers.pop(user_id, None)
        if timer is not None:
            timer.cancel()
        if deadline_ms is not None:
            left_s = max(0, deadline_ms - self._clock.now_ms()) / 1_000
            timer = self._clock.call_later(left_s, self._fire, user_id, deadline_ms)
            self._timers[user_id] = timer

    def _fire(self, user_id: str, deadline_ms: int) -> None:
        if self._clock.now_ms() < deadline_ms:  # the clock went back, or the timer was early
            self._set(user_id, deadline_ms)
            return
        try:
            self._submit(user_id, CancelDue())
        except Unavailable:
            timer = self._clock.call_later(CANCEL_RETRY_S, self._fire, user_id, deadline_ms)
            self._timers[user_id] = timer
        else:
            metrics.DEAD_MAN_SWITCHES.inc()
