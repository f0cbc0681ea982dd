"""The matcher's end of the line: each command of each gateway once, in its order, or not at all."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from fastbook_server.channels.messages import MessageError, Submissions, decode_submissions
from fastbook_server.channels.order_channel import (
    CancelDue,
    Command,
    Connected,
    Numbered,
    Unavailable,
)
from fastbook_server.cluster.log import OrderLine, gap_subject
from fastbook_server.matching.pipeline import Pipeline
from fastbook_server.values.accounts import is_account
from fastbook_server.values.clock import Timers

log = logging.getLogger(__name__)

GAP_EVERY_S = 0.1
"""So often at most a gateway is told that something is missing."""


class _Next(NamedTuple):
    """What one user has submitted together, and the number of the first of its commands."""

    gateway: str
    first: int
    together: tuple[str, tuple[Command, ...]]


class Intake:
    """Gives the `pipeline` what gateways say in one epoch.

    Whoever has said last that a user is connected holds the user: what another gateway still says
    for that user is counted, and not done; so is what an account says where `accounts` are unknown,
    as they would have unlimited credit. `heard` is called with each gateway that lives. What finds
    no room waits: a gateway has few commands under way, so the wait is bounded.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        line: OrderLine,
        *,
        shard: str,
        epoch: int,
        timers: Timers,
        commands_max: int,
        heard: Callable[[str], None],
        holds: Callable[[str, str], None],
        accounts: bool = False,
    ) -> None:
        self._pipeline = pipeline
        self._line = line
        self._shard = shard
        self._epoch = epoch
        self._timers = timers
        self._commands_max = commands_max
        self._heard = heard
        self._holds = holds
        self._accounts = accounts
        self._was_warned = False
        self._last: dict[str, int] = {}  # the number of the last command of each gateway
        self._asked_s: dict[str, float] = {}
        self._holders: dict[str, str] = {}
        self._waiting: deque[_Next] = deque()
        self._pump: asyncio.Task[None] | None = None
        self._heeds = True

    def take(self, data: bytes) -> None:
        """Heed a message of the line."""
        try:
            said = decode_submissions(data)
        except MessageError as error:
            log.warning("the line: %s", error)
            return
        if not self._heeds or said.epoch != self._epoch:
            return
        self._heard(said.gateway)
        last = self._last.get(said.gateway, 0)
        if said.first > last + 1:
            self._ask_again(said.gateway)
            return
        self._add(said, last)
        if self._pump is None and not self._submitted_all():
            self._pump = asyncio.ensure_future(self._submit_later())

    def stop(self) -> None:
        """Heed nothing from now on; what waits has not happened."""
        self._heeds = False
        self._waiting.clear()
        if self._pump is not None:
            self._pump.cancel()

    def _add(self, said: Submissions, last: int) -> None:
        first = said.first
        for submitted in said.submitted:
            following = first + len(submitted.commands)
            if first > last:
                together = (submitted.user_id, submitted.commands)
                self._waiting.append(_Next(said.gateway, first, together))
                last = following - 1
            first = following
        self._last[said.gateway] = last

    def _ask_again(self, gateway: str) -> None:
        now_s = self._timers.time()
        if now_s - self._asked_s.get(gateway, -GAP_EVERY_S) >= GAP_EVERY_S:
            self._asked_s[gateway] = now_s
            self._line.send(gap_subject(self._shard, gateway), b"")

    def _submitted_all(self) -> bool:
        """Submit what there is room for; return whether that is all."""
        while self._waiting:
            if self._pipeline.uncommitted_commands >= self._commands_max:
                return False
            first = self._waiting.popleft()
            try:
                self._submit(first)
            except Unavailable:
                self._waiting.appendleft(first)
                return False
        return True

    async def _submit_later(self) -> None:
        try:
            while not self._submitted_all():
                await self._pipeline.progress()
        finally:
            self._pump = None

    def _submit(self, following: _Next) -> None:
        gateway, first, (user_id, commands) = following
        if not self._accounts and is_account(user_id):
            self._submit_unheeded(following)
            return
        numbered = []
        for number, command in enumerate(commands, first):
            if isinstance(command, Connected):
                self._holders[user_id] = gateway
            held = self._holders.get(user_id, gateway) == gateway
            done = held or isinstance(command, CancelDue)  # any gateway may say what time it is
            numbered.append(Numbered(gateway, number, command if done else None))
            if held and not isinstance(command, CancelDue):
                self._holds(user_id, gateway)
        self._pipeline.submit(user_id, *numbered)

    def _submit_unheeded(self, following: _Next) -> None:
        """Count the commands of an account, and do none."""
        gateway, first, (user_id, commands) = following
        numbers = range(first, first + len(commands))
        self._pipeline.submit(user_id, *(Numbered(gateway, number, None) for number in numbers))
        if not self._was_warned:
            self._was_warned = True
            log.warning("accounts trade at gateway %s: start the matchers with --binance", gateway)
