"""SIGTERM and Ctrl-C: they end a command without a traceback, whatever it was doing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Coroutine, Iterator
from typing import Any

from fastbook_cli.entry import CTRL_C

EXIT_CODES = {signal.SIGTERM: 0, signal.SIGINT: CTRL_C}
ECHO_S = 1.0
"""How long the echoes of a signal last: both the terminal and make, for one, may pass it on."""


async def until_signal(command: Coroutine[Any, Any, int]) -> int:
    """Run a command; return its exit code, or that of the signal which cancelled it.

    A command with more to do at its end puts its own handlers in place of these. A second signal,
    but for echoes, ends the process at once.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None, "called from a coroutine"
    stopped: int | None = None
    echoes_until = 0.0

    def stop(code: int) -> None:
        nonlocal stopped, echoes_until
        if stopped is None:
            stopped, echoes_until = code, loop.time() + ECHO_S
            task.cancel()
        elif loop.time() > echoes_until:
            os._exit(code)

    for number, code in EXIT_CODES.items():
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, stop, code)
    try:
        return await command
    except asyncio.CancelledError:
        if stopped is None:
            raise
        return stopped


@contextlib.contextmanager
def stop_signals() -> Iterator[asyncio.Future[int]]:
    """Yield a future that the first signal resolves with the exit code it asks for.

    After that signal there is only the end, which further ones do not disturb: Ctrl-C may come
    twice, from the terminal and from a parent that passes it on.
    """
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[int] = loop.create_future()

    def on_signal(code: int) -> None:
        if not stop.done():
            stop.set_result(code)

    for number, code in EXIT_CODES.items():
        loop.add_signal_handler(number, on_signal, code)
    try:
        yield stop
    finally:
        if not stop.done():
            for number in EXIT_CODES:
                loop.remove_signal_handler(number)
