"""The single writer: match, commit, publish, in this order and pipelined.

``submit`` stamps a command and matches it at once; its events join the batch that is being
collected. ``run`` commits one batch after the other: while one is in flight, what arrives is
matched and collected into the next. Events are published when their batch is durable (or, with
``relaxed``, as soon as they are matched).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Generator

from fastbook_server import metrics
from fastbook_server.channels.channel import Channel
from fastbook_server.channels.order_channel import Command, Numbered, Pressure, Unavailable
from fastbook_server.channels.trade_channel import CommittedBatch
from fastbook_server.matching.clock_watch import ClockWatch
from fastbook_server.matching.collected import Collected, sorting
from fastbook_server.matching.commits import STALL_S, Commits
from fastbook_server.matching.exchange import Exchange
from fastbook_server.matching.room import Room
from fastbook_server.matching.steps import Steps
from fastbook_server.matching.telling import LARGE_EVENTS, Telling
from fastbook_server.matching.waiting import Commands, WaitingCommands
from fastbook_server.store import BatchStore
from fastbook_server.values.clock import Cancellable, Clock
from fastbook_server.values.events import ExchangeEvent
from fastbook_server.values.persisted import Durability
from fastbook_wire.words import Code

log = logging.getLogger(__name__)

_NO_PRESSURE = Pressure.NONE  # an enumeration's member is slow to look up

IDLE_CHECK_S = 5.0
"""When idle, an empty batch checks this often that the database is there and still ours."""

EXPIRY_CHECK_S = 1.0
"""So often it is looked whether orders have expired: a timer misses that the clock was set."""


class Pipeline:
    """The `Matcher`: takes commands, publishes committed batches.

    Bounds: a batch closes at `batch_commands_max`; from `inbox_commands_max` uncommitted commands
    on, ``pressure`` asks gateways to refuse orders (`Room`), and no more become `WaitingCommands`;
    above `uncommitted_events_max`, as only a slow or absent database leaves them, all are refused.
    """

    def __init__(
        self,
        exchange: Exchange,
        store: BatchStore,
        batches: Channel[CommittedBatch],
        *,
        batch_no: int,
        time_ms: int,
        clock: Clock,
        durability: Durability = "commit",
        batch_commands_max: int = 800,
        inbox_commands_max: int = 1_600,
        uncommitted_events_max: int = 200_000,
        idle_check_s: float = IDLE_CHECK_S,
    ) -> None:
        self.exchange = exchange
        self._commits = Commits(store, clock, batch_no)
        self._telling = Telling(batches, clock, self._idle_mark, self._fail)
        self._time_ms = time_ms
        self._clock = clock
        self._relaxed = durability == "relaxed"
        self._batch_commands_max = batch_commands_max
        self._inbox_commands_max = inbox_commands_max
        self._room = Room(inbox_commands_max, clock)
        self._uncommitted_events_max = uncommitted_events_max
        self._idle_check_s = idle_check_s
        self._collecting = Collected()
        self._closed: deque[Collected] = deque()
        self._in_flight: Collected | None = None
        self._commands = 0  # matched, not yet committed
        self._submitted = 0  # matched since the start
        self._events = 0
        self._bug: Exception | None = None
        self._wake, self._stopped = asyncio.Event(), asyncio.Event()
        self._woken = self._stopping = self._ended = False
        self._progress = asyncio.Event()
        self._unpublished = Collected()  # relaxed only
        self._publish_at: Cancellable | None = None
        self._clock_watch = ClockWatch(clock)
        self._expiry_ms: int | None = None  # the next, for which the timer is set
        self._expiry_at: Cancellable | None = None
        self._steps: Generator[None, None, Collected] | None = None  # of what is happening
        self._steps_ms = 0  # its stamp
        self._waiting = WaitingCommands(inbox_commands_max)  # until then

    # ---- taking commands ----------------------------------------------------------------------

    @property
    def available(self) -> bool:
        """Whether commits succeed and keep up, and the pipeline is not stopping."""
        return self._commits.keep_up and not self._stopping

    def pressure(self, user_id: str) -> Pressure:
        """Return how much of what a user sends there is room for."""
        if self._steps is not None:
            pressure = Pressure.WAIT
        elif 2 * self._commands < self._inbox_commands_max:
            return _NO_PRESSURE  # nobody holds more than there is room left
        else:
            pressure = self._room.pressure(self._commands, self._of_user(user_id))
        if pressure is _NO_PRESSURE or self.available:
            return pressure
        return _NO_PRESSURE  # what is taken now is answered once the database is back

    def retry_after_ms(self) -> int:
        """Return when there will be room for one more refused command; each gets a later time."""
        return self._room.retry_after_ms(self._commands)

    def _of_user(self, user_id: str) -> int:
        """Return how many commands of a user are not durable yet."""
        held = self._collecting.senders.get(user_id, 0)
        if self._in_flight is not None:
            held += self._in_flight.senders.get(user_id, 0)
        for batch in self._closed:
            held += batch.senders.get(user_id, 0)
        return held

    async def progress(self) -> None:
        """Wait until a batch has been committed, or long enough to check again.

        Once it has ended others have their turn, whoever goes on asking.
        """
        if self._ended:
            await asyncio.sleep(0)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STALL_S):  # wait_for may lose a cancellation
                await self._progress.wait()

    async def stored(self) -> None:
        """See `Matcher.stored`."""
        wanted = self._submitted + len(self._waiting) + (self._steps is not None)
        while self._submitted - self._commands < wanted:
            if self._ended:
                raise Unavailable(Code.UNAVAILABLE, "the server is stopping", None)
            await self.progress()

    def submit(self, user_id: str, *commands: Command | Numbered) -> None:
        """Match commands, as part of one batch; their events are published once durable.

        It is done at once, unless a command that takes long is happening: then once that has ended.

        Raises:
            Unavailable: a bound of what is uncommitted or waits is met, or the server is stopping.
        """
        if self._stopping:
            raise Unavailable(Code.UNAVAILABLE, "the server is stopping", 1_000)
        if self._events >= self._uncommitted_events_max:
            bound = f"uncommitted_events_max {self._uncommitted_events_max} reached"
            raise Unavailable(Code.UNAVAILABLE, f"the database is away or too slow: {bound}", 1_000)
        if self._steps is None:
            self._match(user_id, commands)
        else:
            self._waiting.add(user_id, commands)

    def _match(self, user_id: str, commands: Commands) -> None:
        """Match commands now, up to one that takes long."""
        self._tick()
        senders = self._collecting.senders
        senders[user_id] = senders.get(user_id, 0) + len(commands)
        for n, command in enumerate(commands):
            events = self._begin(user_id, command)
            if events is None:
                if n + 1 < len(commands):
                    self._waiting.put_back(user_id, commands[n + 1 :])
                break
            self._collect(events)
        self._collected()

    def _begin(self, user_id: str, command: Command | Numbered) -> list[ExchangeEvent] | None:
        """Apply a command; return None if it takes long: then it goes on, step by step."""
        try:
            begun = self.exchange.begin(user_id, command, self._time_ms)
            return begun if isinstance(begun, list) else self._first_step(begun)
        except Exception as error:
            self._fail(command, error)
            raise Unavailable(Code.UNAVAILABLE, "the server is stopping", 1_000) from error

    def _first_step(self, steps: Steps) -> list[ExchangeEvent] | None:
        """Take the first step, which most often is the last; return the events if it was."""
        try:
            next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # StopIteration has no type for it
        self._steps, self._steps_ms = sorting(steps, self._time_ms), self._time_ms
        self._clock.call_later(0, self._step)
        return None

    def _step(self) -> None:
        """Take the next step; after the last one do what has waited for it."""
        assert self._steps is not None, "something is happening"
        try:
            next(self._steps)
        except StopIteration as end:
            self._steps = None
            self._take(end.value)
            self._collected()
        except Exception as error:  # noqa: BLE001 (passed on by `run`)
            self._steps = None
            self._waiting.clear()
            self._fail("a step", error)
        else:
            self._clock.call_later(0, self._step)
        with contextlib.suppress(Unavailable):  # the server is stopping, after a bug
            while self._waiting and self._steps is None:
                user_id, commands = self._waiting.take()
                self._match(user_id, commands)

    def _collect(self, events: list[ExchangeEvent]) -> None:
        """Add what a command caused to the batch that is being collected."""
        self._counted()
        self._events += self._collecting.add(events, self._time_ms)
        if self._relaxed:
            self._unpublished.add(events, self._time_ms)

    def _take(self, caused: Collected) -> None:
        """Add what a command caused that took long."""
        self._counted()
        if self._relaxed:
            self._unpublished.merge(caused)
        self._events += self._collecting.merge(caused, takes=True)

    def _counted(self) -> None:
        """Count a command; the first of a batch says since when it waits."""
        if not self._collecting.commands:
            self._collecting.since_s = self._clock.time()
        if self._relaxed and not self._unpublished.commands:
            self._unpublished.since_s = self._clock.time()
        self._commands += 1
        self._submitted += 1

    def _collected(self) -> None:
        """Let what has been collected be committed, told and, in time, expire."""
        if self._collecting.commands >= self._batch_commands_max:
            self._closed.append(self._collecting)
            self._collecting = Collected()
        if self._relaxed and self._publish_at is None:
            self._publish_at = self._clock.call_later(0, self._publish_relaxed)
        if not self._woken:
            self._woken = True
            self._wake.set()
        if self.exchange.next_expiry_ms() != self._expiry_ms:
            self._watch_expiries()

    def _watch_expiries(self) -> None:
        """Set the timer for the next order that expires."""
        self._expiry_ms = next_ms = self.exchange.next_expiry_ms()
        if self._expiry_at is not None:
            self._expiry_at.cancel()
            self._expiry_at = None
        if next_ms is not None:
            delay_s = min(max(0, next_ms - self._clock.now_ms()) / 1_000, EXPIRY_CHECK_S)
            self._expiry_at = self._clock.call_later(delay_s, self._expire)

    def _expire(self) -> None:
        """Let the orders end whose time has come; a timer may fire a little early."""
        self._expiry_at = self._expiry_ms = None
        if self._stopping or self._steps is not None:  # what is collected next sets the timer
            return
        self._tick()
        try:
            events = self._first_step(self.exchange.expire(self._time_ms))
        except Exception as error:  # noqa: BLE001 (passed on by `run`)
            self._fail("expiring orders", error)
            return
        if events:
            self._collect(events)
            self._collected()
        self._watch_expiries()

    def _fail(self, doing: object, error: Exception) -> None:
        """Stop after a bug of ours: with books half changed only a rebuild from SQL is right.

        The same holds for what gateways know, if one of them has failed to follow a batch.
        """
        log.critical("stopping: %r failed", doing, exc_info=error)
        self._bug = error
        self.stop()

    def _tick(self) -> int:
        """Advance the stamp unless the clock went back; return it."""
        now = self._clock.now_ms()
        if now > self._time_ms:
            self._time_ms = now
        return self._time_ms

    def _stored_ms(self) -> int:
        """Return the earliest stamp that an event which is not durable may bear."""
        for batch in (self._in_flight, *self._closed, self._collecting):
            if batch is not None and batch.commands:
                return batch.since_ms
        return self._steps_ms if self._steps is not None else self._tick()

    def _settled_ms(self) -> int:
        """Like `_stored_ms`, for events that are not published."""
        if not self._relaxed:
            return self._stored_ms()
        if self._unpublished.commands:
            return self._unpublished.since_ms
        return self._steps_ms if self._steps is not None else self._tick()

    # ---- committing ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Commit and publish batches; return after ``stop``, once the last batch is published.

        Raises:
            StoreError: the database is no longer ours, or refused a batch for good.
            Exception: the exchange failed, and what was matched before that is committed and
                published; or a gateway failed, and it is committed.
        """
        self._telling.start()
        self._watch_expiries()
        try:
            await self._run()
        finally:
            self._stopping = self._ended = True  # a later command would never be committed
            self._progress.set()
            self._telling.stop()
            if self._expiry_at is not None:
                self._expiry_at.cancel()

    async def _run(self) -> None:
        while True:
            await self._until_woken()
            self._wake.clear()
            self._woken = False
            await self._commit_all()
            if self._stopping and self._steps is None:
                self._publish_relaxed()
                if self._bug is not None:
                    raise self._bug
                return

    async def _commit_all(self) -> None:
        """Commit what has been collected; a batch is published beside the commit of the next."""
        beside: asyncio.Task[None] | None = None
        self._in_flight = batch = self._next_batch()
        try:
            while batch is not None:
                await (self._commit(batch) if beside is None else beside)
                number = self._commits.batch_no
                self._commands -= batch.commands
                self._events -= batch.weight
                self._in_flight = following = self._next_batch()
                beside = None
                if following is not None:
                    beside = asyncio.ensure_future(self._commit(following))
                    await asyncio.sleep(0)  # the database has its work before we do ours
                if not self._relaxed and batch.weight > LARGE_EVENTS:
                    await self._telling.tell_in_steps(self._message(batch, number))
                    for _ in batch.let_go():
                        await asyncio.sleep(0)
                elif not self._relaxed:
                    self._telling.tell(self._message(batch, number))
                self._progress.set()
                self._progress.clear()
                batch = following
        finally:
            if beside is not None:
                beside.cancel()  # which does nothing once it is done

    async def _until_woken(self) -> None:
        """Wait for commands; now and then check that the database is still there and still ours."""
        while not self._wake.is_set():
            try:
                async with asyncio.timeout(self._idle_check_s):
                    await self._wake.wait()
            except TimeoutError:
                await self._check_database()

    async def _check_database(self) -> None:
        """Write an empty batch; give it up when the pipeline stops with nothing left to commit."""
        check = asyncio.ensure_future(self._commits.make(Collected(), self._stored_ms()))
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait((check, stopped), return_when=asyncio.FIRST_COMPLETED)
            if check.done() or self._commands or self._waiting:
                await check
        finally:
            stopped.cancel()
            check.cancel()

    def stop(self) -> None:
        """Refuse further commands; ``run`` returns once those already taken are committed."""
        self._stopping = True
        self._wake.set()
        self._stopped.set()

    @property
    def uncommitted_commands(self) -> int:
        """How many commands have been matched but are not durable yet."""
        return self._commands

    def _next_batch(self) -> Collected | None:
        if self._closed:
            return self._closed.popleft()
        batch = self._collecting
        if not batch.commands:
            return None
        self._collecting = Collected()
        return batch

    async def _commit(self, pending: Collected) -> None:
        spent_s = await self._commits.make(pending, pending.until_ms)
        if spent_s is not None:
            self._room.committed(pending.commands, spent_s)
            metrics.BATCH_COMMANDS.observe(pending.commands)
        metrics.COMMANDS.inc(pending.commands)

    # ---- publishing ---------------------------------------------------------------------------

    def _publish_relaxed(self) -> None:
        self._publish_at = None
        pending, self._unpublished = self._unpublished, Collected()
        if pending.commands:
            self._telling.tell(self._message(pending, self._commits.batch_no))

    def _message(self, pending: Collected, number: int) -> CommittedBatch:
        """Return what is told of commands, and how far time is settled."""
        metrics.ANSWER_SECONDS.observe(self._clock.time() - pending.since_s)
        for refused in pending.refused:
            metrics.REFUSED.of[refused.code] += 1
        return pending.committed(number, self._settled_ms(), self._stored_ms())

    def _idle_mark(self) -> CommittedBatch:
        """Return what is told while nothing happens."""
        self._clock_watch.look(self._time_ms)
        settled_ms, stored_ms = self._settled_ms(), self._stored_ms()
        number = self._commits.batch_no
        return CommittedBatch(number=number, settled_ms=settled_ms, stored_ms=stored_ms)
