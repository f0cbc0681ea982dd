"""A recorded market for the demo, played again and again; its orders are cancelled at the end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, TypeVar

import msgspec

from fastbook_cli.demo.replay_control import ReplayControl
from fastbook_cli.replay.actions import Action
from fastbook_cli.replay.play import Player
from fastbook_cli.replay.recording import Recording
from fastbook_cli.replay.tape import ActionTape
from fastbook_client.errors import FastbookError
from fastbook_client.market import connect
from fastbook_server.values.instruments import InstrumentSpec

_T = TypeVar("_T")

log = logging.getLogger(__name__)

CANCEL_S = 2.0
"""How long the end of a round waits for the cancels of a session's orders."""
ROUND_S_MIN = 1.0
"""The minimum interval between two rounds: each is a new user, whom the server remembers."""


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A recording, and how to play it; each round is a new user."""

    recording: Recording
    control: ReplayControl
    once: bool
    tape: ActionTape

    @classmethod
    def of(
        cls,
        recording: Recording,
        *,
        speed: float,
        once: bool,
        spec: InstrumentSpec | None = None,
    ) -> Recorded:
        """Return a recording to play at a speed, until its control says otherwise.

        `spec` is the instrument of the server, if it is not the recording's own.
        """
        found = recording.survey
        tape = ActionTape(recording.actions, spec or recording.instrument())
        control = ReplayControl(
            recording.path.name, found.first_ns, found.last_ns, speed, tape.is_near
        )
        return cls(recording=recording, control=control, once=once, tape=tape)

    async def run(self, url: str, security: str, token: str | None = None) -> None:
        """Play until cancelled, or one round with ``once``.

        The orders of a round that still rest at its end are cancelled. `token` is the server's, if
        it wants one for commands.

        Raises:
            ReplayError: the replay cannot continue.
        """
        with contextlib.closing(self.tape):
            await self._rounds(url, security, token)

    async def _rounds(self, url: str, security: str, token: str | None) -> None:
        loop = asyncio.get_running_loop()
        while True:
            started_s = loop.time()
            player = Player(url, security=security, notify=log.warning, token=token)
            users: list[str] = []
            try:
                async with player:
                    users = player.resume_tokens
                    await self._round(player)
            finally:
                await _finish(_cancel_orders(url, users, token))
            log.info("round finished:\n%s", player.report().text(self.recording.notes))
            if self.once and not self.control.back.is_set():
                return
            await asyncio.sleep(started_s + ROUND_S_MIN - loop.time())

    async def _round(self, player: Player) -> None:
        """Play once, or until the control jumps elsewhere."""
        clock_s = asyncio.get_running_loop().time
        actions = await self._actions()
        tempo = self.control.begin(clock_s, lambda: player.agreement, player.nudge)
        playing = asyncio.ensure_future(player.play(actions, tempo))
        back = asyncio.ensure_future(self.control.back.wait())
        try:
            await asyncio.wait((playing, back), return_when=asyncio.FIRST_COMPLETED)
            if playing.done():
                playing.result()
        finally:
            playing.cancel()
            back.cancel()
            await asyncio.gather(playing, back, return_exceptions=True)

    async def _actions(self) -> Iterator[Action]:
        """Return the actions from where the round starts, even if that changes meanwhile.

        What has not been read yet until there is read in a thread: the server runs in this one.
        """
        tape, control = self.tape, self.control
        while True:
            goal_ns, is_there = control.start_ns, False
            while control.start_ns == goal_ns and not is_there:
                is_there = await _finish(asyncio.to_thread(tape.read_to, goal_ns))
            if control.start_ns == goal_ns:
                actions = await _finish(asyncio.to_thread(tape.play_from, goal_ns))
                if control.start_ns == goal_ns:
                    return actions


async def _finish(work: Coroutine[Any, Any, _T]) -> _T:
    """Complete `work`, even if the task is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait((task,))
        raise


async def _cancel_orders(url: str, users: Sequence[str], token: str | None) -> None:
    """Cancel the orders of these users, by their resume tokens, if the server still answers."""
    for user in users:
        try:
            async with (
                asyncio.timeout(CANCEL_S),
                connect(url, resume=user, feed=False, queue_max=0, token=token) as market,
            ):
                await market.cancel_all()
        except (FastbookError, TimeoutError) as error:
            log.warning("orders of the recording stay in the book: %s", error or "no answer")
