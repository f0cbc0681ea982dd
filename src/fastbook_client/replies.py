"""Waiting for the replies to commands, and what they mean to the caller."""

from __future__ import annotations

import asyncio
from typing import Any

from fastbook_client.errors import FastbookError, Rejected, Unanswered
from fastbook_client.mailbox import Mailbox, Reply
from fastbook_wire.commands import Add
from fastbook_wire.frames import Error, OrderFrame, PrivateFrame


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
