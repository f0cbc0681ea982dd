"""What the operator is told of the work that the database does by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from fastbook_server.store import History, StoreError, Upkeep

log = logging.getLogger(__name__)

FRESH_S = 30.0
"""How long what was seen counts as the present."""
BEHIND_S = 3_600.0
"""Candles further behind than this are worth a line in the log."""


class UpkeepWatch:
    """Looks into the database when somebody asks and what is known is old; nobody waits for it."""

    def __init__(self, history: History, time: Callable[[], float]) -> None:
        self._history = history
        self._time = time
        self._seen = Upkeep()
        self._looked_s = -FRESH_S
        self._looking: asyncio.Task[None] | None = None

    def latest(self) -> Upkeep:
        """Return what was seen last; if that is a while ago, look again meanwhile."""
        if self._looking is None and self._time() - self._looked_s >= FRESH_S:
            self._looking = asyncio.create_task(self.look(), name="upkeep")
            self._looking.add_done_callback(self._has_looked)
        return self._seen

    async def look(self) -> None:
        """Look, and log what is new; without an answer, what was seen last stays."""
        self._looked_s = self._time()
        try:
            seen = await self._history.upkeep()
        except StoreError as error:
            log.debug("no look at the jobs of the database: %s", error)
            return
        for job in set(seen.failed_jobs) - set(self._seen.failed_jobs):
            log.warning("the database's job %s has failed: %s", job.name, job.error)
        if seen.candles_behind_s >= BEHIND_S > self._seen.candles_behind_s:
            log.warning(
                "the candles' aggregates are %.1f hours behind: queries of candles are slow "
                "until the database's job refresh_candles has caught up",
                seen.candles_behind_s / 3_600,
            )
        self._seen = seen

    def stop(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()

    def _has_looked(self, _task: asyncio.Task[None]) -> None:
        self._looking = None
