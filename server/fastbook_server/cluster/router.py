"""The gateway's end of a shard's line: commands are numbered, and repeated until the log answers.

A claim in the log says that everything unanswered has not happened and never will: it is numbered
anew and said to the new owner. So clients see a pause, not an unknown outcome.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import NamedTuple

from fastbook_server.channels.messages import Submitted, encode_submissions
from fastbook_server.channels.order_channel import (
    CancelDue,
    Command,
    Connected,
    Pressure,
    Replace,
    Unavailable,
)
from fastbook_server.channels.trade_channel import CommittedBatch
from fastbook_server.cluster.log import OrderLine, gap_subject, line_subject
from fastbook_server.values.clock import Cancellable, Timers
from fastbook_server.values.events import CommandRefused
from fastbook_wire.commands import Add, Ref
from fastbook_wire.words import Code

log = logging.getLogger(__name__)

SAID_AT_ONCE_MAX = 500
"""Commands of one message of the line."""
SIGN_OF_LIFE_S = 1.0
SAY_AGAIN_S = 1.5
"""Commands without an answer for so long are said again, although the log goes on."""
RESEND_S_MAX = 10.0
"""An older new order is refused at a claim instead of said to the new owner."""
AWAY_S = 5.0
"""A log that has said nothing for so long is away: its owner writes something every second."""
RETRY_MS = 1_000


class _Unanswered(NamedTuple):
    serial: int  # among all that has been submitted here
    first: int  # the number of the first of its commands
    submitted: Submitted
    since_s: float
    void: bool = False  # its user has gone to another gateway

    @property
    def following(self) -> int:
        return self.first + len(self.submitted.commands)


class Router:
    """Says what a gateway submits to the matcher of one shard, in another process.

    At most `commands_max` commands may be unanswered; from half of them on, users are read more
    slowly. ``name`` is the gateway's, random for each start; ``read`` is the number of the last
    message of the log that has been read, ``answered`` the count of commands that have had an
    answer. With each of them `progress` is set for a moment.
    """

    def __init__(
        self,
        line: OrderLine,
        *,
        name: str,
        shard: str,
        epoch: int,
        read: int,
        timers: Timers,
        commands_max: int,
        progress: asyncio.Event,
    ) -> None:
        self.name = name
        self.read = read
        self.answered = 0
        self._line = line
        self._shard = shard
        self._epoch = epoch
        self._timers = timers
        self._commands_max = commands_max
        self._unanswered: deque[_Unanswered] = deque()
        self._answered = 0  # the number of the last command that is
        self._next = 1
        self._serial = 0
        self._said = 0  # the number of the last command that has been said
        self._answered_at_s = self._heard_at_s = timers.time()
        self._flush_at: Cancellable | None = None
        self._progress = progress
        self._stopping = False
        self._life: Cancellable | None = timers.call_later(SIGN_OF_LIFE_S, self._live)

    async def start(self) -> None:
        """Listen to the matcher's questions.

        Raises:
            LogUnavailable: nobody answers.
        """
        subject = gap_subject(self._shard, self.name)
        await self._line.listen(subject, lambda _: self._say_again())

    # ---- the matcher, as the gateway sees it ---------------------------------------------------

    @property
    def available(self) -> bool:
        """Whether the log lives, and this gateway is not stopping."""
        return not self._stopping and self._timers.time() - self._heard_at_s < AWAY_S

    @property
    def uncommitted_commands(self) -> int:
        """How many commands have no answer yet."""
        return self._next - 1 - self._answered

    def pressure(self, user_id: str) -> Pressure:  # noqa: ARG002 (all users share the line)
        """Return how much of what users send there is room for."""
        full = 2 * self.uncommitted_commands >= self._commands_max
        return Pressure.WAIT if full and self.available else Pressure.NONE

    def retry_after_ms(self) -> int:
        """Return when there will be room for one more refused command."""
        return RETRY_MS

    async def progress(self) -> None:
        """Wait until something has been answered, or long enough to ask again."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SIGN_OF_LIFE_S):
                await self._progress.wait()

    async def stored(self) -> None:
        """Wait until all that has been submitted is answered."""
        wanted = self._serial
        while self._unanswered and self._unanswered[0].serial <= wanted:
            await self.progress()

    def check(self, count: int) -> None:
        """Check that there is room for so many commands.

        Raises:
            Unavailable: too many have no answer yet, or this gateway is stopping.
        """
        if count and self._stopping:
            raise Unavailable(Code.UNAVAILABLE, "the server is stopping", RETRY_MS)
        if count and self.uncommitted_commands + count > self._commands_max:
            message = f"no answer to {self.uncommitted_commands} commands yet: no matcher keeps up"
            raise Unavailable(Code.UNAVAILABLE, message, RETRY_MS)

    def submit(self, user_id: str, *commands: Command) -> None:
        """Say commands to the matcher; the log answers.

        Raises:
            Unavailable: too many have no answer yet, or this gateway is stopping.
        """
        self.check(len(commands))
        if not self._unanswered:
            self._answered_at_s = self._timers.time()
        self._serial += 1
        submitted = Submitted(user_id, commands)
        self._unanswered.append(
            _Unanswered(self._serial, self._next, submitted, self._timers.time())
        )
        self._next += len(commands)
        if self._flush_at is None:
            self._flush_at = self._timers.call_later(0, self._flush)

    # ---- what the log says ----------------------------------------------------------------------

    def on_batch(self, batch: CommittedBatch) -> None:
        """Follow a batch: whatever it answers has been taken."""
        self.read, self._heard_at_s = batch.number, self._timers.time()
        answered = batch.taken.get(self.name)
        if answered is None or answered <= self._answered:
            return
        self.answered += answered - self._answered
        self._answered, self._answered_at_s = answered, self._heard_at_s
        while self._unanswered and self._unanswered[0].following <= answered + 1:
            self._unanswered.popleft()
        self._progress.set()
        self._progress.clear()

    def claimed(self, epoch: int) -> list[CommandRefused]:
        """Begin anew with another owner: what is unanswered has not happened.

        Returns the refusals of what is too old to be said again.
        """
        given_up: list[CommandRefused] = []
        now_s = self._heard_at_s = self._answered_at_s = self._timers.time()
        before, self._unanswered = self._unanswered, deque()
        half_answered, self._answered = self._answered, 0
        self._epoch, self._next, self._said = epoch, 1, 0
        for unanswered in before:
            user_id, commands = unanswered.submitted.user_id, unanswered.submitted.commands
            commands = commands[max(0, half_answered + 1 - unanswered.first) :]
            if now_s - unanswered.since_s > RESEND_S_MAX:
                given_up += [_refusal(user_id, ref) for c in commands for ref in _places(c)]
                commands = tuple(c for c in commands if not _places(c))
            if commands and not unanswered.void:
                left = Submitted(user_id, commands)
                self._unanswered.append(unanswered._replace(first=self._next, submitted=left))
                self._next += len(commands)
        self._progress.set()
        self._progress.clear()
        self._flush()
        return given_up

    def moved(self, user_id: str) -> None:
        """Give up what a user has sent who has gone to another gateway.

        It keeps its numbers, and is not done: the matcher knows who holds the user. Said again, it
        no longer says that the user is here; at a claim it is not said again.
        """
        self._unanswered = deque(
            u._replace(void=True, submitted=_without_connected(u.submitted))
            if u.submitted.user_id == user_id
            else u
            for u in self._unanswered
        )

    def refuse_new(self) -> None:
        """Take nothing more; what has been taken is said until it is answered."""
        self._stopping = True

    def stop(self) -> None:
        """Take nothing more, and say nothing more."""
        self._stopping = True
        for timer in (self._life, self._flush_at):
            if timer is not None:
                timer.cancel()

    # ---- saying ---------------------------------------------------------------------------------

    def _flush(self) -> None:
        """Say what has not been said yet."""
        self._flush_at = None
        self._say(self._said + 1)

    def _say_again(self) -> None:
        """Say all that has no answer."""
        self._say(self._answered + 1)

    def _say(self, start: int) -> None:
        first, count = start, 0
        together: list[Submitted] = []
        for unanswered in self._unanswered:
            if unanswered.following <= start:
                continue
            if not together:
                first = unanswered.first
            together.append(unanswered.submitted)
            count += len(unanswered.submitted.commands)
            if count >= SAID_AT_ONCE_MAX:
                self._send(first, together)
                together, count = [], 0
        if together:
            self._send(first, together)
        self._said = self._next - 1

    def _send(self, first: int, together: list[Submitted]) -> None:
        data = encode_submissions(self.name, self._epoch, first, tuple(together))
        self._line.send(line_subject(self._shard), data)

    def _live(self) -> None:
        """Give a sign of life; say again what has had no answer for long."""
        self._life = self._timers.call_later(SIGN_OF_LIFE_S, self._live)
        if self._unanswered and self._timers.time() - self._answered_at_s > SAY_AGAIN_S:
            self._say_again()
        else:
            self._send(self._next, [])


def _places(command: Command) -> tuple[Ref, ...]:
    """Return what to answer if a command that would place an order is given up; () for others."""
    if isinstance(command, Replace):  # with `stops` a cancel that fails is all that is answered
        return (command.delete.ref,) if command.stops else (command.delete.ref, command.add.ref)
    return (command.ref,) if isinstance(command, Add) else ()


def _without_connected(submitted: Submitted) -> Submitted:
    """Return commands of which none takes a user back: in its place stands what time it is."""
    harmless = tuple(CancelDue() if isinstance(c, Connected) else c for c in submitted.commands)
    return Submitted(submitted.user_id, harmless)


def _refusal(user_id: str, ref: Ref) -> CommandRefused:
    message = f"not executed: no matcher has taken it within {RESEND_S_MAX:.0f} s"
    return CommandRefused(user_id, ref, Code.UNAVAILABLE, message, True, RETRY_MS)
