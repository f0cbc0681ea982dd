"""Notices a line that has fallen silent by the checksums of a book that stay away."""

from __future__ import annotations

from collections.abc import Callable
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


class ChecksumWatch:
    """Calls `on_silence` with a reason once `missed_max` checksums in a row have been missed.

    It watches from one `heard` until it is stopped or has called; with 0 it never calls.
    """

    def __init__(
        self, timers: LoopTimers, missed_max: int, on_silence: Callable[[str], object]
    ) -> None:
        self._timers = timers
        self._missed_max = missed_max
        self._on_silence = on_silence
        self._missed = 0
        self._due_s = 0.0
        self._timer: _Timer | None = None

    def heard(self) -> None:
        """Start over: the book has just been received or confirmed."""
        self.stop()
        if self._missed_max:
            self._missed = 0
            self._wait(CHECKSUM_S + SLACK_S)

    def stop(self) -> None:
        """Expect nothing until something is heard again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self, delay_s: float) -> None:
        self._due_s = self._timers.time() + delay_s
        self._timer = self._timers.call_later(delay_s, self._due)

    def _due(self) -> None:
        self._timer = None
        if self._timers.time() - self._due_s < SLACK_S:  # else what came is not read yet
            self._missed += 1
        if self._missed < self._missed_max:
            self._wait(CHECKSUM_S)
        else:
            self._on_silence(f"{self._missed} checksums were missed: the line is silent")
