"""The pipeline's store on several machines: a batch is durable once the log has its message."""

from __future__ import annotations

from collections import deque

from fastbook_server.channels.trade_channel import committed
from fastbook_server.cluster.log import LogMoved, LogUnavailable, ReplicatedLog
from fastbook_server.cluster.message import PART_BYTES, MessageKind, message, parts
from fastbook_server.store import StoreFenced, StoreUnavailable
from fastbook_server.values.persisted import Batch


class _Appending:
    """The parts of a message that the log does not have yet, with their stamps."""

    def __init__(self, name: str, data: list[bytes]) -> None:
        count = len(data)
        self.left = deque((f"{name}/{count - n - 1}", part) for n, part in enumerate(data))


class LogStore:
    """A `BatchStore` that appends to a log, whose last message is number `after`.

    ``claim`` names the owner: another one's message at our place means that we are deposed. No
    later event is stamped before ``until_ms``.
    """

    place = "log"
    keeps_replies = True

    def __init__(
        self,
        log: ReplicatedLog,
        *,
        claim: str,
        epoch: int,
        after: int,
        until_ms: int,
        part_bytes: int = PART_BYTES,
    ) -> None:
        self.end = after
        self.until_ms = until_ms
        self._log = log
        self._claim = claim
        self._epoch = epoch
        self._part_bytes = part_bytes

    def prepare(self, batch: Batch) -> object:
        """Return the message's parts."""
        self.until_ms = max(self.until_ms, batch.time_ms)
        told = committed(
            (*batch.events, *batch.reports),
            number=batch.number,
            settled_ms=batch.time_ms,
            stored_ms=batch.time_ms,
            taken=batch.taken,
            held=batch.held,
        )
        is_idle = not (batch.events or batch.reports or batch.taken)
        whole = message(
            MessageKind.BATCH, self._claim, self._epoch, batch.time_ms, None if is_idle else told
        )
        return self._appending(str(batch.number), parts(whole, self._part_bytes))

    async def commit(self, prepared: object) -> None:
        """Append what the log does not have yet; see `BatchStore.commit`."""
        assert isinstance(prepared, _Appending), f"expected a prepared batch, got {prepared!r}"
        while prepared.left:
            stamp, part = prepared.left[0]
            try:
                await self._log.append(part, stamp, after=self.end)
            except LogUnavailable as error:
                raise StoreUnavailable(f"the log: {error}") from error
            except LogMoved as error:
                raise StoreFenced(f"another matcher has taken over: {error}") from error
            prepared.left.popleft()
            self.end += 1

    def release(self) -> object:
        """Return the farewell, which `commit` appends: a standby need not wait to take over."""
        whole = message(MessageKind.RELEASE, self._claim, self._epoch, self.until_ms)
        return self._appending("release", parts(whole))

    def _appending(self, name: str, data: list[bytes]) -> _Appending:
        return _Appending(f"{self._claim}:{name}", data)
