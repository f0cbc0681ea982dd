"""The timers of deadlines: when the matcher is told that one may be over."""

from __future__ import annotations

import pytest
from fakes import T0, FakeClock

from fastbook_server.channels.order_channel import CancelDue, Unavailable
from fastbook_server.gateway.dead_man_switches import DeadManSwitches
from fastbook_server.values.events import CancelRuleChanged
from fastbook_server.values.persisted import CancelRule
from fastbook_wire.words import Code


class Stage:
    """Switches, and when whose deadline was submitted, in seconds from the start."""

    def __init__(self, rules=None, clock=None) -> None:
        self.clock = clock or FakeClock()
        self.available = True
        self.fired: list[tuple[float, str]] = []
        self.switches = DeadManSwitches(self.clock, self.submit, rules or {})

    def submit(self, user_id: str, command: CancelDue) -> None:
        assert command == CancelDue()
        if not self.available:
            raise Unavailable(Code.UNAVAILABLE, "away", 1_000)
        self.fired.append(((self.clock.now_ms() - T0) / 1_000, user_id))

    def set(self, user_id: str, deadline_ms: int | None) -> None:
        self.switches.follow([CancelRuleChanged(user_id, None, deadline_ms)])


def test_it_fires_at_the_deadline_and_once():
    stage = Stage({"a": CancelRule(None, T0 + 2_000), "b": CancelRule(5, None)})
    stage.set("c", T0 + 1_000)
    assert [name in stage.switches for name in "abc"] == [True, False, True]
    stage.clock.advance(10)
    assert stage.fired == [(1.0, "c"), (2.0, "a")]


def test_a_deadline_that_passed_while_nobody_looked_fires_at_once():
    stage = Stage({"a": CancelRule(None, T0 - 5_000)})
    stage.clock.advance(0)
    assert stage.fired == [(0.0, "a")]


def test_a_newer_deadline_replaces_the_older_one_and_none_ends_it():
    stage = Stage()
    stage.set("a", T0 + 1_000)
    stage.set("b", T0 + 1_000)
    stage.clock.advance(0.5)
    stage.set("a", T0 + 3_000)
    stage.set("b", None)
    stage.clock.advance(10)
    assert stage.fired == [(3.0, "a")]
    assert "b" not in stage.switches


def test_the_matcher_is_asked_again_until_it_takes_the_command():
    stage = Stage({"a": CancelRule(None, T0 + 1_000)})
    stage.available = False
    stage.clock.advance(3.5)
    stage.available = True
    stage.clock.advance(10)
    assert stage.fired == [(4.0, "a")]


@pytest.mark.parametrize("early_s", [0.001, 0.05])
def test_a_timer_that_is_early_waits_for_the_rest(early_s):
    stage = Stage({"a": CancelRule(None, T0 + 1_000)}, FakeClock(early_s))
    stage.clock.advance(10)
    assert stage.fired == [(1.0, "a")]


def test_a_clock_that_went_back_is_waited_for():
    clock = FakeClock()
    stage = Stage({"a": CancelRule(None, T0 + 1_000)}, clock)
    clock._now_s -= 0.5
    clock.advance(1.49)
    assert stage.fired == []
    clock.advance(0.01)
    assert stage.fired == [(1.0, "a")]


def test_nothing_fires_after_the_stop():
    stage = Stage({"a": CancelRule(None, T0 + 1_000)})
    stage.switches.stop()
    stage.clock.advance(10)
    assert (stage.fired, stage.clock.pending) == ([], 0)
