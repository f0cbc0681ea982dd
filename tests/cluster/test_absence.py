"""A matcher that was asleep, frozen or starved of its processor, takes nobody for gone for that."""

from __future__ import annotations

import pytest
from fakes import FakeClock

from fastbook_server.channels.order_channel import Withdraw
from fastbook_server.cluster.absence import GONE_S, LOOK_EVERY_S, Absence
from fastbook_server.values.persisted import CancelRule


class SleepyClock(FakeClock):
    """A clock whose owner may oversleep: what was due meanwhile comes when it wakes."""

    def sleep(self, seconds: float) -> None:
        self._now_s += seconds
        self.advance(0)


class House:
    """What one matcher knows of who is there, and whose orders it has withdrawn."""

    def __init__(self) -> None:
        self.clock = SleepyClock()
        self.withdrawn: list[str] = []
        self.absence = Absence(
            self.clock, self._submit, {"ann": CancelRule(0)}, default_s=None, with_orders=()
        )

    def _submit(self, user_id: str, _: Withdraw) -> None:
        self.withdrawn.append(user_id)


@pytest.fixture
def house() -> House:
    return House()


def test_a_gateway_that_is_silent_is_gone(house):
    house.absence.heard("left")
    house.absence.holds("ann", "left")
    house.clock.advance(GONE_S)
    assert house.withdrawn == []
    house.clock.advance(LOOK_EVERY_S)
    assert house.withdrawn == ["ann"]


def test_who_was_asleep_has_heard_nobody_meanwhile(house):
    house.absence.heard("left")
    house.absence.holds("ann", "left")
    house.clock.sleep(10 * GONE_S)
    house.clock.advance(GONE_S - 2 * LOOK_EVERY_S)
    assert house.withdrawn == []
    house.clock.advance(2 * LOOK_EVERY_S)
    assert house.withdrawn == ["ann"], "it stays silent"


def test_who_wakes_lets_gateways_say_first_whom_they_hold(house):
    house.clock.sleep(10 * GONE_S)
    assert house.withdrawn == []
    house.absence.heard("left")
    house.absence.holds("ann", "left")
    house.clock.advance(LOOK_EVERY_S)
    assert house.withdrawn == []


def test_whom_nobody_holds_then_is_withdrawn(house):
    house.clock.sleep(10 * GONE_S)
    house.clock.advance(LOOK_EVERY_S)
    assert house.withdrawn == ["ann"]
