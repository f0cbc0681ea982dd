"""Time as it is injected: one clock that stamps, measures and fires timers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol


class Cancellable(Protocol):
    """A pending timer."""

    def cancel(self) -> None:
        """Never fire."""


class Timers(Protocol):
    """A monotonic clock in seconds and its timers."""

    def time(self) -> float:
        """Return the monotonic time in seconds."""

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> Cancellable:
        """Call `callback` in `delay` seconds."""


class Clock(Timers, Protocol):
    """Timers and the time of day, which move together; a test may control both."""

    def now_ms(self) -> int:
        """Return the Unix time in milliseconds; it may go back when the machine's clock is set."""


class LoopClock:
    """The machine's time, and the timers of the running event loop."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.time = loop.time
        self.call_later = loop.call_later
        self._time_ns = time.time_ns

    def now_ms(self) -> int:
        """Return the Unix time in milliseconds."""
        now_ns = self._time_ns()
        return now_ns // 1_000_000
