"""A bot that is told all gateways: it comes back at another one, with its orders and position."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from serving import Program
from sim_cluster import Cluster

from fastbook_cli.sim.control import Control
from fastbook_cli.sim.live import Live
from fastbook_cli.sim.settings import SimSettings
from fastbook_client import Backoff, Fill, Market, Resynced, connect
from fastbook_server.cluster.memory import Cable

QUICK = Backoff(first_s=0.01, max_s=0.05)
PATIENCE_S = 30.0


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    cluster = Cluster()
    await cluster.start()
    cluster.start_matcher()
    yield cluster
    await cluster.stop()


class Bot:
    """A program that only adds up what it is told."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.bought = 0.0
        self.came_back = 0
        self.open: list[str] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for event in self.market:
            if isinstance(event, Fill):
                self.bought += event.amount
            elif isinstance(event, Resynced):
                assert event.same_user
                self.came_back += 1
                self.open = [order.id for order in event.orders]

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                await asyncio.sleep(0.01)
                if self._reading.done():
                    self._reading.result()


async def lose_its_gateway(urls: list[str], kill: Callable[[str], Awaitable[None]]) -> None:
    """Let a bot of these gateways trade, lose the one it is at, and know what happened since."""
    async with connect(urls, feed=False, reconnect=QUICK) as market:
        bot, first, user_id = Bot(market), market.url, market.user_id
        (second,) = (url for url in urls if url != first)
        resting = await market.limit("bid", 10, 4)
        beside = await market.limit("bid", 9, 1)
        async with connect(second) as other:
            await other.market("ask", 1)
            await bot.until(lambda: bot.bought == 1)
            await kill(first)
            await other.market("ask", 2)  # whether the bot is back by then or not
        await bot.until(lambda: bot.came_back == 1 and bot.bought == 3)
        assert (market.url, market.user_id) == (second, user_id)
        assert bot.open == [resting.id, beside.id]
        assert (await market.order(resting)).remaining == 1
        assert await market.cancel_all() == 2
        assert [fill.amount for fill in (await market.fills()).fills] == [1, 2]


async def test_a_stopped_gateway_hands_its_bots_on(cluster):
    gateways = [await cluster.start_gateway() for _ in range(2)]
    by_url = {gateway.url: gateway for gateway in gateways}

    async def stop(url: str) -> None:
        await by_url[url].stop()

    await lose_its_gateway(list(by_url), stop)


async def test_a_gateway_that_is_cut_off_loses_its_bots_to_the_other(cluster):
    cables = [Cable(), Cable()]
    gateways = [await cluster.start_gateway(cable) for cable in cables]
    by_url = {g.url: (g, cable) for g, cable in zip(gateways, cables, strict=True)}

    async def die(url: str) -> None:
        gateway, cable = by_url[url]
        cable.cut()
        gateway.gateway.door.refuse_new()
        for session in tuple(gateway.gateway.door._sessions):
            session.cut_off()

    await lose_its_gateway(list(by_url), die)


async def test_a_simulated_market_outlives_a_gateway(cluster):
    gateways = [await cluster.start_gateway() for _ in range(2)]
    settings = SimSettings(rate=400.0, noise=3, makers=2, trend=1, large=0)
    live = Live(",".join(gateway.url for gateway in gateways), settings, Control(settings))
    trading = asyncio.create_task(live.run())

    async def until_sent(count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while live.commands < count and not trading.done():  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0.01)
        if trading.done():
            trading.result()

    await until_sent(200)
    await gateways[0].stop()
    before = live.commands
    await until_sent(before + 400)
    trading.cancel()
    await asyncio.gather(trading, return_exceptions=True)
    async with connect(gateways[1].url) as watching:
        book = (await watching.api.book()).agg_order_book
        assert (book.ask, book.bid) == ((), ()), "the agents' orders are cancelled"


@pytest.mark.slow
async def test_a_killed_process_loses_its_bots_to_the_other(make_database, one_node):
    dsn = await make_database("postgres")
    at = ("--port", "0", "--log", one_node.urls[0], "--shard", "several", "--database-url", dsn)
    programs: dict[str, Program] = {}
    try:
        programs["recorder"] = await Program.start("recorder", *at, "--replicas", "1")
        programs["matcher"] = await Program.start("matcher", *at)
        gateways = [await Program.start("gateway", *at) for _ in range(2)]
        programs |= {gateway.url: gateway for gateway in gateways}

        async def kill(url: str) -> None:
            assert await programs[url].end(signal.SIGKILL) == -signal.SIGKILL

        await lose_its_gateway([gateway.url for gateway in gateways], kill)
    finally:
        for program in programs.values():
            await program.clear_away()
