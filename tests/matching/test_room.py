"""Who must wait, whose orders are refused, and when there will be room again."""

from __future__ import annotations

import pytest
from fakes import FakeClock

from fastbook_server.channels.order_channel import Pressure
from fastbook_server.matching.room import COMMAND_S, RETRY_MAX_S, Room


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def room(clock) -> Room:
    return Room(100, clock)


def test_a_user_may_hold_as_much_as_is_left(room):
    assert room.pressure(49, of_user=49) is Pressure.NONE
    assert room.pressure(50, of_user=50) is Pressure.WAIT
    assert room.pressure(90, of_user=9) is Pressure.NONE
    assert room.pressure(90, of_user=10) is Pressure.ORDERS


@pytest.mark.parametrize("users", [1, 2, 3, 5, 10, 50])
def test_whoever_sends_little_finds_room_beside_any_number_who_send_all_they_can(users):
    room = Room(1_000, FakeClock())
    held = [0] * users
    while free := [n for n in range(users) if room.pressure(sum(held), held[n]) is Pressure.NONE]:
        for n in free:
            if room.pressure(sum(held), held[n]) is Pressure.NONE:
                held[n] += 1
    assert max(held) - min(held) <= 1
    assert sum(held) == pytest.approx(1_000 * users / (users + 1), abs=users)
    assert room.pressure(sum(held), of_user=0) is Pressure.NONE


def test_few_who_hold_much_wait_and_a_crowd_is_refused(room):
    assert room.pressure(75, of_user=25) is Pressure.WAIT
    assert room.pressure(80, of_user=24) is Pressure.ORDERS


def test_cancels_have_a_reserve_beyond_the_bound(room):
    assert room.pressure(124, of_user=10) is Pressure.ORDERS
    assert room.pressure(125, of_user=10) is Pressure.ALL


def test_before_anything_is_measured_a_retry_is_told_by_a_guess(room):
    assert room.retry_after_ms(100) == pytest.approx(100 * COMMAND_S * 1_000, abs=1)


def test_a_retry_is_told_for_when_all_that_waits_is_durable(room):
    for _ in range(30):
        room.committed(50, 0.1)
    assert room.retry_after_ms(100) == pytest.approx(200, abs=3)


def test_large_commits_count_more_than_small_ones(room):
    for _ in range(30):
        room.committed(1, 0.005)
        room.committed(1_000, 0.05)
    assert room.retry_after_ms(1_000) == pytest.approx(55, abs=5)


def test_each_refused_command_gets_a_turn_of_its_own(clock, room):
    for _ in range(30):
        room.committed(50, 0.1)
    told = [room.retry_after_ms(100) for _ in range(5)]
    assert [after - told[0] for after in told] == pytest.approx([0, 2, 4, 6, 8], abs=1)
    clock.advance(1)
    assert room.retry_after_ms(100) == told[0], "their turns have passed"


def test_nobody_is_told_to_come_back_later_than_the_most(room):
    room.committed(1, 60)
    assert {room.retry_after_ms(100) for _ in range(5)} == {1 + int(RETRY_MAX_S * 1_000)}
