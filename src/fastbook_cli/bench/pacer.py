"""When commands are due: at even intervals, whether the server answers or not.

An event loop's timers tick in whole milliseconds, too coarse to measure by. So a thread waits for
each moment, and wakes the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator

TURN_S = 0.001
"""Commands that are due within so short a time are sent at once."""


class Schedule:
    """The moments at which the commands of an even `rate` per second are due, from `start_s` on."""

    def __init__(self, rate: float, start_s: float) -> None:
        self._rate = rate
        self._start_s = start_s
        self._taken = 0

    def due(self, now_s: float) -> Iterator[float]:
        """Yield each moment up to `now_s` that has not been yielded before."""
        while (moment := self._start_s + self._taken / self._rate) <= now_s:
            self._taken += 1
            yield moment


@contextlib.contextmanager
def every(interval_s: float, start_s: float, call: Callable[[], None]) -> Iterator[None]:
    """Call a function in the loop at each multiple of an interval after `start_s`.

    A call that the loop has no time for is left out, not made up for. Times are those of
    ``time.perf_counter``.
    """
    loop = asyncio.get_running_loop()
    ended, idle = threading.Event(), threading.Event()
    idle.set()

    def in_loop() -> None:
        idle.set()
        if not ended.is_set():
            call()

    def wait() -> None:
        moment_s = start_s
        while not ended.is_set():
            time.sleep(max(0.0, moment_s - time.perf_counter()))
            moment_s = max(moment_s + interval_s, time.perf_counter())
            if idle.is_set() and not ended.is_set():
                idle.clear()
                loop.call_soon_threadsafe(in_loop)

    thread = threading.Thread(target=wait, name="pacer", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
