"""Questions about the past, and who has gone before they are answered."""

from __future__ import annotations

import asyncio

import pytest
from trading import SPECS

from fastbook_server.gateway.http.history_queue import HistoryQueue
from fastbook_server.gateway.lookups import Lookups
from fastbook_server.store.memory import MemoryStore
from fastbook_server.values.events import CommandRefused
from fastbook_wire.commands import GetFills
from fastbook_wire.words import Code


class Stubborn:
    """A matcher whose wait outlives a cancellation, as asyncio.wait_for does at times."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def stored(self) -> None:
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            await self.go_on.wait()


class Asker:
    """A connection that notes what it is told."""

    user_id = "user#ann"

    def __init__(self) -> None:
        self.told: list[object] = []

    def answer(self, payload: bytes) -> None:
        self.told.append(payload)

    def send_refusal(self, refused: CommandRefused) -> None:
        self.told.append(refused)


@pytest.mark.parametrize("stops", [False, True])
async def test_who_has_gone_is_told_nothing_and_nothing_fails(stops):
    store, matcher, asker = MemoryStore(), Stubborn(), Asker()
    recovered = await store.open(SPECS, 0)
    history = HistoryQueue(store.history(recovered.instruments), queries_max=1, waiting_max=9)
    lookups = Lookups(asker, matcher, history)
    lookups.list(GetFills(ref="1"), recovered.instruments[0])
    asked_for = (None, "019b76da-a800-7000-8040-000000004005")
    lookups.order(CommandRefused("user#ann", "2", Code.UNKNOWN_ORDER, "none", True, *asked_for))
    tasks = list(lookups._running)
    await asyncio.sleep(0)
    if stops:
        lookups.stop()
        await asyncio.sleep(0)
    matcher.go_on.set()
    await asyncio.wait(tasks)
    assert [task.exception() for task in tasks if not task.cancelled()] == [None] * len(tasks)
    assert len(asker.told) == (0 if stops else 2)
