"""Commands of accounts on their way to the matcher, and the replies that come with a batch."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastbook_server.channels.order_channel import Matcher, Pressure, Replace, Unavailable
from fastbook_server.channels.trade_channel import CommittedBatch
from fastbook_server.dialects.binance.refused import (
    OUTCOME_UNKNOWN,
    DialectRefusal,
    busy,
    by_matcher,
    outcome_unknown,
)
from fastbook_server.values.events import AllDeleted, CommandRefused, OrderReport
from fastbook_wire.commands import Add, Amend, Delete, DeleteAll

ANSWER_S_MAX = 10.0
"""After this long the client is told that nobody knows whether its command took effect."""

Reply = OrderReport | AllDeleted | CommandRefused
Placed = Add | Amend
Command = Add | Amend | Delete | DeleteAll


Read = Callable[[Any], Any]
"""Makes what a client is told of the reply to its command."""

_Waiting = tuple[asyncio.Future[Any], Read, asyncio.TimerHandle]


class Replies:
    """Submits commands and waits for the replies to them, which come once they are durable."""

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher
        # An account may speak to several gateways at once, and all of them hear each reply.
        self._name = secrets.token_hex(8)
        self._numbers = itertools.count(1)
        self._waiting: dict[tuple[str, Any], _Waiting] = {}

    async def ask(self, user_id: str, command: Command, read: Read) -> Any:
        """Submit a command; return what `read` makes of the reply in the moment it is durable.

        Raises:
            DialectRefusal: it was refused, could not be taken, or has not become durable in time.
        """
        (future,) = self.submit(user_id, (command, read))
        return await future

    def submit(self, user_id: str, *asked: tuple[Command, Read]) -> list[asyncio.Future[Any]]:
        """Submit commands, with none of others between them; return where their answers will be.

        Raises:
            DialectRefusal: they could not be taken, and nothing has changed.
        """
        commands = [command for command, _ in asked]
        return self._send(user_id, commands, asked)

    async def replace(
        self, user_id: str, cancel: tuple[Delete, Read], new: tuple[Add, Read], *, stops: bool
    ) -> tuple[Any, Any]:
        """Cancel an order and place another, with nothing of others between them.

        Returns both answers, each a DialectRefusal if it is one; with `stops` the second is None if
        the first is a refusal, and then nothing has been placed.

        Raises:
            DialectRefusal: they could not be taken, or have not become durable in time.
        """
        command = Replace(cancel[0], new[0], stops)
        gone, placed = self._send(user_id, [command], (cancel, new))
        try:
            cancelled = await outcome_of(gone)
            if stops and isinstance(cancelled, DialectRefusal):
                self._forget(user_id, new[0].ref)
                return cancelled, None
            return cancelled, await outcome_of(placed)
        finally:
            if not placed.cancel() and not placed.cancelled():
                placed.exception()  # nobody waits for it

    def _send(
        self,
        user_id: str,
        commands: Sequence[Command | Replace],
        asked: Sequence[tuple[Command, Read]],
    ) -> list[asyncio.Future[Any]]:
        """Submit `commands`, and note who waits for the replies to those that are `asked`."""
        pressure = self._matcher.pressure(user_id)
        if pressure is not Pressure.NONE:
            places = any(isinstance(command, Placed) for command, _ in asked)
            if pressure is Pressure.ALL or places:
                raise busy(self._matcher.retry_after_ms())
        loop, futures = asyncio.get_running_loop(), []
        until = loop.time() + ANSWER_S_MAX
        for command, read in asked:
            command.ref = f"{self._name}-{next(self._numbers)}"
            future: asyncio.Future[Any] = loop.create_future()
            timer = loop.call_at(until, _give_up, future)
            self._waiting[user_id, command.ref] = (future, read, timer)
            futures.append(future)
        try:
            self._matcher.submit(user_id, *commands)
        except Unavailable as refused:
            for command, _ in asked:
                self._forget(user_id, command.ref)
            raise busy(refused.retry_after_ms) from None
        return futures

    def _forget(self, user_id: str, ref: Any) -> None:
        """Wait for a reply no longer."""
        _, _, timer = self._waiting.pop((user_id, ref))
        timer.cancel()

    def on_batch(self, batch: CommittedBatch) -> None:
        """Answer those who wait for what a batch says."""
        for report in batch.reports if self._waiting else ():
            if isinstance(report, Reply) and report.ref is not None:
                waiting = self._waiting.pop((report.user_id, report.ref), None)
                if waiting is None:
                    continue
                future, read, timer = waiting
                timer.cancel()
                if future.done():
                    continue
                if isinstance(report, CommandRefused):
                    refused = by_matcher(report.code, report.message, report.retry_after_ms)
                    future.set_exception(refused)
                else:
                    future.set_result(read(report))


def _give_up(future: asyncio.Future[Any]) -> None:
    """Let who waits for an answer wait no longer."""
    if not future.done():
        future.set_exception(outcome_unknown())


async def outcome_of(asked: Awaitable[Any]) -> Any:
    """Wait for an answer; return it, or the refusal that it is; raise if nobody knows it."""
    try:
        return await asked
    except DialectRefusal as refused:
        if refused.code == OUTCOME_UNKNOWN:
            raise
        return refused
