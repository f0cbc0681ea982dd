"""Batches with so many events that others must have their turn while they are worked on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from fastbook_server.store import rows
from fastbook_server.values.events import StoredEvent
from fastbook_server.values.persisted import Batch

LARGE = 4_000
"""Events of a batch from which on it is worked on in portions."""

PORTION = 1_000
"""Events that are worked on at once: about a millisecond."""


def is_large(batch: Batch) -> bool:
    """Whether a batch is to be worked on in portions."""
    return len(batch.events) > LARGE


def portions(batch: Batch) -> Iterator[Sequence[StoredEvent]]:
    """Yield the events of a batch, so many at a time."""
    for start in range(0, len(batch.events), PORTION):
        yield batch.events[start : start + PORTION]


class LargeBatch:
    """A batch that is too large to be netted at once."""

    def __init__(self, batch: Batch, *, candles: bool) -> None:
        self._batch = batch
        self._candles = candles
        self._rows: rows.Rows | None = None

    async def rows(self) -> rows.Rows:
        """Return its rows, which are found only once."""
        if self._rows is None:
            net = rows.Net(self._candles)
            for events in portions(self._batch):
                net.take(events)
                await asyncio.sleep(0)
            self._rows = net.rows(self._batch)
        return self._rows
