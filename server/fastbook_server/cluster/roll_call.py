"""Who is there: every process answers on the line, for each of its shards, wherever it runs."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Callable

import msgspec

from fastbook_server.cluster.log import OrderLine

ANSWERS_S = 0.5
"""How long answers are waited for."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A process of a cluster: what it is, what it does, and how far it has come.

    ``read`` is the number of the last message of the log that it knows; ``waiting`` are commands
    without an answer, at a gateway, or not durable, at a matcher; ``answered`` counts those
    that have one, since the gateway's start; ``behindS`` is how far SQL is. Where the market is
    divided, all but ``sessions`` is of one ``shard``, and who knows several answers for each.
    """

    role: str
    state: str
    read: int
    epoch: int = 0
    waiting: int = 0
    answered: int = 0
    sessions: int = 0
    behind_s: float = 0.0
    url: str = ""
    shard: str = ""
    host: str = msgspec.field(default_factory=socket.gethostname)
    pid: int = msgspec.field(default_factory=os.getpid)


_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Answer)


def _subject(shard: str) -> str:
    return f"fastbook.{shard}.who"


async def answer(line: OrderLine, shard: str, say: Callable[[], Answer]) -> None:
    """Answer from now on, with what `say` returns then.

    Raises:
        LogUnavailable: nobody answers on the line.
    """
    await line.listen(_subject(shard), lambda asker: line.send(asker.decode(), _encode(say())))


class RollCall:
    """Asks who is there, again and again, on one line."""

    def __init__(self, line: OrderLine, shard: str) -> None:
        self._line = line
        self._shard = shard
        self._subject = f"fastbook.{shard}.here.{secrets.token_hex(6)}"
        self._answers: list[Answer] = []

    async def open(self) -> None:
        """Listen to the answers.

        Raises:
            LogUnavailable: nobody answers on the line.
        """
        await self._line.listen(self._subject, self._take)

    async def ask(self, wait_s: float = ANSWERS_S) -> list[Answer]:
        """Return the answers that come in time, by role."""
        self._answers = []
        self._line.send(_subject(self._shard), self._subject.encode())
        await asyncio.sleep(wait_s)
        order = ("gateway", "matcher", "recorder")
        return sorted(self._answers, key=lambda a: (order.index(a.role), a.url, a.pid))

    def _take(self, data: bytes) -> None:
        said = _decoder.decode(data)
        if said.role in ("gateway", "matcher", "recorder"):
            self._answers.append(said)
