"""Batches with so many events that others must have their turn while they are worked on."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator, Sequence
from typing import TypeVar

from fastbook_server.store import rows
from fastbook_server.values.events import StoredEvent
from fastbook_server.values.persisted import Batch
from fastbook_server.values.portions import taken

T = TypeVar("T")

LARGE = 4_000
"""Events of a batch from which on it is worked on in portions."""

PORTION = 500
"""Events that are worked on at once: a millisecond or two."""


def is_large(batch: Batch) -> bool:
    """Whether a batch is to be worked on in portions."""
    return len(batch.events) > LARGE


def portions(batch: Batch) -> Iterator[Sequence[StoredEvent]]:
    """Yield the events of a batch, so many at a time."""
    for start in range(0, len(batch.events), PORTION):
        yield batch.events[start : start + PORTION]


async def in_turns(steps: Generator[None, None, T]) -> T:
    """Take steps, each in a turn of its own; return their result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        await asyncio.sleep(0)


class LargeBatch:
    """A batch that is too large to be netted at once; nothing is left in one that ``is_done``."""

    def __init__(self, batch: Batch, *, candles: bool) -> None:
        self._batch = batch
        self._candles = candles
        self._rows: rows.Rows | None = None
        self.is_done = False

    async def rows(self) -> rows.Rows:
        """Return its rows, which are found only once."""
        if self._rows is None:
            net = rows.Net(self._candles)
            for events in portions(self._batch):
                net.take(events)
                await asyncio.sleep(0)
            self._rows = net.rows(self._batch)
        return self._rows

    async def let_go(self) -> None:
        """Forget its rows in portions, now that it is durable: to free all at once takes long."""
        self.is_done = True
        found, self._rows = self._rows, None
        for name in found.__struct_fields__ if found is not None else ():
            if isinstance(of_table := getattr(found, name), list):
                for _ in taken(of_table, PORTION):
                    await asyncio.sleep(0)
