"""Orders whose reply was lost, on the real server: their outcome, and that the query is safe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from client_servers import Line, small_server, until

from fastbook_client import Backoff, Market, Rejected, Resynced, Unanswered, connect
from fastbook_server.store.memory import MemoryStore
from fastbook_server.values.events import OrderAccepted

PATIENCE_S = 20.0
FAST = Backoff(first_s=0.005, max_s=0.01)


class Scene:
    """A market on a line that can be cut, and the store of its server."""

    def __init__(self, line: Line, market: Market, store: MemoryStore) -> None:
        self.line = line
        self.market = market
        self.store = store

    def accepted(self) -> int:
        return sum(isinstance(e, OrderAccepted) for e in self.store.data.events)

    async def lose(self, *, arrives: bool) -> str:
        """Place an order whose reply is lost; return its client order id after reconnecting."""
        self.line.deaf, self.line.mute = not arrives, True
        before = self.accepted()
        adding = asyncio.create_task(self.market.limit("bid", 90, 1.5))
        if arrives:
            await until(lambda: self.accepted() > before)
        else:
            await until(lambda: self.line.swallowed > 0)
        self.line.deaf, self.line.mute = False, False
        self.line.cut()
        with pytest.raises(Unanswered) as caught:
            await adding
        async with asyncio.timeout(PATIENCE_S):
            while not isinstance(await anext(self.market), Resynced):
                pass
        assert caught.value.client_order_id is not None
        return caught.value.client_order_id


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    store = MemoryStore()
    async with small_server(store=store) as url:
        line = Line(url)
        async with (
            line.open() as through,
            connect(through, feed=False, reconnect=Backoff(0.005, 0.01)) as market,
        ):
            yield Scene(line, market, store)


async def test_an_order_that_arrived_is_told_of_and_not_executed_again(scene: Scene) -> None:
    name = await scene.lose(arrives=True)
    outcome = await scene.market.outcome(name)
    assert outcome is not None
    assert (outcome.status, outcome.remaining, outcome.client_order_id) == ("open", 1.5, name)
    assert scene.accepted() == 1


async def test_an_order_that_arrived_and_was_filled_meanwhile(scene: Scene) -> None:
    name = await scene.lose(arrives=True)
    async with connect(scene.line.target, feed=False) as other:
        await other.market("ask", 1.5)
    assert await scene.market.orders() == ()
    outcome = await scene.market.outcome(name)
    assert outcome is not None
    assert (outcome.status, outcome.filled, outcome.avg_price) == ("filled", 1.5, 90.0)
    assert scene.accepted() == 2


async def test_an_order_that_never_arrived_is_unknown_and_asking_changes_nothing(
    scene: Scene,
) -> None:
    async with connect(scene.line.target, feed=False) as other:
        await other.limit("ask", 0.1, 1)  # would trade with anything
        name = await scene.lose(arrives=False)
        before = len(scene.store.data.events)
        assert await scene.market.outcome(name) is None
        assert (await scene.market.orders(), len(scene.store.data.events)) == ((), before)
    again = await scene.market.limit("ask", 0.3, 1, client_order_id=name)
    assert again.status == "open", "the id is not used up by asking"


async def test_an_order_whose_caller_gave_up_before_the_reply_can_be_asked_about(
    scene: Scene,
) -> None:
    scene.line.mute = True
    placing = asyncio.ensure_future(scene.market.limit("bid", 90, 1.5, client_order_id="x1"))
    await until(lambda: scene.accepted() == 1)
    placing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await placing
    scene.line.mute = False
    scene.line.cut()
    async with asyncio.timeout(PATIENCE_S):
        while not isinstance(await anext(scene.market), Resynced):
            pass
    outcome = await scene.market.outcome("x1")
    assert outcome is not None
    assert outcome.status == "open"


async def test_an_order_is_found_open_or_ended_by_either_id(scene: Scene) -> None:
    market = scene.market
    placed = await market.limit("bid", 90, 2, client_order_id="a")
    assert await market.order(placed) == await market.order(client_order_id="a") == placed
    async with connect(scene.line.target, feed=False) as other:
        await other.market("ask", 0.5)
        await until(lambda: len(scene.store.data.trades) == 1)
        for name in (placed.id, "a"):
            assert (await market.order(name)).filled == 0.5
        with pytest.raises(Rejected, match="you have no order"):
            await other.order(placed.id)
    await market.cancel("a")
    for name in (placed.id, "a"):
        ended = await market.order(name)
        assert (ended.status, ended.reason, ended.filled, ended.avg_price) == (
            *("cancelled", "user", 0.5, 90.0),
        )


async def test_an_order_that_is_nobodys_is_unknown(scene: Scene) -> None:
    for name in (
        "x",
        "019b76da-a800-7000-8040-000000004005",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
    ):
        with pytest.raises(Rejected) as refused:
            await scene.market.order(name)
        assert refused.value.code == "unknown_order"
