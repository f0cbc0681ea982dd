"""Commands of accounts on their way to the matcher, and the replies that come with a batch."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import cython

from fastbook_server.channels.order_channel import Matcher, Pressure, Replace, Unavailable
from fastbook_server.dialects.binance.calls import AwaitingCaller, Caller
from fastbook_server.dialects.binance.refused import (
    OUTCOME_UNKNOWN,
    DialectRefusal,
    busy,
    by_matcher,
    outcome_unknown,
)
from fastbook_server.values.events import AllDeleted, CommandRefused, OrderReport, PrivateEvent
from fastbook_wire.commands import Add, Amend, Delete, DeleteAll

ANSWER_S_MAX = 10.0
"""After this long the client is told that nobody knows whether its command took effect."""

REF_BITS = 52
"""A gateway's first ``ref`` is a random number of so many bits."""

Reply = OrderReport | AllDeleted
Command = Add | Amend | Delete | DeleteAll
_REPLIES = (OrderReport, AllDeleted, CommandRefused)

Read = Callable[[Any], Any]
"""Makes what a client is told of the reply to its command."""

_NO_PRESSURE = Pressure.NONE  # an enumeration's member is slow to look up


@cython.cclass
class WaitingReply:
    """Somebody who is to be told of the reply to a command of a user, until a time of the loop."""

    def __init__(self, user_id: str, caller: Caller) -> None:
        self.user_id = user_id
        self.caller = caller
        self.until_s = 0.0

    def read(self, reply: Any) -> Any:
        """Return what the client is told of the reply."""
        raise NotImplementedError


@cython.cclass
class ReadReply(WaitingReply):
    """The same, where a function makes of the reply what is told."""

    def __init__(self, user_id: str, read: Read, caller: Caller) -> None:
        self.user_id = user_id
        self.caller = caller
        self.until_s = 0.0
        self._read = read

    def read(self, reply: Any) -> Any:
        """Return what the client is told of the reply."""
        return self._read(reply)


@cython.cclass
class Replies:
    """Submits commands and waits for the replies to them, which come once they are durable."""

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher
        # An account may speak to several gateways at once, and all of them hear each reply.
        self._refs = itertools.count(secrets.randbits(REF_BITS))
        self._waiting: dict[Any, WaitingReply] = {}  # by ``ref``: the oldest first
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, waiting: WaitingReply, command: Command, places: bool) -> None:
        """Submit a command; who is `waiting` is told of the reply once it is durable.

        Or the DialectRefusal that the reply is, or that it has not become durable in time.
        ``places``: it is refused earlier than what only cancels.

        Raises:
            DialectRefusal: it could not be taken, and nothing has changed.
        """
        self._check_room(waiting.user_id, places)
        command.ref = ref = self._wait(waiting)
        try:
            self._matcher.submit(waiting.user_id, command)
        except Unavailable as refused:
            del self._waiting[ref]
            raise busy(refused.retry_after_ms) from None

    async def ask(self, user_id: str, command: Command, read: Read) -> Any:
        """Submit a command; return what `read` makes of the reply in the moment it is durable.

        Raises:
            DialectRefusal: it was refused, could not be taken, or has not become durable in time.
        """
        future = asyncio.get_running_loop().create_future()
        waiting = ReadReply(user_id, read, AwaitingCaller(future))
        self.begin(waiting, command, isinstance(command, Add | Amend))
        return await future

    async def replace(
        self, user_id: str, cancel: tuple[Delete, Read], new: tuple[Add, Read], *, stops: bool
    ) -> tuple[Any, Any]:
        """Cancel an order and place another, with nothing of others between them.

        Returns both answers, each a DialectRefusal if it is one; with `stops` the second is None if
        the first is a refusal, and then nothing has been placed.

        Raises:
            DialectRefusal: they could not be taken, or have not become durable in time.
        """
        self._check_room(user_id, True)
        loop = asyncio.get_running_loop()
        gone, placed = loop.create_future(), loop.create_future()
        for (command, read), future in ((cancel, gone), (new, placed)):
            command.ref = self._wait(ReadReply(user_id, read, AwaitingCaller(future)))
        try:
            self._matcher.submit(user_id, Replace(cancel[0], new[0], stops))
        except Unavailable as refused:
            del self._waiting[cancel[0].ref], self._waiting[new[0].ref]
            raise busy(refused.retry_after_ms) from None
        try:
            cancelled = await outcome_of(gone)
            if stops and isinstance(cancelled, DialectRefusal):
                self._waiting.pop(new[0].ref, None)
                return cancelled, None
            return cancelled, await outcome_of(placed)
        finally:
            if not placed.cancel() and not placed.cancelled():
                placed.exception()  # nobody waits for it

    def _check_room(self, user_id: str, places: bool) -> None:
        """Raise DialectRefusal if there is no room for what a user sends."""
        pressure = self._matcher.pressure(user_id)
        if pressure is not _NO_PRESSURE and (places or pressure is Pressure.ALL):
            raise busy(self._matcher.retry_after_ms())

    def _wait(self, waiting: WaitingReply) -> int:
        """Note who waits for a reply; return the ``ref`` that it will have."""
        loop = asyncio.get_running_loop()
        ref: int = next(self._refs)
        waiting.until_s = loop.time() + ANSWER_S_MAX
        self._waiting[ref] = waiting
        if self._timer is None:
            self._timer = loop.call_later(ANSWER_S_MAX, self._give_up)
        return ref

    def _give_up(self) -> None:
        """Let those wait no longer who have waited for so long."""
        self._timer = None
        loop = asyncio.get_running_loop()
        while self._waiting:
            ref = next(iter(self._waiting))
            oldest = self._waiting[ref]
            if oldest.until_s > loop.time():
                self._timer = loop.call_at(oldest.until_s, self._give_up)
                return
            del self._waiting[ref]
            oldest.caller.done(outcome_unknown())

    def on_reports(self, reports: Iterable[PrivateEvent]) -> None:
        """Answer those who wait for what a batch says."""
        if not self._waiting:
            return
        for report in reports:
            if isinstance(report, _REPLIES):
                self._reply(report.user_id, report.ref, report)

    def _reply(self, user_id: str, ref: Any, reply: Reply | CommandRefused) -> None:
        """Answer who waits for a reply; others choose their own ``ref``, which may be the same."""
        waiting = None if ref is None else self._waiting.get(ref)
        if waiting is None or waiting.user_id != user_id:
            return
        del self._waiting[ref]
        if isinstance(reply, CommandRefused):
            waiting.caller.done(by_matcher(reply.code, reply.message, reply.retry_after_ms))
        else:
            waiting.caller.done(waiting.read(reply))


async def outcome_of(asked: Awaitable[Any]) -> Any:
    """Wait for an answer; return it, or the refusal that it is; raise if nobody knows it."""
    try:
        return await asked
    except DialectRefusal as refused:
        if refused.code == OUTCOME_UNKNOWN:
            raise
        return refused
