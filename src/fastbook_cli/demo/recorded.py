"""A recorded market for the demo: played at its pace, again and again, withdrawn at the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec

from fastbook_cli.replay.play import Player
from fastbook_cli.replay.recording import Action
from fastbook_client.errors import FastbookError
from fastbook_client.market import connect

log = logging.getLogger(__name__)

WITHDRAW_S = 2.0
"""How long an end waits until a session's orders are out of the book."""
ROUND_S_MIN = 1.0
"""How far apart rounds begin at least: each is a user of its own, that the server remembers."""


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A recording, and how to play it; each round is a user of its own."""

    file: Path
    actions: Sequence[Action]
    speed: float
    once: bool

    async def run(self, url: str, security: str) -> None:
        """Play; ends after one round, or when it is cancelled.

        Whatever of the recording rests at the end of a round is withdrawn.

        Raises:
            ReplayError: there is no connection any more for good.
        """
        loop = asyncio.get_running_loop()
        while True:
            started_s = loop.time()
            player = Player(url, security=security, speed=self.speed, notify=log.warning)
            tokens: list[str] = []
            try:
                async with player:
                    tokens = player.resume_tokens
                    await player.play(self.actions)
            finally:
                await _finish(_withdraw(url, tokens))
            log.info("a round is over: %s", player.report().text())
            if self.once:
                return
            await asyncio.sleep(started_s + ROUND_S_MIN - loop.time())


async def _finish(work: Coroutine[Any, Any, None]) -> None:
    """Do what must be done at an end, also if that end is a cancellation that comes meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        raise


async def _withdraw(url: str, tokens: Sequence[str]) -> None:
    """Take the orders of these users out of the book, if the server still answers."""
    for token in tokens:
        try:
            async with (
                asyncio.timeout(WITHDRAW_S),
                connect(url, resume=token, feed=False, queue_max=0) as market,
            ):
                await market.cancel_all()
        except (FastbookError, TimeoutError) as error:
            log.warning("the recording's orders stay in the book: %s", error or "no answer")
