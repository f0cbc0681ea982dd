"""A clock that jumps or stands: it is told, once, and a metric shows it."""

from __future__ import annotations

import pytest
from line import Line, LineClock
from trading import T0

from fastbook_server import metrics
from fastbook_server.matching.clock_watch import ClockWatch

DAY_MS = 86_400_000


@pytest.fixture
def told(caplog):
    return lambda: [r.getMessage() for r in caplog.records if "clock" in r.name]


def passed(clock: LineClock, seconds: float, stepped_ms: int = 0) -> None:
    """Let time pass, and somebody set the clock meanwhile."""
    clock.advance(seconds)
    clock.stamp_ms += int(seconds * 1_000) + stepped_ms


def test_a_clock_that_goes_evenly_is_not_worth_a_word(told):
    clock = LineClock()
    watch = ClockWatch(clock)
    for stepped_ms in (0, 3_000, -3_000, 0):
        passed(clock, 60.0, stepped_ms)
        watch.look(clock.stamp_ms)
    assert (told(), metrics.CLOCK_BEHIND._value.get()) == ([], 0)


def test_a_jump_is_told_when_it_happens_and_so_is_what_it_leads_to(told):
    clock = LineClock()
    watch = ClockWatch(clock)
    jumps = metrics.CLOCK_JUMPS._value.get()
    passed(clock, 1.0, DAY_MS)
    stamp_ms = clock.stamp_ms
    watch.look(stamp_ms)
    passed(clock, 1.0, -DAY_MS)  # somebody has noticed
    for _ in range(3):
        watch.look(stamp_ms)
        passed(clock, 1.0)
    assert metrics.CLOCK_BEHIND._value.get() == pytest.approx(86_400 - 3, abs=2)
    assert metrics.CLOCK_JUMPS._value.get() == jumps + 1
    passed(clock, 86_400.0)
    watch.look(stamp_ms)
    assert told() == [
        "the clock has jumped ahead by 86400 s: stamps follow, and stand still if it is set back",
        "the clock is 86399 s behind the last stamp: stamps stand still until it has caught up, "
        "orders trade as ever",
        "the clock has caught up with the stamps: time goes on",
    ]
    assert metrics.CLOCK_BEHIND._value.get() == 0


async def test_the_pipeline_looks_at_its_clock_whether_orders_come_or_not(told):
    line = Line(time_ms=T0)
    line.add("1")
    await line.store.attempts(1)
    passed(line.clock, 2.0, DAY_MS)
    passed(line.clock, 2.0)
    (said,) = told()
    assert said.startswith("the clock has jumped ahead by 8640")
    line.running.cancel()
