"""A recorded market for the demo, played again and again; its orders are cancelled at the end."""

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

CANCEL_S = 2.0
"""How long the end of a round waits for the cancels of a session's orders."""
ROUND_S_MIN = 1.0
"""The minimum interval between two rounds: each is a new user, whom the server remembers."""


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A recording, and how to play it; each round is a new user."""

    file: Path
    actions: Sequence[Action]
    speed: float
    once: bool

    async def run(self, url: str, security: str) -> None:
        """Play until cancelled, or one round with ``once``.

        The orders of a round that still rest at its end are cancelled.

        Raises:
            ReplayError: the replay cannot continue.
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
                await _finish(_cancel_orders(url, tokens))
            log.info("round finished:\n%s", player.report().text())
            if self.once:
                return
            await asyncio.sleep(started_s + ROUND_S_MIN - loop.time())


async def _finish(work: Coroutine[Any, Any, None]) -> None:
    """Complete `work`, even if the task is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        raise


async def _cancel_orders(url: str, tokens: Sequence[str]) -> None:
    """Cancel the orders of these users, if the server still answers."""
    for token in tokens:
        try:
            async with (
                asyncio.timeout(CANCEL_S),
                connect(url, resume=token, feed=False, queue_max=0) as market,
            ):
                await market.cancel_all()
        except (FastbookError, TimeoutError) as error:
            log.warning("orders of the recording stay in the book: %s", error or "no answer")
