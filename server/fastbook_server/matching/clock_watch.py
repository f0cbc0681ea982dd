"""Whether the machine's clock goes evenly: stamps follow it ahead, and never back again."""

from __future__ import annotations

import logging

from fastbook_server import metrics
from fastbook_server.values.clock import Clock

log = logging.getLogger(__name__)

JUMP_MS = 5_000
"""A step of the clock that is told of; smaller ones are usual where time is kept by NTP."""


class ClockWatch:
    """Tells when the clock jumps ahead, and while stamps are ahead of it, which then stand still.

    A machine that has slept sees a jump too.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset_ms = self._offset()
        self._is_ahead = False

    def _offset(self) -> float:
        """Return the Unix time at which the monotonic clock was 0: it moves if a clock is set."""
        return self._clock.now_ms() - self._clock.time() * 1_000

    def look(self, stamp_ms: int) -> None:
        """Compare the clock with the time that has passed since the last look, and the stamp."""
        offset_ms = self._offset()
        jump_ms, self._offset_ms = offset_ms - self._offset_ms, offset_ms
        if jump_ms > JUMP_MS:
            metrics.CLOCK_JUMPS.inc()
            log.warning(
                "the clock has jumped ahead by %.0f s: stamps follow, and stand still if it is "
                "set back",
                jump_ms / 1_000,
            )
        ahead_ms = max(0, stamp_ms - self._clock.now_ms())
        metrics.CLOCK_BEHIND.set(ahead_ms / 1_000)
        was_ahead, self._is_ahead = self._is_ahead, ahead_ms > JUMP_MS
        if self._is_ahead and not was_ahead:
            log.warning(
                "the clock is %.0f s behind the last stamp: stamps stand still until it has caught "
                "up, orders trade as ever",
                ahead_ms / 1_000,
            )
        elif was_ahead and not self._is_ahead:
            log.warning("the clock has caught up with the stamps: time goes on")
