"""Orders whose reply was lost, on the real server: their outcome, and that the query is safe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from client_servers import Line, small_server, until

from fastbook_client import Backoff, Market, Resynced, Unanswered, connect
from fastbook_server.store.memory import MemoryStore
from fastbook_server.values.events import OrderAccepted, OrderRested

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


async def test_an_order_that_never_arrived_is_not_executed_by_asking(scene: Scene) -> None:
    name = await scene.lose(arrives=False)
    assert await scene.market.outcome(name) is None
    rested = [e.order for e in scene.store.data.events if isinstance(e, OrderRested)]
    assert [(o.price, o.quantity) for o in rested] == [(1, 1)], "one lot at the lowest price"
    assert await scene.market.orders() == (), "and it was cancelled"


async def test_nor_if_somebody_sells_at_the_lowest_price(scene: Scene) -> None:
    async with connect(scene.line.target, feed=False) as other:
        await other.limit("ask", 0.1, 1)
        name = await scene.lose(arrives=False)
        assert await scene.market.outcome(name) is None
        assert scene.accepted() == 1


async def test_a_cancelled_question_leaves_no_order_behind() -> None:
    async with small_server() as url:
        line = Line(url)
        async with line.open() as through, connect(through, reconnect=FAST) as market:
            line.deaf = True
            losing = asyncio.create_task(market.limit("bid", 10, 1, client_order_id="lost"))
            await until(lambda: line.swallowed > 0)
            line.cut()
            with pytest.raises(Unanswered):
                await losing
            line.deaf = False
            await until(lambda: market.is_connected)
            asking = asyncio.create_task(market.outcome("lost"))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            async with asyncio.timeout(PATIENCE_S):
                while await market.orders():
                    pass
