"""How many commands one connection may send per second."""

from __future__ import annotations

from fastbook_server.values.clock import Timers


class RateLimit:
    """A token bucket that holds one second's worth of commands."""

    def __init__(self, per_second: int, timers: Timers) -> None:
        self._per_second = per_second
        self._time = timers.time
        self._tokens = float(per_second)
        self._since_s = self._time()

    def take(self) -> int:
        """Admit one command; return 0, or in how many milliseconds there will be room for it."""
        now_s = self._time()
        tokens = self._tokens + (now_s - self._since_s) * self._per_second
        self._since_s = now_s
        self._tokens = min(tokens, self._per_second)
        if self._tokens < 1:
            return 1 + int((1 - self._tokens) * 1_000 / self._per_second)
        self._tokens -= 1
        return 0
