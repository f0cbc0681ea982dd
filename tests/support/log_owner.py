"""A matcher's place in a log: writes what random commands of every kind cause, as its messages."""

from __future__ import annotations

import random
from typing import Any

from every_kind import EveryKind
from trading import Floor, cancel_after

from fastbook_server.channels.order_channel import Deposit, Operate
from fastbook_server.cluster.log import LogEntry
from fastbook_server.cluster.log_store import LogStore
from fastbook_server.cluster.memory import MemoryLog, MemoryLogData
from fastbook_server.cluster.message import Assembly, MessageKind, Numbering, message, parts
from fastbook_server.values.events import PRIVATE
from fastbook_server.values.persisted import Batch, Recovered


class LogOwner:
    """Owns a log from its claim on; ``batches`` are what a store of SQL would have been given."""

    def __init__(
        self, data: MemoryLogData, past: Recovered, seed: int = 0, *, part_bytes: int = 400
    ) -> None:
        self.data = data
        self.floor = Floor(past)
        self.floor.now_ms = max(self.floor.now_ms, past.time_ms)
        self.flow = EveryKind(seed)
        self.batches: list[Batch] = []
        self._draw = random.Random(seed)
        self._epoch = past.epoch
        self._name = f"owner of {past.epoch}"
        self._log = MemoryLog(data)
        self._part_bytes = part_bytes
        self._number = past.batch_no
        self._store: LogStore | None = None
        self._deposits = 0

    async def claim(self) -> None:
        """Begin."""
        whole = message(MessageKind.CLAIM, self._name, self._epoch, self.floor.now_ms)
        (data,) = parts(whole)
        await self._log.append(data, self._name, after=self.data.end)
        self._store = LogStore(
            self._log,
            claim=self._name,
            epoch=self._epoch,
            after=self.data.end,
            until_ms=self.floor.now_ms,
            part_bytes=self._part_bytes,
        )

    async def write(self, commands: int = 10) -> None:
        """Let commands happen, and append what they cause."""
        assert self._store is not None, "claim first"
        prepared = self._store.prepare(self._batch(commands))
        await self._store.commit(prepared)

    async def begin(self, commands: int = 10) -> None:
        """Like `write`, but die before the last part."""
        data = MemoryLogData(self.data.end + 1)
        log = MemoryLog(data)
        dying = LogStore(
            log,
            claim=self._name,
            epoch=self._epoch,
            after=data.end,
            until_ms=self.floor.now_ms,
            part_bytes=self._part_bytes,
        )
        await dying.commit(dying.prepare(self._batch(commands)))
        assert len(data.entries) > 1, "a message of several parts"
        for entry in data.entries[:-1]:
            await self._log.append(entry.data, entry.stamp, after=self.data.end)
        del self.batches[-1]

    async def release(self) -> None:
        """Say farewell."""
        assert self._store is not None, "claim first"
        await self._store.commit(self._store.release())

    def _batch(self, commands: int) -> Batch:
        seen = len(self.floor.events)
        for _ in range(commands):
            self.floor.now_ms += self._draw.choice((0, 1, 3, 700))
            self.flow.now_ms = self.floor.now_ms
            self.floor.do(*self._command())
        events = self.floor.events[seen:]
        self._number += 1
        batch = Batch(
            self._number,
            self.floor.now_ms,
            tuple(e for e in events if type(e) not in PRIVATE),
            tuple(e for e in events if type(e) in PRIVATE),
        )
        self.batches.append(batch)
        return batch

    def _command(self) -> tuple[str, Any]:
        roll = self._draw.random()
        if roll < 0.95:
            return self.flow.next()
        if roll < 0.97:
            return f"u{self._draw.randrange(4)}", cancel_after(self._draw.choice((0, 90_000)))
        if roll < 0.98:
            return "operator", Operate(self._draw.choice(("halt", "resume")), "FINE")
        self._deposits += 1
        return "api#ann", Deposit(self._deposits, "USD", f"{self._draw.randrange(1, 99)}.5")


def messages_of(entries: list[LogEntry]) -> list[Numbering]:
    """Return the whole messages among these entries."""
    assembly = Assembly()
    found = (assembly.add(entry) for entry in entries)
    return [numbered for numbered in found if numbered is not None]
