"""Two shards as processes over NATS: one is killed while the other trades; then one serves both."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest
from chaos_cluster import Slot
from nats_nodes import nats_nodes
from serving import Program

from fastbook_client import Market, connect
from fastbook_server.cluster.nats.connection import NatsConnection
from fastbook_server.cluster.nats.stream import NatsLog
from fastbook_server.store.verification import snapshot, verify

TAKEOVER_S = 5.0
"""Long enough to see that the other shard does not wait for it."""
SECURITIES = ("BTC-USD", "ETH-USD")
INSTRUMENTS = ("--instrument", "BTC-USD:0.01:0.0001", "--instrument", "ETH-USD:0.01:0.001")
SETTLES_S = 60.0


class ShardedCluster:
    """Two shards, each with two matchers, two gateways and a recorder."""

    def __init__(self, urls: list[str], dsn: str) -> None:
        self.urls, self.dsn = urls, dsn
        at = ("--log", ",".join(urls), "--database-url", dsn, *INSTRUMENTS, "--shards", "2")
        takeover = ("--takeover-s", str(TAKEOVER_S))
        self.gateways = [Slot("gateway", *at) for _ in range(2)]
        self.matchers = {
            name: [Slot("matcher", *at, *takeover, "--shard", name) for _ in range(2)]
            for name in ("1", "2")
        }
        self.recorder = Slot("recorder", *at)

    @property
    def slots(self) -> list[Slot]:
        matchers = [slot for of_shard in self.matchers.values() for slot in of_shard]
        return [self.recorder, *matchers, *self.gateways]

    async def start(self) -> None:
        await asyncio.gather(*(slot.start() for slot in self.slots))

    async def owner(self, shard: str) -> Slot:
        """Return who decides in a shard, as soon as somebody does."""
        async with asyncio.timeout(SETTLES_S):
            while True:
                for slot in self.matchers[shard]:
                    if slot.can_be_struck and (await slot.status()).get("state") == "owner":
                        return slot
                await asyncio.sleep(0.1)

    async def stop(self) -> None:
        """Stop all in order; the recorder last."""
        for slots in (self.gateways, [*self.matchers["1"], *self.matchers["2"]], [self.recorder]):
            await asyncio.gather(*(slot.stop() for slot in slots))

    async def clear_away(self) -> None:
        await asyncio.gather(*(slot.clear_away() for slot in self.slots))


@pytest.fixture
async def cluster(make_database) -> AsyncIterator[ShardedCluster]:
    dsn = await make_database("postgres")
    with nats_nodes(3) as nodes:
        cluster = ShardedCluster(nodes.urls, dsn)
        try:
            await cluster.start()
            yield cluster
        finally:
            await cluster.clear_away()


async def faults(dsn: str) -> list[str]:
    async with snapshot(dsn) as moment:
        return [str(verdict) async for verdict in verify(moment) if verdict.faults]


async def place(market: Market, security: str, price: float) -> str:
    return (await market.limit("ask", price, 1, security=security)).id


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_shard_whose_owner_is_killed_stops_no_other(cluster, sql_of):
    urls = [gateway.url for gateway in cluster.gateways]
    placed: list[str] = []
    async with connect(urls) as ann, connect(urls[1]) as bob:
        for shard, (security, other) in (("1", SECURITIES), ("2", SECURITIES[::-1])):
            placed += [await place(ann, each, 100) for each in SECURITIES]
            (await cluster.owner(shard)).send(signal.SIGKILL)
            waits = asyncio.ensure_future(place(ann, security, 101))
            meanwhile = [await place(bob, other, 200 + n) for n in range(20)]
            assert not waits.done(), "nobody decides in this shard yet"
            placed += [*meanwhile, await waits]
        listed = [order.id for market in (ann, bob) for order in await market.orders()]
        assert sorted(listed) == sorted(placed)
        async with connect(urls[0], resume=bob.resume_token) as again:
            assert await again.cancel_all() == 40
        left = {order.id for order in await ann.orders()}
        token = ann.resume_token
    await asyncio.gather(*(slot.ready() for slot in cluster.slots))
    await cluster.stop()
    sql = await sql_of(cluster.dsn)
    assert {row["id"] for row in await sql.fetch("SELECT id::text FROM open_orders")} == left
    assert await faults(cluster.dsn) == []
    await served_by_one(cluster.dsn, token, left)
    await divided_again(cluster, token, left)


async def served_by_one(dsn: str, token: str, left: set[str]) -> None:
    """Let one process serve the market, and trade in both securities."""
    server = Program("serve", "--database-url", dsn, *INSTRUMENTS, "--port", "0")
    try:
        await server.ready()
        async with connect(server.url, resume=token) as ann:
            assert {order.id for order in await ann.orders()} == left
            for security in SECURITIES:
                assert (await ann.market("bid", 1, security=security)).status == "filled"
            left.clear()
            left.update(order.id for order in await ann.orders())
        assert await server.end(signal.SIGTERM) == 0
    finally:
        await server.clear_away()


async def divided_again(cluster: ShardedCluster, token: str, left: set[str]) -> None:
    """Divide the market anew, once the logs of before are deleted."""
    connection = await NatsConnection.connect(cluster.urls, name="test")
    for name in ("1", "2"):
        await NatsLog(connection, name)._ask("STREAM.DELETE", {})
    await connection.close()
    again = ShardedCluster(cluster.urls, cluster.dsn)
    try:
        await again.start()
        async with connect(again.gateways[0].url, resume=token) as ann:
            assert {order.id for order in await ann.orders()} == left
            new = [await place(ann, security, 300) for security in SECURITIES]
            assert not left & set(new)
            assert await ann.cancel_all() == len(left) + 2
        await again.stop()
    finally:
        await again.clear_away()
    assert await faults(cluster.dsn) == []
