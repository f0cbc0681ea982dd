"""How late the event loop is: the time that everything on it waits beside its own work."""

from __future__ import annotations

import asyncio

from fastbook_server import metrics

SAMPLE_S = 0.25


class LoopLag:
    """Samples the delay of a timer, from its start to `stop`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._due_s = self._loop.time()
        self._next = self._loop.call_later(0, self._sample)

    def stop(self) -> None:
        """Take no more samples."""
        self._next.cancel()

    def _sample(self) -> None:
        now_s = self._loop.time()
        metrics.LOOP_LAG_SECONDS.observe(max(0.0, now_s - self._due_s))
        self._due_s = now_s + SAMPLE_S
        self._next = self._loop.call_later(SAMPLE_S, self._sample)
