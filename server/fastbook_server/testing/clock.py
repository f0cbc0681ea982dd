"""The clock that a test holds: it moves the server's time, and what is to happen on the way."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from fastbook_server.testing.loop import LoopThread
from fastbook_server.testing.timers import US, HandTimers


class Clock:
    """The server's time. It stands until it is moved, unless it was told to run.

    Every method may be called from any thread, and returns when all that was due has happened,
    has been committed and has been sent.
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
        """The server's Unix time in milliseconds, as it stamps."""
        return self._thread.call(self._timers.now_ms)

    @property
    def runs(self) -> bool:
        """Whether time passes by itself."""
        return self._timers.runs

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass: all that is due on the way happens, each thing at its moment.

        What clients had sent before is handled first, at the time it was sent.

        Raises:
            ValueError: `seconds` is negative: time does not go back.
        """
        if seconds < 0:
            raise ValueError(f"time does not go back: expected 0 s or more, got {seconds}")
        with self._moving:
            self._advance_to(self._thread.call(self._timers.now_us) + round(seconds * US))

    def set(self, time_ms: int) -> None:
        """Let it be `time_ms` (Unix, in milliseconds), as `advance` does.

        Raises:
            ValueError: that is in the past.
        """
        with self._moving:
            now_ms = self.now_ms
            if time_ms < now_ms:
                raise ValueError(f"time does not go back: expected {now_ms} or more, got {time_ms}")
            self._advance_to(self._timers.unix_us(time_ms))

    def run(self) -> None:
        """Let time pass by itself from now on; `advance` skips some of it."""
        if self._actions:
            raise ValueError("actions are waiting for advance(): a running clock would pass them")
        self._thread.call(self._timers.run)

    def stand(self) -> None:
        """Let time stand from now on."""
        self._thread.call(self._timers.stand)

    def at(self, seconds: float, action: Callable[[], Any]) -> None:
        """Call `action` once `seconds` from now have passed, in the thread that advances.

        What the server itself has to do at that moment comes first; several actions of one moment
        come in the order in which they were given.

        Raises:
            ValueError: the clock runs by itself, or `seconds` is negative.
        """
        if self.runs:
            raise ValueError("actions need a standing clock: advance() is what performs them")
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
