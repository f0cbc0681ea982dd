"""Notices a line that has fallen silent by the checksums of a book that stay away."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

CHECKSUM_S = 1.0
"""The server sends a checksum this often, whether or not the book has changed."""
SLACK_S = 0.5
"""How late a checksum may be. A timer that is later tells that this program was busy itself."""


class _Timer(Protocol):
    def cancel(self) -> None:
        """Never fire."""


class LoopTimers(Protocol):
    """What a watch needs of an event loop."""

    def time(self) -> float:
        """Return the time in seconds, from any moment on."""

    def call_later(self, delay: float, callback: Callable[[], object], /) -> _Timer:
        """Call back after `delay` seconds."""


AskTime = Callable[[Callable[[int], None]], object]
"""Asks the server for its time in Unix ms; calls back with the answer, if one comes."""


class ChecksumWatch:
    """Calls `on_silence` with a reason once `missed_max` checksums in a row have been missed.

    It watches from one `heard` until it is stopped or has called; with 0 it never calls. The server
    owes a checksum for each second of its own clock, which may stand, as in the tests of a bot. So
    after a missed one it is asked for its time: one that is missed while its clock stands, or of
    which that is not known yet, does not count.
    """

    def __init__(
        self,
        timers: LoopTimers,
        missed_max: int,
        on_silence: Callable[[str], object],
        ask_time: AskTime,
    ) -> None:
        self._timers = timers
        self._missed_max = missed_max
        self._on_silence = on_silence
        self._ask_time = ask_time
        self._missed = 0
        self._server_ms: int | None = None  # by its last answer
        self._due_s = 0.0
        self._timer: _Timer | None = None
        self._question = 0  # the answers to earlier ones are out of date

    def heard(self) -> None:
        """Start over: the book has just been received or confirmed."""
        self.stop()
        if self._missed_max:
            self._missed = 0
            self._server_ms = None
            self._wait(CHECKSUM_S + SLACK_S)

    def stop(self) -> None:
        """Expect nothing until something is heard again."""
        self._question += 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self, delay_s: float) -> None:
        self._due_s = self._timers.time() + delay_s
        self._timer = self._timers.call_later(delay_s, self._due)

    def _due(self) -> None:
        self._timer = None
        is_miss = self._timers.time() - self._due_s < SLACK_S  # else what came is not read yet
        self._missed += is_miss
        if self._missed >= self._missed_max:
            self._on_silence(f"{self._missed} checksums were missed")
            return
        self._wait(CHECKSUM_S)
        if is_miss:
            self._question += 1
            self._ask_time(partial(self._answered, self._question))

    def _answered(self, question: int, time_ms: int) -> None:
        if question != self._question:
            return
        before_ms, self._server_ms = self._server_ms, time_ms
        if before_ms is None or (time_ms - before_ms) / 1_000 < CHECKSUM_S - SLACK_S:
            self._missed -= 1
