"""When commands are due."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from fastbook_cli.bench.pacer import Schedule, every


def test_commands_are_due_at_even_intervals_from_the_start_on():
    schedule = Schedule(4.0, 100.0)
    assert list(schedule.due(99.9)) == []
    assert list(schedule.due(100.6)) == [100.0, 100.25, 100.5]
    assert list(schedule.due(100.6)) == []
    assert list(schedule.due(101.0)) == [100.75, 101.0]


def test_a_rate_does_not_drift():
    schedule = Schedule(3.0, 0.0)
    assert len(list(schedule.due(1_000_000.0))) == 3_000_001


async def test_it_calls_in_the_loop_until_the_block_ends():
    calls: list[threading.Thread] = []
    enough = asyncio.Event()

    def call() -> None:
        calls.append(threading.current_thread())
        if len(calls) == 3:
            enough.set()

    with every(0.0001, time.perf_counter(), call):
        await enough.wait()
    count = len(calls)
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(calls) == count
    assert set(calls) == {threading.main_thread()}
    assert "pacer" not in {thread.name for thread in threading.enumerate()}


async def test_a_busy_loop_is_called_once_not_for_every_moment_that_it_missed():
    calls = []
    with every(0.0001, time.perf_counter(), lambda: calls.append(time.perf_counter())):
        until = time.perf_counter() + 0.02
        while time.perf_counter() < until:  # the loop itself is busy
            pass
        await asyncio.sleep(0)
        assert len(calls) <= 1


async def test_it_ends_with_an_error_too():
    with pytest.raises(ZeroDivisionError), every(0.0001, time.perf_counter(), lambda: None):
        raise ZeroDivisionError
    assert "pacer" not in {thread.name for thread in threading.enumerate()}
