"""The signals that ask a process to stop: each step of its life ends early, or goes on."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

ECHO_S = 1.0
"""How long the echoes of a signal last: a terminal sends Ctrl-C to every process of a command, and
a parent such as make or the launcher of the one-file executable passes on its own."""


class StoppedError(Exception):
    """A signal arrived before the server was ready; ``code`` is the exit code it asks for."""

    def __init__(self, code: int) -> None:
        super().__init__(f"stopped with {code}")
        self.code = code


def stop_signal() -> asyncio.Future[int]:
    """Return a future that the first signal resolves with the exit code it asks for.

    Each further signal, but for echoes, cancels whatever the process still waits for.
    """
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[int] = loop.create_future()
    life = asyncio.current_task()
    assert life is not None, "called from a coroutine"
    echoes_until = 0.0

    def on_signal(code: int) -> None:
        nonlocal echoes_until
        if not stop.done():
            stop.set_result(code)
            echoes_until = loop.time() + ECHO_S
        elif loop.time() > echoes_until:
            life.cancel()

    for number, code in ((signal.SIGTERM, 0), (signal.SIGINT, 130)):
        loop.add_signal_handler(number, on_signal, code)
    return stop


async def unless_stopped(stop: asyncio.Future[int], step: Coroutine[Any, Any, T]) -> T:
    """Return the result of a start-up step.

    Raises:
        StoppedError: a signal arrived first; the step has been cancelled.
    """
    task = asyncio.ensure_future(step)
    try:
        await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
            raise StoppedError(stop.result())
        return task.result()
    finally:
        task.cancel()
