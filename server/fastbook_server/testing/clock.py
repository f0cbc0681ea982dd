"""The clock that a test controls: it moves the server's time and runs scheduled actions."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from fastbook_server.testing.loop import LoopThread
from fastbook_server.testing.timers import US, HandTimers


class Clock:
    """The server's time. It stands still until the test moves it or lets it run.

    You can call every method from any thread. It returns when everything due has happened, has
    been committed and has been sent.
    """

    def __init__(
        self, thread: LoopThread, timers: HandTimers, settle: Callable[[], Awaitable[None]]
    ) -> None:
        self._thread = thread
        self._timers = timers
        self._settle = settle
        self._moving = threading.RLock()
        self._actions: list[tuple[int, int, Callable[[], Any]]] = []
        self._count = 0

    @property
    def now_ms(self) -> int:
        """The Unix time in milliseconds with which the server stamps."""
        return self._thread.call(self._timers.now_ms)

    @property
    def runs(self) -> bool:
        """Whether the clock runs in real time."""
        return self._timers.runs

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass; everything that falls due happens at its own moment.

        Frames that clients have already sent are handled first, at the time before the move.

        Raises:
            ValueError: `seconds` is negative: time does not go back.
        """
        if seconds < 0:
            raise ValueError(f"time does not go back: expected 0 s or more, got {seconds}")
        with self._moving:
            self._advance_to(self._thread.call(self._timers.now_us) + round(seconds * US))

    def set(self, time_ms: int) -> None:
        """Advance to `time_ms` (Unix, in milliseconds), as `advance` does.

        Raises:
            ValueError: `time_ms` is in the past.
        """
        with self._moving:
            now_ms = self.now_ms
            if time_ms < now_ms:
                raise ValueError(f"time does not go back: expected {now_ms} or more, got {time_ms}")
            self._advance_to(self._timers.unix_us(time_ms))

    def run(self) -> None:
        """Let time pass in real time; `advance` still skips ahead."""
        if self._actions:
            raise ValueError("actions are waiting for advance(): a running clock would skip them")
        self._thread.call(self._timers.run)

    def stand(self) -> None:
        """Stop the clock."""
        self._thread.call(self._timers.stand)

    def at(self, seconds: float, action: Callable[[], Any]) -> None:
        """Call `action` when `seconds` have passed, in the thread that advances the clock.

        At that moment, the server's own timers fire first. Actions scheduled for the same moment
        run in the order in which they were scheduled.

        Raises:
            ValueError: the clock runs in real time, or `seconds` is negative.
        """
        if self.runs:
            raise ValueError("actions need a standing clock: only advance() runs them")
        if seconds < 0:
            raise ValueError(f"expected 0 s or more, got {seconds}")
        with self._moving:
            due_us = self._thread.call(self._timers.now_us) + round(seconds * US)
            self._count += 1
            heapq.heappush(self._actions, (due_us, self._count, action))

    def _advance_to(self, until_us: int) -> None:
        while self._actions and self._actions[0][0] <= until_us:
            due_us, _, action = heapq.heappop(self._actions)
            self._thread.run(self._pass, due_us)
            action()
        self._thread.run(self._pass, until_us)

    async def _pass(self, until_us: int) -> None:
        await self._settle()
        while (due_us := self._timers.next_due_us(until_us)) is not None:
            self._timers.move_to(due_us)
            await self._settle()
        self._timers.move_to(until_us)
        await self._settle()
