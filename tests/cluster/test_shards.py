"""One market over two shards: whom a command goes to, and that the answers are as of one server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest
from recording import until
from sim_cluster import CONFIG, TWO, Cluster, MatcherProcess

from fastbook_client import Market, Rejected, connect
from fastbook_server.cluster.gateway import GatewayServer
from fastbook_server.values.shards import Shards

ON_COIN, ON_FINE = TWO.names


class Town:
    """A cluster of two shards, and the owners of both."""

    def __init__(self) -> None:
        self.cluster = Cluster(
            msgspec.structs.replace(CONFIG, shutdown_s=0.2, admin_token="secret-of-the-operator"),
            shards=TWO,
        )
        self.owners: dict[str, MatcherProcess] = {}

    async def start(self) -> GatewayServer:
        await self.cluster.start()
        self.owners = {name: self.cluster.start_matcher(name) for name in TWO.names}
        return await self.cluster.start_gateway()

    def appended(self) -> list[int]:
        return [log.end for log in self.cluster.logs.values()]


async def asks(market: Market) -> list[float]:
    return [row.price for row in (await market.api.book(market.security)).agg_order_book.ask]


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    town = Town()
    yield town
    await town.cluster.stop()


async def test_a_command_goes_to_the_shard_of_its_security_alone(town):
    gateway = await town.start()
    async with connect(gateway.url) as ann:
        coin = await ann.limit("ask", 10, 1)
        fine = await ann.limit("ask", 11, 1, security="FINE")
        routers = gateway.switchboard.routers
        answered = [router.answered for router in routers.values()]
        await ann.amend(coin.id, amount=2)
        await ann.cancel(coin.id)
        assert [router.answered for router in routers.values()] == [answered[0] + 2, answered[1]]
        await ann.cancel(fine.id)
        assert [r.answered for r in routers.values()] == [answered[0] + 2, answered[1] + 1]


async def test_answers_over_both_are_one(town):
    gateway = await town.start()
    async with connect(gateway.url) as ann:
        placed = []
        for price in (10, 11, 12):
            placed += [await ann.limit("ask", price, 1, security=each) for each in ("FINE", "COIN")]
        assert [o.id for o in await ann.orders()] == sorted(p.id for p in placed)
        assert await ann.cancel_all(side="bid") == 0
        assert await ann.cancel_all(security="FINE") == 3
        assert await ann.cancel_all() == 3
        assert await ann.orders() == ()
        scheduled = await ann.cancel_after(50)
        assert scheduled.trigger_time == scheduled.time + 50_000


async def test_an_order_is_found_by_its_client_order_id_in_whichever_shard(town):
    gateway = await town.start()
    async with connect(gateway.url) as ann:
        for security in ("COIN", "FINE"):
            await ann.limit("ask", 10, 1, security=security, client_order_id=security)
        assert (await ann.order(client_order_id="FINE")).security == "FINE"
        await ann.amend(client_order_id="COIN", amount=2)
        assert (await ann.cancel(client_order_id="FINE")).status == "cancelled"
        assert [o.amount for o in await ann.orders()] == [2]
        with pytest.raises(Rejected) as refused:
            await ann.cancel(client_order_id="FINE")
        assert refused.value.code == "unknown_order"


async def test_what_no_shard_has_is_refused_as_one_server_does(town):
    gateway = await town.start()
    async with connect(gateway.url) as ann:
        with pytest.raises(Rejected, match="security: expected one of COIN, FINE, got 'GOLD'"):
            await ann.limit("ask", 10, 1, security="GOLD")
        for unknown in ("none", "018f0000-0000-7000-8000-000000000fff"):
            with pytest.raises(Rejected) as refused:
                await ann.cancel(unknown)
            assert refused.value.code == "unknown_order"


async def test_one_shard_trades_on_while_another_changes_hands(town):
    gateway = await town.start()
    async with connect(gateway.url) as ann, connect(gateway.url) as bob:
        await ann.limit("ask", 10, 1)
        await ann.limit("ask", 10, 1, security="FINE")
        town.owners[ON_COIN].kill()
        waits = asyncio.ensure_future(ann.limit("ask", 12, 1))
        everything = asyncio.ensure_future(ann.orders())
        assert (await bob.market("bid", 1, security="FINE")).status == "filled"
        for price in (20, 21):
            await bob.limit("ask", price, 1, security="FINE")
        assert not waits.done()
        assert not everything.done()
        assert gateway.switchboard.available
        town.cluster.start_matcher(ON_COIN)
        assert (await waits).status == "open"
        listed = await everything  # with what has become of the other shard's since
        assert [(o.security, o.price) for o in listed] == [("COIN", 10), ("COIN", 12)]
        assert await asks(ann) == [10, 12]


async def test_a_user_comes_back_at_another_gateway_with_the_orders_of_both(town):
    left = await town.start()
    right = await town.cluster.start_gateway()
    async with connect(left.url) as ann:
        await ann.limit("ask", 10, 1)
        await ann.limit("ask", 11, 1, security="FINE")
        async with connect(right.url, resume=ann.resume_token) as again:
            assert [o.price for o in await again.orders()] == [10, 11]
            assert await again.cancel_all() == 2


async def test_orders_of_both_go_with_the_connection(town):
    gateway = await town.start()
    async with connect(gateway.url) as watching:
        async with connect(gateway.url, cancel_on_disconnect=1) as ann:
            await ann.limit("ask", 10, 1)
            await ann.limit("ask", 11, 1, security="FINE")
        await until(lambda: not town.cluster.data.open_orders)
        assert await asks(watching) == []


async def test_a_deadline_is_over_in_both(town):
    gateway = await town.start()
    async with connect(gateway.url) as ann:
        await ann.limit("ask", 10, 1)
        await ann.limit("ask", 11, 1, security="FINE")
        await ann.cancel_after(0.1)
        await until(lambda: not town.cluster.data.open_orders)
        assert town.cluster.data.shard_rules == {ON_COIN: {}, ON_FINE: {}}


async def test_what_the_operator_cancels_is_counted_over_both(town):
    gateway = await town.start()
    async with connect(gateway.url) as ann:
        await ann.limit("ask", 10, 1)
        await ann.limit("ask", 11, 1, security="FINE")
        url = f"{gateway.url}/admin/cancel"
        headers = {"Authorization": "Bearer secret-of-the-operator"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.post(url, json={"all": True}) as answer,
        ):
            assert (await answer.json())["orders"] == 2
        assert await ann.orders() == ()


async def test_gateways_start_from_what_is_recorded_of_both(town):
    gateway = await town.start()
    async with connect(gateway.url) as ann:
        await ann.limit("ask", 10, 3)
        await ann.limit("ask", 11, 3, security="FINE")
        await ann.market("bid", 1, security="FINE")
        data, ends = town.cluster.data, town.appended
        await until(lambda: [p.batch_no for p in data.shards.values()] == ends())
        late = await town.cluster.start_gateway()
        for security, price, amount in (("COIN", 10, 3), ("FINE", 11, 2)):
            async with connect(late.url, security=security) as market:
                book = await market.api.book(security)
                assert [(r.price, r.amount) for r in book.agg_order_book.ask] == [(price, amount)]


def test_securities_are_dealt_in_turn_so_that_one_more_moves_no_other():
    three = Shards.dealt(["A", "B", "C"], 2)
    four = Shards.dealt(["A", "B", "C", "D"], 2)
    assert [part.securities for part in three] == [("A", "C"), ("B",)]
    assert all(four.of(each) == three.of(each) for each in "ABC")
