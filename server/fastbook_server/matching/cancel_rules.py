"""When users' orders are cancelled unasked: after a disconnection, or at a deadline they set."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from fastbook_server.values.events import CancelRuleChanged
from fastbook_server.values.persisted import CancelRule

NEVER = CancelRule()


class CancelRules:
    """The rule of each user who has one; a change is an event, and no change is none."""

    def __init__(self, recovered: Mapping[str, CancelRule]) -> None:
        self._rules = dict(recovered)

    def cancels_on_disconnect(self, user_id: str) -> bool:
        """Whether the user's orders are cancelled after the end of the connection."""
        rule = self._rules.get(user_id)
        return rule is not None and rule.after_disconnect_s is not None

    def choose(self, user_id: str, after_disconnect_s: int | None) -> list[CancelRuleChanged]:
        """Cancel after the end of the connection, or no longer do; the deadline stays."""
        return self._change(user_id, after_disconnect_s=after_disconnect_s)

    def set_deadline(self, user_id: str, deadline_ms: int | None) -> list[CancelRuleChanged]:
        """Replace the deadline, or remove it; what happens on disconnection stays."""
        return self._change(user_id, deadline_ms=deadline_ms)

    def is_due(self, user_id: str, time_ms: int) -> bool:
        """Whether the user has a deadline that is over at `time_ms`."""
        deadline_ms = self._rules.get(user_id, NEVER).deadline_ms
        return deadline_ms is not None and deadline_ms <= time_ms

    def drop(self, user_id: str) -> list[CancelRuleChanged]:
        """Remove the user's rule."""
        return self._change(user_id, after_disconnect_s=None, deadline_ms=None)

    def _change(self, user_id: str, **fields: int | None) -> list[CancelRuleChanged]:
        before = self._rules.get(user_id, NEVER)
        rule = msgspec.structs.replace(before, **fields)
        if rule == before:
            return []
        self._rules[user_id] = rule
        if rule == NEVER:
            del self._rules[user_id]
        return [CancelRuleChanged(user_id, rule.after_disconnect_s, rule.deadline_ms)]
