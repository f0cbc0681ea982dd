"""When a user's orders go, as several shards say it: to a gateway there is one rule."""

from __future__ import annotations

from fastbook_server.cluster.user_rules import UserRules
from fastbook_server.values.events import CancelRuleChanged
from fastbook_server.values.persisted import CancelRule


def test_a_deadline_stands_until_it_is_over_in_every_shard():
    rules = UserRules({"a": {}, "b": {}})
    set_first = CancelRuleChanged("ann", None, 1_000)
    assert rules.follow("a", [set_first]) == (set_first,)
    set_later = CancelRuleChanged("ann", None, 1_003)
    assert rules.follow("b", [set_later]) == (set_later,)
    over = CancelRuleChanged("ann", None, None)
    assert rules.follow("a", [over]) == ()
    assert rules.all() == {"ann": CancelRule(None, 1_003)}
    assert rules.follow("b", [over]) == (over,)
    assert rules.all() == {}


def test_the_rules_of_the_start_are_those_of_all_shards():
    rules = UserRules({"a": {"ann": CancelRule(5, 1_000)}, "b": {"bob": CancelRule(7)}})
    assert rules.all() == {"ann": CancelRule(5, 1_000), "bob": CancelRule(7)}
    assert rules.follow("b", [CancelRuleChanged("ann", 5, 999)]) == ()
