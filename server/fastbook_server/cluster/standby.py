"""A matcher that waits: it folds the log, and takes over when the owner has fallen silent.

There is no lease and no lock: two may try, and one append wins.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import NamedTuple

import msgspec

from fastbook_server.cluster.fold import StateFold
from fastbook_server.cluster.log import LogEntry, LogMoved, LogUnavailable, ReplicatedLog
from fastbook_server.cluster.message import (
    Assembly,
    MessageKind,
    Numbering,
    batch_of,
    message,
    parts,
)
from fastbook_server.values.clock import Clock
from fastbook_server.values.persisted import Recovered

log = logging.getLogger(__name__)

TAKEOVER_S = 3.0
"""An owner that has written nothing for so long, though the log answers, is gone."""
LOOK_EVERY_S = 0.05


class Claimed(NamedTuple):
    """A claim that is in the log: whose, since which message, and the state as of then.

    ``deposits`` are made, though the database may not know it yet.
    """

    name: str
    number: int
    past: Recovered
    deposits: tuple[int, ...] = ()


class Standby:
    """Follows `log` from the state that was recovered; `claim` returns once it owns the market.

    ``read`` is the number of the last message that it knows.
    """

    def __init__(
        self, log: ReplicatedLog, past: Recovered, clock: Clock, *, takeover_s: float = TAKEOVER_S
    ) -> None:
        self.name = secrets.token_hex(8)
        self._log = log
        self._clock = clock
        self._takeover_s = takeover_s
        self._fold = StateFold(past)
        self._instruments = {i.number: i for i in (*past.instruments, *past.unlisted)}
        self._assembly = Assembly()
        self.read = past.batch_no  # the number of the last message
        self._owned = True  # by someone who has not said farewell
        self._heard_s = clock.time()
        self._claims = 0

    @property
    def owner_epoch(self) -> int:
        """The epoch of the present owner, or of the last."""
        return self._fold.epoch

    async def claim(self) -> Claimed:
        """Wait for the end of the owner, and take over.

        Raises:
            LogBroken: the log cannot be read on.
        """
        await self._look_at_last()
        following = asyncio.ensure_future(self._follow())
        try:
            while True:
                slept_s = self._clock.time()
                await asyncio.wait((following,), timeout=LOOK_EVERY_S)
                late_s = self._clock.time() - slept_s - LOOK_EVERY_S
                if late_s > LOOK_EVERY_S:  # frozen, or starved of its processor, as others may be
                    self._heard_s += late_s
                if following.done():
                    following.result()
                if (claimed := await self._try()) is not None:
                    return claimed
        finally:
            following.cancel()

    async def _look_at_last(self) -> None:
        """Find out whether the log, of which SQL may know all, has an owner."""
        while True:
            try:
                last = await self._log.last()
                break
            except LogUnavailable:
                await asyncio.sleep(LOOK_EVERY_S)
        numbered = None if last is None else Assembly().add(last)
        self._owned = last is not None and not _is_farewell(numbered)
        self._heard_s = self._clock.time()

    async def _follow(self) -> None:
        async for entry in self._log.follow(self.read):
            self._take(entry)

    def _take(self, entry: LogEntry) -> None:
        self.read, self._heard_s = entry.number, self._clock.time()
        numbered = self._assembly.add(entry)
        if numbered is None:
            return
        self._fold.take(batch_of(numbered, self._instruments))
        self._fold.claimed(numbered.message.epoch)
        self._owned = not _is_farewell(numbered)

    async def _try(self) -> Claimed | None:
        """Claim if the owner is gone; None: it is not, or another was faster."""
        if self._owned and self._clock.time() - self._heard_s < self._takeover_s:
            return None
        try:
            end = await self._log.end()
            if end == self.read:
                return await self._append(end)
        except LogUnavailable:
            self._heard_s = self._clock.time()  # the owner gets the first turn
        except LogMoved:
            self._heard_s, self._owned = self._clock.time(), True
        return None

    async def _append(self, end: int) -> Claimed:
        epoch = self._fold.epoch + 1
        time_ms = self._fold.time_ms or self._clock.now_ms()  # a new market begins now
        (data,) = parts(message(MessageKind.CLAIM, self.name, epoch, time_ms))
        self._claims += 1
        stamp = f"{self.name}:claim{self._claims}"
        while True:
            try:
                await self._log.append(data, stamp, after=end)
                break
            except LogUnavailable as error:  # it may be in: only the log can say
                log.warning("the claim has no answer yet: %s", error)
                await asyncio.sleep(LOOK_EVERY_S)
        self._fold.claimed(epoch)
        past = msgspec.structs.replace(self._fold.recovered(), time_ms=time_ms)
        return Claimed(self.name, end + 1, past, self._fold.deposits)


def _is_farewell(numbered: Numbering | None) -> bool:
    return numbered is not None and numbered.message.kind is MessageKind.RELEASE
