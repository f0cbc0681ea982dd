"""Time, as it is injected: stamps for what happens, timers for what must happen later."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol


def time_ms() -> int:
    """Return the Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


class Cancellable(Protocol):
    """A timer that has been set."""

    def cancel(self) -> None:
        """Never fire."""


class Timers(Protocol):
    """A monotonic clock in seconds and its timers: an asyncio loop, or a test's hands."""

    def time(self) -> float:
        """Return the monotonic time in seconds."""

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> Cancellable:
        """Call `callback` in `delay` seconds."""
