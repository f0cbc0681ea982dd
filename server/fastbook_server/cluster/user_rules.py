"""When users' orders are cancelled unasked, as several matchers say it: each keeps its own rules.

All are told the same, each stamps it a moment earlier or later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fastbook_server.values.events import CancelRuleChanged
from fastbook_server.values.persisted import CancelRule

NEVER = CancelRule()


class UserRules:
    """The rules of all shards, by shard and user; to a gateway a user has one rule.

    A deadline is over when the last shard's is: each is then due everywhere.
    """

    def __init__(self, shards: Mapping[str, Mapping[str, CancelRule]]) -> None:
        self._shards = {name: dict(rules) for name, rules in shards.items()}

    def all(self) -> dict[str, CancelRule]:
        """Return the rule of each user."""
        users = dict.fromkeys(user for rules in self._shards.values() for user in rules)
        return {user: self._of(user) for user in users}

    def follow(
        self, shard: str, changes: Iterable[CancelRuleChanged]
    ) -> tuple[CancelRuleChanged, ...]:
        """Take changes of one shard; return what has changed for gateways."""
        rules = self._shards[shard]
        told: list[CancelRuleChanged] = []
        for change in changes:
            before = self._of(change.user_id)
            rule = CancelRule(change.after_disconnect_s, change.deadline_ms)
            rules[change.user_id] = rule
            if rule == NEVER:
                del rules[change.user_id]
            after = self._of(change.user_id)
            if after != before:
                told.append(
                    CancelRuleChanged(change.user_id, after.after_disconnect_s, after.deadline_ms)
                )
        return tuple(told)

    def _of(self, user_id: str) -> CancelRule:
        found = [rules[user_id] for rules in self._shards.values() if user_id in rules]
        waits = [rule.after_disconnect_s for rule in found if rule.after_disconnect_s is not None]
        deadlines = [rule.deadline_ms for rule in found if rule.deadline_ms is not None]
        return CancelRule(max(waits, default=None), max(deadlines, default=None))
