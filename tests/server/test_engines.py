"""A server on the plain-Python book says the same, frame by frame, as one on the Cython book."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest
from every_kind import WEIGHTS, EveryKind
from fakes import StampClock
from trading import T0

from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.store.memory import MemoryStore
from fastbook_server.values.instruments import InstrumentSpec
from fastbook_wire.commands import COMMANDS_PER_FRAME_MAX
from peers import Peer

SPECS = (InstrumentSpec.parse("COIN:1:1"),)
USERS = 4
RUN = 500
EACH = int(os.environ.get("FASTBOOK_TEST_COMMANDS_EACH", "10000"))
"""Commands of each kind in the long test."""

BOUNDS = {"commands_per_second_max": 10**8, "refusals_per_second_max": 10**8}
encode = msgspec.json.Encoder().encode


class Rig:
    """A server whose clock the test sets, its users, and one who watches all fills."""

    def __init__(self, engine: str, http: aiohttp.ClientSession) -> None:
        self.engine = engine
        self.now_ms = T0
        self._http = http
        self.server: Any = None
        self.users: list[Peer] = []

    async def start(self) -> None:
        """Start the server and connect its users."""
        config = Config(port=0, instruments=SPECS, engine=self.engine, **BOUNDS)
        clock = StampClock(lambda: self.now_ms)
        self.server = await Server.start(config, MemoryStore(), clock=clock)
        for _ in range(USERS):
            ws = await self._http.ws_connect(f"{self.server.url}/ws?feed=none", max_msg_size=0)
            self.users.append(await Peer.greeted(ws))

    async def play(self, user: int, commands: list[Any], told: list[list[Any]]) -> None:
        """Send commands of one user, an array to a frame; take all that the users are told."""
        peer = self.users[user]
        for start in range(0, len(commands), COMMANDS_PER_FRAME_MAX):
            await peer.send(commands[start : start + COMMANDS_PER_FRAME_MAX])
        while told[user][-1:] == [] or told[user][-1].get("ref") != commands[-1].ref:
            told[user].append(await peer.next())
        for other, each in enumerate(self.users):
            told[other] += await each.sync()

    def alias(self, text: str) -> str:
        """Return a text in which users are called by their numbers."""
        for number, peer in enumerate(self.users):
            text = text.replace(peer.user_id, f"user {number}")
        return text


@pytest.fixture
async def rigs() -> AsyncIterator[list[Rig]]:
    async with aiohttp.ClientSession() as http:
        pair = [Rig(engine, http) for engine in ("cython", "reference")]
        for rig in pair:
            await rig.start()
        yield pair
        for rig in pair:
            await rig.server.stop()


async def compare(rigs: list[Rig], each: int) -> None:
    """Send runs of every kind of command to all, until `each` of each; they must say the same."""
    flow, pick, sent = EveryKind(3, users=USERS, even=True), random.Random(3), 0
    flow.now_ms = T0
    while min(flow.counts.values()) < each:
        user = pick.randrange(USERS)
        flow.now_ms += 3
        run = [flow.next_of(f"u{user}") for _ in range(RUN)]
        for command in run:
            sent += 1
            command.ref = sent
        said = []
        for rig in rigs:
            rig.now_ms = flow.now_ms
            told: list[list[Any]] = [[] for _ in rig.users]
            await rig.play(user, run, told)
            said.append(rig.alias(encode(told).decode()))
        assert said[0] == said[1], run
    books = [rig.server.pipeline.exchange.markets["COIN"].book for rig in rigs]
    assert books[0].depth() == books[1].depth()
    assert type(books[0]) is not type(books[1])


async def test_both_engines_say_the_same(rigs):
    await compare(rigs, 100)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
async def test_both_engines_say_the_same_for_long(rigs):
    await compare(rigs, EACH)


def test_an_even_flow_has_as_many_of_each_kind():
    flow = EveryKind(1, even=True)
    for _ in range(10 * len(WEIGHTS)):
        flow.next()
    assert set(flow.counts.values()) == {10}
