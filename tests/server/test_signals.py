"""The first signal asks a server to stop, its echoes say nothing new, and a later one insists."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator

import pytest

from fastbook_server import stop_signals


@pytest.fixture
async def life() -> AsyncIterator[asyncio.Task[int]]:
    """A task that lives until it is cancelled, and says with which code it was asked to stop."""
    asked = asyncio.Event()

    async def live() -> int:
        stop = stop_signals.stop_signal()
        asked.set()
        code = await stop
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
            raise AssertionError
        return code

    task = asyncio.create_task(live())
    await asked.wait()
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(number)


async def heard(number: int) -> None:
    """Send this process a signal, and let its loop hear of it."""
    os.kill(os.getpid(), number)
    for _ in range(3):
        await asyncio.sleep(0.01)


async def test_an_echo_says_nothing_new(life, monkeypatch):
    monkeypatch.setattr(stop_signals, "ECHO_S", 60.0)
    await heard(signal.SIGINT)
    await heard(signal.SIGINT)
    await heard(signal.SIGTERM)
    assert not life.done()


async def test_a_later_signal_ends_all_waiting(life, monkeypatch):
    monkeypatch.setattr(stop_signals, "ECHO_S", 0.0)
    await heard(signal.SIGTERM)
    assert not life.done()
    await heard(signal.SIGINT)
    assert await asyncio.wait_for(life, 10) == 0
