"""A gateway that has lost the servers of the log: its users are better off at another one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from fastbook_server.cluster.log import LogUnavailable, ReplicatedLog
from fastbook_server.values.clock import Timers

log = logging.getLogger(__name__)

ISOLATED_AFTER_S = 10.0
"""A gateway that has reached no server of the log for so long sends its users away."""
LOOK_EVERY_S = 1.0


class Isolation:
    """Watches whether any log `hears` or answers; if none does for long, calls `send_away`.

    A log that answers and has nothing new to say is no isolation: other gateways hear no more.
    """

    def __init__(
        self,
        first: ReplicatedLog,
        hears: Callable[[], bool],
        send_away: Callable[[], None],
        timers: Timers,
    ) -> None:
        self._first = first
        self._hears = hears
        self._send_away = send_away
        self._timers = timers

    async def run(self) -> None:
        """Watch for ever. Whoever comes to an isolated gateway is sent away at the next look."""
        reached_s = self._timers.time()
        is_isolated = False
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if self._hears() or await self._answers():
                reached_s = self._timers.time()
            isolated_s = self._timers.time() - reached_s
            if isolated_s >= ISOLATED_AFTER_S:
                if not is_isolated:
                    log.warning("no server of the log for %.0f s: users are sent away", isolated_s)
                self._send_away()
            is_isolated = isolated_s >= ISOLATED_AFTER_S

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(ISOLATED_AFTER_S):
                await self._first.end()
        except (LogUnavailable, TimeoutError):
            return False
        return True
