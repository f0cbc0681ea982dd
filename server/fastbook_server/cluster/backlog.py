"""What a recorder has read of the log and not recorded yet, and how it is joined to one batch."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence

from fastbook_server.cluster.log import LogEntry
from fastbook_server.cluster.message import Assembly, Numbering, batch_of
from fastbook_server.store import Position
from fastbook_server.values.events import StoredEvent
from fastbook_server.values.instruments import Instrument
from fastbook_server.values.persisted import Batch

MESSAGES_MAX = 5_000
"""So many messages are joined at most: most of a silent market's are empty."""


class Backlog:
    """Whole messages, oldest first. It has room until it holds `bytes_max`.

    ``read`` is the number of the newest message of the log that was read, whole or not.
    """

    def __init__(self, after: int, bytes_max: int) -> None:
        self.read = after
        self._bytes_max = bytes_max
        self._recorded = after
        self._assembly = Assembly()
        self._messages: deque[Numbering] = deque()
        self._bytes = 0
        self._changed = asyncio.Condition()

    @property
    def is_empty(self) -> bool:
        """Whether all whole messages that were read are recorded."""
        return not self._messages

    async def add(self, entry: LogEntry) -> None:
        """Add the next message of the log; wait until there is room.

        Raises:
            LogBroken: it cannot be read.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._bytes < self._bytes_max)
            numbered = self._assembly.add(entry)
            if numbered is not None and numbered.number > self._recorded:
                self._messages.append(numbered)
                self._bytes += len(numbered.message.batch)
                self._changed.notify_all()
            self.read = entry.number

    async def next(self, bytes_max: int) -> Sequence[Numbering]:
        """Wait for a message; return the oldest, as many as have `bytes_max`, but at least one."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._messages)
            taken: list[Numbering] = []
            size = 0
            for numbered in self._messages:
                size += len(numbered.message.batch)
                if taken and (size > bytes_max or len(taken) >= MESSAGES_MAX):
                    break
                taken.append(numbered)
            return taken

    async def drop(self, up_to: int) -> None:
        """Forget messages up to this number, also those still to be read: they are recorded."""
        async with self._changed:
            self._recorded = up_to
            while self._messages and self._messages[0].number <= up_to:
                self._bytes -= len(self._messages.popleft().message.batch)
            self._changed.notify_all()


def joined(
    messages: Sequence[Numbering], after: Position, instruments: Mapping[int, Instrument]
) -> Batch:
    """Return what these messages record, on top of what is recorded, as one batch.

    Raises:
        LogBroken: a message cannot be read.
    """
    assert messages[0].previous >= after.batch_no, "what is recorded has been dropped"
    events: list[StoredEvent] = []
    for numbered in messages:
        events += batch_of(numbered, instruments).stored
    last = messages[-1]
    return Batch(
        last.number,
        last.message.until_ms,
        tuple(events),
        previous=after.batch_no,
        epoch=last.message.epoch,
    )
