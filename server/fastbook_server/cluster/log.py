"""What joins the processes of a cluster: a log that only grows at its expected end, and a line.

Implementations: ``cluster.nats`` on NATS JetStream, ``cluster.memory`` for tests.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import NamedTuple, Protocol

from fastbook_server.store import StoreError


class LogUnavailable(Exception):
    """The log is away, or full, or has not answered in time: ask again later."""


class LogMoved(Exception):
    """Another writer has appended where this one wanted to."""


class LogBroken(StoreError):
    """The log no longer holds what it has held, or holds what this program cannot read. Stop."""


class LogEntry(NamedTuple):
    """One message of the log: its number, and the stamp by which its writer knows it again."""

    number: int
    stamp: str
    data: bytes


class ReplicatedLog(Protocol):
    """An ordered, durable sequence of messages, numbered without gaps from its first on."""

    async def append(self, data: bytes, stamp: str, *, after: int) -> None:
        """Make `data` durable as the message with the number `after` + 1.

        Raises:
            LogUnavailable: the outcome is unknown; call again with the same values, which does
                nothing if the message is in: the last message of the log then bears its stamp.
            LogMoved: the log does not end at `after`, nor with this message.
        """

    async def last(self) -> LogEntry | None:
        """Return the last message, or None if there has been none.

        Raises:
            LogUnavailable: the log does not answer.
        """

    async def end(self) -> int:
        """Return the number of the last message; of an empty log, the one before its first.

        Raises:
            LogUnavailable: the log does not answer.
        """

    def follow(self, after: int) -> AsyncIterator[LogEntry]:
        """Yield the messages with numbers above `after`, each once, in order, for ever.

        While the log is away it waits.

        Raises:
            LogBroken: the next message has been removed from the log.
        """

    async def purge(self, before: int) -> None:
        """Remove messages with numbers below `before`, but never the last.

        Raises:
            LogUnavailable: the log does not answer.
        """

    async def close(self) -> None:
        """Release the connection."""


class OrderLine(Protocol):
    """Messages that reach whoever listens, if all goes well: they may be lost, doubled or late."""

    def send(self, subject: str, data: bytes) -> None:
        """Send `data` to those who listen to `subject` now; never blocks, never raises."""

    async def listen(self, subject: str, take: Callable[[bytes], None]) -> None:
        """Call `take` with each message to `subject` that is sent after this has returned.

        Raises:
            LogUnavailable: nobody answers.
        """


def line_subject(shard: str) -> str:
    """Return where the gateways of a shard speak."""
    return f"fastbook.{shard}.line"


def gap_subject(shard: str, gateway: str) -> str:
    """Return where a gateway is told that something of what it has said is missing."""
    return f"fastbook.{shard}.gap.{gateway}"
