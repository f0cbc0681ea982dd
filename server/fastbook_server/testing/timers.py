"""Time under a test's control: the clock and timers that the server uses."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable
from typing import Any

US = 1_000_000
START_S = 1_000
"""The initial value of the monotonic clock."""


class HandTimer:
    """A pending timer."""

    __slots__ = ("args", "callback")

    def __init__(self, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.callback: Callable[..., Any] | None = callback
        self.args = args

    def cancel(self) -> None:
        """Cancel the timer."""
        self.callback = None

    def fire(self) -> None:
        """Call the callback, at most once."""
        callback, self.callback = self.callback, None
        if callback is not None:
            callback(*self.args)


class HandTimers:
    """A clock in microseconds that stands until it is moved, or runs and can also be moved.

    It is a `fastbook_server.values.clock.Timers`. All of it belongs to the loop's thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, start_ms: int, *, runs: bool) -> None:
        self._loop = loop
        self._unix_us = start_ms * 1_000 - START_S * US
        self._base_us = START_S * US
        self._since: float | None = loop.time() if runs else None
        self._nudge_s = 0.0
        self._heap: list[tuple[int, int, HandTimer]] = []
        self._count = 0
        self._alarm: asyncio.TimerHandle | None = None

    # ---- for the server -----------------------------------------------------------------------

    def time(self) -> float:
        """Return the monotonic time in seconds."""
        return self.now_us() / US + self._nudge_s

    def now_ms(self) -> int:
        """Return the Unix time in milliseconds."""
        return (self.now_us() + self._unix_us) // 1_000

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any
    ) -> HandTimer | asyncio.Handle:
        """Call `callback` in `delay` seconds; without a delay, in the next turn of the loop."""
        if delay <= 0:
            return self._loop.call_soon(callback, *args)
        if delay < 1 / US:
            # The caller's sum of doubles came out a hair later than ours. Let that hair pass now:
            # a timer due at the end of an advance would otherwise fire just after it.
            self._nudge_s += delay + 2 * math.ulp(self.time())
        timer = HandTimer(callback, args)
        self._count += 1
        heapq.heappush(self._heap, (self.now_us() + round(delay * US), self._count, timer))
        self._set_alarm()
        return timer

    # ---- for the test's clock -----------------------------------------------------------------

    @property
    def runs(self) -> bool:
        """Whether the clock runs in real time."""
        return self._since is not None

    def now_us(self) -> int:
        """Return the monotonic time."""
        if self._since is None:
            return self._base_us
        return self._base_us + int((self._loop.time() - self._since) * US)

    def unix_us(self, unix_ms: int) -> int:
        """Return the monotonic time of a Unix time."""
        return unix_ms * 1_000 - self._unix_us

    def run(self) -> None:
        """Let the clock run in real time."""
        if self._since is None:
            self._since = self._loop.time()
            self._set_alarm()

    def stand(self) -> None:
        """Stop the clock."""
        self._base_us, self._since = self.now_us(), None
        self._set_alarm()

    def next_due_us(self, until_us: int) -> int | None:
        """Return when the next timer fires, or None if that is after `until_us`."""
        while self._heap and self._heap[0][2].callback is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap and self._heap[0][0] <= until_us else None

    def move_to(self, now_us: int) -> None:
        """Move the clock to `now_us`, unless it is past that; fire the timers that are due."""
        ahead = now_us - self.now_us()
        if ahead > 0:
            self._base_us += ahead
            self._nudge_s = 0.0
        while (due := self.next_due_us(self.now_us())) is not None:
            while self._heap and self._heap[0][0] == due:
                heapq.heappop(self._heap)[2].fire()
        self._set_alarm()

    def _set_alarm(self) -> None:
        """If the clock runs, arrange for the next timer to fire in time."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._since is not None and self._heap:
            delay_us = self._heap[0][0] - self.now_us()
            self._alarm = self._loop.call_later(max(0.0, delay_us / US), self.move_to, 0)

    def stop(self) -> None:
        """Drop all timers and stop the clock."""
        self._heap.clear()
        self.stand()
