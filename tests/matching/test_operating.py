"""What the operator does takes its place among the commands of users."""

from __future__ import annotations

import pytest
from trading import Floor, bid

from fastbook_server.channels.order_channel import Operate
from fastbook_server.values.events import OperatorActed, OrderReport


def acted(floor: Floor, command: Operate) -> tuple[OperatorActed, list[str]]:
    """Do something as the operator; return what is noted, and whose orders were told to end."""
    noted, *others = floor.do("", command)
    assert isinstance(noted, OperatorActed)
    ended = [e for e in others if isinstance(e, OrderReport)]
    return noted, [e.user_id for e in ended]


@pytest.fixture
def floor() -> Floor:
    floor = Floor()
    for user_id in ("ann", "bob"):
        floor.do(user_id, bid(10, 1))
    return floor


def test_a_halted_security_takes_no_orders_until_it_is_resumed(floor):
    noted, ended = acted(floor, Operate("halt", "COIN"))
    assert (noted.action, noted.security, noted.count, ended) == ("halt", "COIN", 0, [])
    assert floor.code("ann", bid(10, 1)) == "halted"
    acted(floor, Operate("resume", "COIN"))
    assert isinstance(floor.do("ann", bid(10, 1))[-1], OrderReport)


def test_delisting_halts_and_cancels_all_orders_in_a_security(floor):
    noted, ended = acted(floor, Operate("delist", "COIN"))
    assert (noted.count, ended) == (2, ["ann", "bob"])
    assert floor.code("ann", bid(10, 1)) == "halted"


@pytest.mark.parametrize(
    ("security", "user_id", "ended"),
    [(None, "bob", ["bob"]), ("COIN", None, ["ann", "bob"]), ("FINE", None, [])],
)
def test_orders_are_cancelled_by_user_and_by_security(floor, security, user_id, ended):
    noted, told = acted(floor, Operate("cancel", security, user_id))
    assert (noted.count, told) == (len(ended), ended)


def test_what_changes_nothing_here_is_noted(floor):
    noted, ended = acted(floor, Operate("drain"))
    assert (noted.action, noted.count, ended) == ("drain", 0, [])
