"""Batches become durable, one after the other.

A batch is retried unchanged until its outcome is known: never rolled back, never guessed.
"""

from __future__ import annotations

import asyncio
import logging

from fastbook_server import metrics
from fastbook_server.matching.collected import Collected
from fastbook_server.store import BatchStore, StoreUnavailable
from fastbook_server.values.clock import Timers

log = logging.getLogger(__name__)

RETRY_DELAY_FIRST_S = 0.05
RETRY_DELAY_MAX_S = 2.0
STALL_S = 1.0
"""A commit that takes longer makes the database count as away."""


class Commits:
    """Numbers batches and commits them; ``batch_no`` is the number of the last that is durable."""

    def __init__(self, store: BatchStore, timers: Timers, batch_no: int) -> None:
        self.batch_no = batch_no
        self._store = store
        self._timers = timers
        self._since_s: float | None = None  # when the one that is under way began
        self._failing = False

    @property
    def keep_up(self) -> bool:
        """Whether the last attempt has succeeded, and the one under way does not take long."""
        if self._failing:
            return False
        return self._since_s is None or self._timers.time() - self._since_s <= STALL_S

    async def make(self, collected: Collected, time_ms: int) -> float | None:
        """Make the next batch durable, however long it takes; return how long, in seconds.

        No later event is stamped earlier than `time_ms`. Commands of which the store would keep
        nothing make no batch, and take no time: None. Where none were collected at all, an empty
        batch asks whether the store is there.

        Raises:
            StoreError: the database is no longer ours, or refused the batch for good.
        """
        if collected.commands and not (collected.stored or self._store.keeps_replies):
            return None  # refusals and lists only: all before them is durable
        batch, place = collected.batch(self.batch_no + 1, time_ms), self._store.place
        prepared = self._store.prepare(batch)
        self._since_s = began_s = self._timers.time()
        delay = RETRY_DELAY_FIRST_S
        while True:
            try:
                await self._store.commit(prepared)
                break
            except StoreUnavailable as error:
                if not self._failing:
                    log.warning("%s away, retrying batch %d: %s", place, batch.number, error)
                self._failing = True
                metrics.COMMIT_RETRIES.inc()
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_DELAY_MAX_S)
        if self._failing:
            log.warning("%s back, batch %d is in", place, batch.number)
        self._failing = False
        self._since_s = None
        self.batch_no = batch.number
        spent_s = self._timers.time() - began_s
        metrics.COMMIT_SECONDS.observe(spent_s)
        return spent_s
