"""The recorder: it follows the log into SQL, any number of messages in one transaction.

The ``batch_no`` of SQL is the number of the last message that it holds, so SQL is always exactly a
prefix of the log. There is no election: of several recorders each message is recorded by the first,
and the others step back for as long as that one gets on.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from typing import TypeVar

from fastbook_server import metrics
from fastbook_server.cluster.backlog import Backlog, joined
from fastbook_server.cluster.log import LogBroken, LogUnavailable, ReplicatedLog
from fastbook_server.cluster.message import Assembly, ends_message
from fastbook_server.store import Position, RecordStore, StoreFenced, StoreUnavailable
from fastbook_server.values.clock import Timers
from fastbook_server.values.instruments import Instrument, InstrumentSpec
from fastbook_server.values.persisted import Batch

log = logging.getLogger(__name__)

KEEP_MS = 600_000
"""How much of what is recorded stays in the log, for gateways and standbys that are behind."""
MARK_EVERY_MS = 10_000
"""The log is purged in steps of so much."""
BEHIND_S_MAX = 60.0
"""A recorder that is further behind is not ready."""
JOINED_BYTES_MAX = 2**20
WAITING_BYTES_MAX = 2**23
LOOK_EVERY_S = 1.0
STEP_BACK_S = 1.0
"""So long a recorder waits that was not the first, before it looks whether it is needed."""
LOST_AFTER_S = 10.0
"""A log that ends too early for so long has lost messages: a server of it may be behind others."""
RETRY_S_FIRST, RETRY_S_MAX = 0.05, 2.0

T = TypeVar("T")


class LogRecorder:
    """Records a log in a database that has the instruments of `specs`; ``run`` does it all.

    ``position`` is what has been recorded, by whomever.
    """

    def __init__(
        self,
        log: ReplicatedLog,
        store: RecordStore,
        specs: Sequence[InstrumentSpec],
        timers: Timers,
        *,
        keep_ms: int = KEEP_MS,
        joined_bytes_max: int = JOINED_BYTES_MAX,
        step_back_s: float = STEP_BACK_S,
        look_every_s: float = LOOK_EVERY_S,
        lost_after_s: float = LOST_AFTER_S,
    ) -> None:
        self.position = Position(0, 0, 0)
        self._log = log
        self._store = store
        self._specs = specs
        self._timers = timers
        self._keep_ms = keep_ms
        self._joined_bytes_max = joined_bytes_max
        self._step_back_s = step_back_s
        self._look_every_s = look_every_s
        self._lost_after_s = lost_after_s
        self._instruments: dict[int, Instrument] = {}
        self._backlog = Backlog(0, WAITING_BYTES_MAX)
        self._marks: deque[Position] = deque()  # where the log may be cut, once they are old
        self._moved = asyncio.Event()
        self._caught_up_s = timers.time()
        self._is_behind = True
        self._has_started = False

    @property
    def behind_s(self) -> float:
        """How long ago the log ended where SQL does now; 0 if it has just been seen to."""
        return self._timers.time() - self._caught_up_s if self._is_behind else 0.0

    @property
    def ready(self) -> bool:
        """Whether the database is prepared and not too far behind."""
        return self._has_started and self.behind_s <= BEHIND_S_MAX

    async def run(self) -> None:
        """Prepare the database, then record the log for ever. Waits for both while they are away.

        Raises:
            LogBroken: the log cannot be read on, or has lost what is recorded.
            StoreFenced: the database has been written by another than this log's recorders.
            StoreError: the database cannot be used.
        """
        work = asyncio.ensure_future(self._run())
        try:
            await asyncio.wait((work,))
            work.result()
        finally:
            await _cancel((work,))

    async def _run(self) -> None:
        known = await _patient(lambda: self._store.open_to_record(self._specs), "prepare it")
        self._instruments = {instrument.number: instrument for instrument in known}
        position = await _patient(self._store.position, "read it")
        await self._check_start(position)
        self._backlog = Backlog(position.batch_no, WAITING_BYTES_MAX)
        self._recorded(position)
        self._has_started = True
        log.info("recording what follows message %d", position.batch_no)
        works = [asyncio.ensure_future(w) for w in (self._read(), self._record(), self._look())]
        try:
            await asyncio.gather(*works)
        finally:
            await _cancel(works)

    async def caught_up(self) -> None:
        """Wait until all is recorded that is in the log now.

        Raises:
            LogUnavailable: the log does not answer.
        """
        await self._until(await self._log.end())

    async def finish(self, within_s: float) -> bool:
        """Record what the log has by now, if that can be done in time; return whether it is."""
        try:
            async with asyncio.timeout(within_s):
                await self.caught_up()
        except (TimeoutError, LogUnavailable) as error:
            log.warning("the log may hold what is not recorded: %s", error or "no time left")
            return False
        return True

    # ---- recording ------------------------------------------------------------------------------

    async def _read(self) -> None:
        async for entry in self._log.follow(self._backlog.read):
            await self._backlog.add(entry)
            if self._backlog.is_empty:  # a part of a message that may never be finished
                self._stir()

    async def _record(self) -> None:
        while True:
            messages = await self._backlog.next(self._joined_bytes_max)
            batch = joined(messages, self.position, self._instruments)
            try:
                await self._commit(batch)
            except StoreFenced as error:
                await self._step_back(error)
            else:
                assert batch.epoch is not None, "messages of a log have an epoch"
                self._recorded(Position(batch.epoch, batch.number, batch.time_ms))
            await self._backlog.drop(self.position.batch_no)
            self._stir()

    async def _commit(self, batch: Batch) -> None:
        prepared = self._store.prepare(batch)
        began_s = self._timers.time()
        await _patient(lambda: self._store.commit(prepared), f"record message {batch.number}")
        metrics.COMMIT_SECONDS.observe(self._timers.time() - began_s)

    async def _step_back(self, fenced: StoreFenced) -> None:
        """Wait for as long as another recorder gets on.

        Raises:
            StoreFenced: it was not a recorder of this log who has written.
        """
        position = await _patient(self._store.position, "read it")
        while True:
            await self._check_recorded(position, fenced)
            self._recorded(position)
            await self._backlog.drop(position.batch_no)
            self._stir()
            await asyncio.sleep(self._step_back_s)
            position = await _patient(self._store.position, "read it")
            if position == self.position:
                return

    def _recorded(self, position: Position) -> None:
        if not self._marks or position.time_ms - self._marks[-1].time_ms >= MARK_EVERY_MS:
            self._marks.append(position)
        self.position = position
        metrics.RECORDED.set(position.batch_no)
        self._stir()

    def _stir(self) -> None:
        """Wake who waits for what has been recorded."""
        self._moved.set()
        self._moved.clear()

    async def _until(self, number: int) -> None:
        """Wait until the log is recorded up to a number, or to the last whole message before it."""
        while self.position.batch_no < number and not (
            self._backlog.is_empty and self._backlog.read >= number
        ):
            await self._moved.wait()

    # ---- whose database it is -------------------------------------------------------------------

    async def _check_start(self, position: Position) -> None:
        """Check that the database is a prefix of the log, as far as the log reaches back."""
        number = position.batch_no
        end = await self._end(number)
        if end < number:
            raise LogBroken(
                f"the log ends at message {end}, but the database has recorded it up to {number}: "
                "the log has lost messages, or is another database's. Bring its messages back, or "
                f"delete it: the next matcher begins a new one behind the database, at {number + 1}"
            )
        last = await _patient(self._log.last, "read it") if end == number else None
        if end > number or last is not None:
            found = await self._said_at(number)
            if found is not None and found != position:
                raise _stranger(found, position)

    async def _check_recorded(self, position: Position, fenced: StoreFenced) -> None:
        """Check that another has recorded the same log, and not less of it than we have."""
        number = position.batch_no
        is_ahead = number > self.position.batch_no and await self._end(number) >= number
        if not is_ahead or await self._said_at(number) != position:
            raise fenced

    async def _end(self, expected: int) -> int:
        """Return where the log ends; if that is below the expected number, look for longer."""
        since_s = self._timers.time()
        while True:
            end = await _patient(self._log.end, "read it")
            if end >= expected or self._timers.time() - since_s >= self._lost_after_s:
                return end
            await asyncio.sleep(RETRY_S_FIRST)

    async def _said_at(self, number: int) -> Position | None:
        """Return what the log says of itself at this number; None if it no longer reaches back.

        Between the parts of a message it says nothing: the position then has no epoch.
        """
        back = 1
        while back < 2 * number:
            assembly, found = Assembly(), None
            try:
                async for entry in self._log.follow(max(0, number - back)):
                    found = assembly.add(entry)
                    if entry.number >= number:
                        break
            except LogBroken:
                return None
            if found is not None:
                return Position(found.message.epoch, found.number, found.message.until_ms)
            if not ends_message(entry):
                return Position(0, number, 0)
            back *= 2
        return None

    # ---- how far behind, and what may go --------------------------------------------------------

    async def _look(self) -> None:
        """See how far SQL is behind the log, and cut off what is old in it, again and again."""
        wanted: int | None = None
        asked_s = 0.0
        while True:
            if wanted is None:
                asked_s = self._timers.time()
                with suppress(LogUnavailable):
                    wanted = await self._log.end()
            self._is_behind = True
            if wanted is not None and await self._within_a_look(wanted):
                self._caught_up_s, self._is_behind, wanted = asked_s, False, None
            metrics.RECORDER_BEHIND.set(self.behind_s)
            await self._purge()
            await asyncio.sleep(self._look_every_s)

    async def _within_a_look(self, number: int) -> bool:
        """Return whether the log is recorded up to a number before the time of a look is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._look_every_s):
                await self._until(number)
                return True
        return False

    async def _purge(self) -> None:
        """Cut off the log what has been recorded long enough ago."""
        old: Position | None = None
        while self._marks and self._marks[0].time_ms < self.position.time_ms - self._keep_ms:
            old = self._marks.popleft()
        if old is not None:
            try:
                await self._log.purge(old.batch_no + 1)
            except LogUnavailable:
                self._marks.appendleft(old)


def _stranger(written: Position, seen: Position) -> StoreFenced:
    return StoreFenced(
        f"another server has taken over this database: expected epoch {written.epoch} and time "
        f"{written.time_ms} with batch {written.batch_no}, as in the log, got epoch {seen.epoch} "
        f"and time {seen.time_ms}. What the log has behind it cannot be recorded any more; once "
        "the log is deleted, the next matcher begins a new one behind the database"
    )


async def _cancel(works: Collection[asyncio.Future[None]]) -> None:
    """Cancel what works, again if need be: who is about to have an answer may miss it."""
    left = {work for work in works if not work.done()}
    while left:
        for work in left:
            work.cancel()
        _, left = await asyncio.wait(left, timeout=1.0)


async def _patient(ask: Callable[[], Awaitable[T]], what: str) -> T:
    """Return the answer of a database or a log, however long it is away."""
    delay_s = RETRY_S_FIRST
    while True:
        try:
            return await ask()
        except (StoreUnavailable, LogUnavailable) as error:
            if delay_s == RETRY_S_FIRST:
                log.warning("away, retrying to %s: %s", what, error)
            metrics.COMMIT_RETRIES.inc()
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, RETRY_S_MAX)
