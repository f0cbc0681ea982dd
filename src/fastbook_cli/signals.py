"""SIGTERM and Ctrl-C for the commands that have something to finish first."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator

EXIT_CODES = {signal.SIGTERM: 0, signal.SIGINT: 130}


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
