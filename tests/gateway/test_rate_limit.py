"""One second's worth of commands, by the clock that is injected."""

from __future__ import annotations

from fakes import FakeClock

from fastbook_server.gateway.rate_limit import RateLimit


def test_it_holds_one_seconds_worth_and_says_when_there_is_room():
    clock = FakeClock()
    limit = RateLimit(4, clock)
    assert [limit.take() for _ in range(6)] == [0, 0, 0, 0, 251, 251]
    clock.advance(0.251)
    assert limit.take() == 0
    clock.advance(0.001)
    assert limit.take() == 249


def test_it_fills_up_to_one_second_and_no_further():
    clock = FakeClock()
    limit = RateLimit(4, clock)
    clock.advance(100)
    assert [limit.take() for _ in range(5)] == [0, 0, 0, 0, 251]


def test_what_it_promises_holds():
    clock = FakeClock()
    limit = RateLimit(3, clock)
    for _ in range(100):
        while (wait_ms := limit.take()) == 0:
            pass
        clock.advance(wait_ms / 1_000)
        assert limit.take() == 0


def test_a_refused_command_takes_nothing():
    clock = FakeClock()
    limit = RateLimit(1, clock)
    assert limit.take() == 0
    assert {limit.take() for _ in range(50)} == {1_001}
    clock.advance(1.0)
    assert limit.take() == 0
