"""Waiting for the replies to commands, and what they mean to the caller."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from fastbook_client.errors import FastbookError, Rejected, Unanswered
from fastbook_client.mailbox import Mailbox, Reply
from fastbook_wire.commands import Add, OrderCommand
from fastbook_wire.frames import Error, OrderFrame, PrivateFrame
from fastbook_wire.words import Code

RETRY_MS_MIN = 10
FINAL = (Code.UNKNOWN_ORDER, Code.UNKNOWN_SECURITY)
"""Refusals that are answers; any other may be different next time."""

OnReply = Callable[[PrivateFrame | None], None]
"""Called with the reply to a command; None: the connection was lost first."""


class Waiting:
    """A caller's wait for a reply, which has its place among the events."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.future: asyncio.Future[PrivateFrame | None] = (
            asyncio.get_running_loop().create_future()
        )
        self._mailbox = mailbox
        self._place: Reply | None = None

    def on_reply(self, frame: PrivateFrame | None) -> None:
        """Take the reply; None: the connection was lost first."""
        if not self.future.done():
            self._place = self._mailbox.replied()
            self.future.set_result(frame)
        elif frame is not None:  # the caller was cancelled a moment ago
            self._mailbox.put(frame)

    def abandon(self) -> None:
        """Let a reply that the caller did not take any more be an event."""
        if self._place is not None:
            self._place.unclaimed = self.future.result()


def outcome_of(command: Any, reply: PrivateFrame | None) -> PrivateFrame | FastbookError:
    """Return the reply to a command, or the exception that tells why there is none."""
    match reply:
        case None:
            return Unanswered(
                command, command.order.client_order_id if isinstance(command, Add) else None
            )
        case OrderFrame(status="rejected") | Error():
            return Rejected(reply.code or "", reply.message or "", reply.retry_after_ms)
    return reply


def retry_delay_s(refusal: Error | OrderFrame) -> float:
    """Return how long to wait before another attempt, as the server suggests (default: 1 s)."""
    return max(refusal.retry_after_ms or 1_000, RETRY_MS_MIN) / 1_000


class Asked:
    """Commands that the client itself sends, until each has been answered.

    `send` sends commands in one frame, `later` calls back after some seconds, unless the connection
    is lost. `on_replies` gets the replies in the order of the commands.
    """

    def __init__(
        self,
        commands: Sequence[Any],
        send: Callable[..., object],
        later: Callable[[float, Callable[[], None]], None],
        on_replies: Callable[[list[PrivateFrame]], None],
    ) -> None:
        self._commands = commands
        self._send = send
        self._later = later
        self._on_replies = on_replies
        self._replies: dict[int, PrivateFrame] = {}

    def send(self) -> None:
        """Send all commands."""
        if all(isinstance(command, OrderCommand) for command in self._commands):
            self._send(*(self._of(n) for n in range(len(self._commands))))
        else:
            for n in range(len(self._commands)):
                self._send_one(n)

    def _send_one(self, n: int) -> None:
        self._send(self._of(n))

    def _of(self, n: int) -> tuple[Any, OnReply]:
        return self._commands[n], partial(self._on_reply, n)

    def _on_reply(self, n: int, reply: PrivateFrame | None) -> None:
        if reply is None:
            return
        if isinstance(reply, Error | OrderFrame) and reply.code not in (None, *FINAL):
            self._later(retry_delay_s(reply), partial(self._send_one, n))
            return
        self._replies[n] = reply
        if len(self._replies) == len(self._commands):
            self._on_replies([self._replies[n] for n in range(len(self._commands))])
