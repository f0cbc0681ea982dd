"""Takeovers and lost gateways, one by one, with real gateways over a log in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial

import aiohttp
import msgspec
import pytest
from sim_cluster import CONFIG, Cluster

import fastbook_server.cluster.absence as absence_module
import fastbook_server.cluster.isolation as isolation_module
import fastbook_server.cluster.matcher as matcher_module
import fastbook_server.cluster.router as router_module
import fastbook_server.gateway.door as door_module
import fastbook_server.gateway.session as session_module
from fastbook_client import Market, Refused, connect
from fastbook_server.cluster.log_store import LogStore
from fastbook_server.cluster.memory import Cable, MemoryLog

PATIENCE_S = 20.0
LOOK_S = 0.02


@pytest.fixture
async def cluster(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    """A cluster whose gateways are missed soon."""
    monkeypatch.setattr(router_module, "SIGN_OF_LIFE_S", 0.05)
    monkeypatch.setattr(absence_module, "GONE_S", 0.5)
    monkeypatch.setattr(absence_module, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(session_module, "CLOSE_TIMEOUT_S", 0.2)  # of the dead gateway's sockets
    cluster = Cluster(msgspec.structs.replace(CONFIG, shutdown_s=0.2))
    await cluster.start()
    yield cluster
    await cluster.stop()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(LOOK_S)


async def asks(market: Market) -> list[float]:
    return [row.price for row in (await market.api.book(market.security)).agg_order_book.ask]


async def until_asks(market: Market, prices: list[float]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while await asks(market) != prices:  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(LOOK_S)


async def test_orders_of_a_dead_gateways_users_go_but_of_those_who_came_back(cluster):
    cluster.start_matcher()
    cable = Cable()
    left, right = await cluster.start_gateway(cable), await cluster.start_gateway()
    async with (
        connect(left.url, cancel_on_disconnect=1) as gone,
        connect(left.url, cancel_on_disconnect=1) as returning,
        connect(left.url) as patient,
        connect(right.url) as watching,
    ):
        for price, market in enumerate((gone, returning, patient), 10):
            await market.limit("ask", price, 1)
        cable.cut()
        resume = returning.resume_token
        async with connect(right.url, resume=resume, cancel_on_disconnect=1) as again:
            await until_asks(watching, [11, 12])
            assert [o.price for o in await again.orders()] == [11]


async def test_they_go_though_the_owner_dies_with_the_gateway(cluster):
    first = cluster.start_matcher()
    cable = Cable()
    left, right = await cluster.start_gateway(cable), await cluster.start_gateway()
    async with (
        connect(left.url, cancel_on_disconnect=1) as gone,
        connect(right.url, cancel_on_disconnect=1) as here,
    ):
        await gone.limit("ask", 10, 1)
        await here.limit("ask", 11, 1)
        cable.cut()
        first.kill()
        cluster.start_matcher()
        await until_asks(here, [11])
        assert [o.price for o in await here.orders()] == [11]


async def test_a_deadline_is_kept_though_its_gateway_has_died(cluster):
    cluster.start_matcher()
    cable = Cable()
    left, right = await cluster.start_gateway(cable), await cluster.start_gateway()
    async with connect(left.url) as ann, connect(right.url) as watching:
        await ann.limit("ask", 10, 1)
        await watching.limit("ask", 11, 1)
        await ann.cancel_after(1)
        cable.cut()
        await until_asks(watching, [11])


async def test_all_orders_are_cancelled_and_listed_over_a_takeover(cluster):
    first = cluster.start_matcher()
    gateway = await cluster.start_gateway()
    async with connect(gateway.url) as ann, connect(gateway.url) as bob:
        for price in (10, 11, 12):
            await ann.limit("ask", price, 1)
            await bob.limit("ask", price, 1)
        first.kill()
        cancelling = asyncio.ensure_future(ann.cancel_all())
        listing = asyncio.ensure_future(bob.orders())
        cluster.start_matcher()
        assert await cancelling == 3
        assert [o.price for o in await listing] == [10, 11, 12]
        assert await ann.orders() == ()


async def test_a_batch_whose_owner_dies_between_its_parts_has_not_happened(cluster, monkeypatch):
    monkeypatch.setattr(matcher_module, "LogStore", partial(LogStore, part_bytes=300))
    append, armed = MemoryLog.append, asyncio.Event()

    async def deadly(log: MemoryLog, data: bytes, stamp: str, *, after: int) -> None:
        await append(log, data, stamp, after=after)
        if armed.is_set() and not stamp.endswith("/0"):
            armed.clear()
            first.kill()

    monkeypatch.setattr(MemoryLog, "append", deadly)
    first = cluster.start_matcher()
    gateway = await cluster.start_gateway()
    async with connect(gateway.url) as ann, connect(gateway.url) as bob:
        for price in range(10, 30):
            await ann.limit("ask", price, 1)
        armed.set()
        sweeping = asyncio.ensure_future(bob.market("bid", 20))
        await until(lambda: not armed.is_set())
        assert await asks(ann) == [*range(10, 30)]
        cluster.start_matcher()
        assert (await sweeping).status == "filled"
        await until(lambda: len(cluster.data.trades) == 1)
        assert await asks(ann) == []


async def test_who_comes_back_while_nobody_owns_the_market_is_told_to_try_later(
    cluster, monkeypatch
):
    monkeypatch.setattr(door_module, "FETCH_S", 0.3)
    first = cluster.start_matcher()
    left, right = await cluster.start_gateway(), await cluster.start_gateway()
    async with connect(left.url) as ann:
        await ann.limit("ask", 10, 1)
        first.kill()
        with pytest.raises(Refused) as refused:
            async with connect(right.url, resume=ann.resume_token):
                pass
        assert refused.value.status == 503


async def test_a_gateway_without_the_logs_servers_sends_its_users_away(cluster, monkeypatch):
    monkeypatch.setattr(isolation_module, "ISOLATED_AFTER_S", 0.3)
    monkeypatch.setattr(isolation_module, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(router_module, "AWAY_S", 0.1)
    end, asked = MemoryLog.end, 0

    async def counted(log: MemoryLog) -> int:
        nonlocal asked
        asked += 1
        return await end(log)

    owner = cluster.start_matcher()
    cables = [Cable(), Cable()]
    gateways = [await cluster.start_gateway(cable) for cable in cables]
    async with connect([each.url for each in gateways]) as ann, aiohttp.ClientSession() as http:
        here = 0 if ann.url == gateways[0].url else 1
        left, right, cable = gateways[here], gateways[1 - here], cables[here]
        alone = await http.ws_connect(f"{left.url}/ws")
        await ann.limit("ask", 10, 1)
        owner.kill()  # nobody decides, and no other gateway could help
        monkeypatch.setattr(MemoryLog, "end", counted)
        await until(lambda: asked >= 40)
        assert (ann.url, left.gateway.door.session_count) == (left.url, 2)
        cluster.start_matcher()
        await until(lambda: left.switchboard.available)
        cable.cut()
        await until(lambda: ann.url == right.url)
        assert [o.price for o in await ann.orders()] == [10]
        while not alone.closed:
            await alone.receive()
        assert alone.close_code == 1001
        assert (await http.get(f"{left.url}/readyz")).status == 503
        cable.mend()
        await until(lambda: left.switchboard.available)
        async with connect(left.url) as again:
            assert (await again.limit("ask", 11, 1)).status == "open"


async def test_who_comes_back_is_let_in_once_somebody_owns_the_market(cluster):
    first = cluster.start_matcher()
    left, right = await cluster.start_gateway(), await cluster.start_gateway()
    async with connect(left.url) as ann:
        await ann.limit("ask", 10, 1)
        first.kill()
        again = connect(right.url, resume=ann.resume_token)
        entering = asyncio.ensure_future(again.__aenter__())
        await until(lambda: right.switchboard.uncommitted_commands == 1)
        cluster.start_matcher()
        await entering
        assert [o.price for o in await again.orders()] == [10]
        await again.__aexit__(None, None, None)
