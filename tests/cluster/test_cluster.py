"""Gateways, a matcher and its standby over a log in memory: one market, whoever dies."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest
from recording import until
from sim_cluster import CONFIG, SHARD, Cluster

import fastbook_client
from fastbook_client import connect
from fastbook_server.cluster.log import LogUnavailable
from fastbook_server.cluster.memory import Cable, MemoryLine, MemoryLog
from fastbook_server.cluster.message import MessageKind, message, parts


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    cluster = Cluster()
    await cluster.start()
    yield cluster
    await cluster.stop()


async def test_users_of_two_gateways_trade_with_each_other(cluster):
    cluster.start_matcher()
    left, right = await cluster.start_gateway(), await cluster.start_gateway()
    async with connect(left.url) as ann, connect(right.url) as bob:
        resting = await ann.limit("ask", 10, 2)
        order = await bob.limit("bid", 10, 1)
        assert (resting.status, order.status) == ("open", "filled")
        assert (await ann.order(resting)).remaining == 1
        assert [o.id for o in await ann.orders()] == [resting.id]


async def test_all_gateways_rank_users_alike_whenever_they_started():
    cluster = Cluster(msgspec.structs.replace(CONFIG, leaderboard=True))
    await cluster.start()
    try:
        cluster.start_matcher()
        first = await cluster.start_gateway()
        async with connect(first.url) as ann, connect(first.url) as bob:
            await ann.limit("ask", 10, 5)
            await bob.market("bid", 2)
            await until(lambda: cluster.data.batch_no == cluster.log.end)
            second = await cluster.start_gateway()  # which finds the first fill in SQL
            await bob.market("bid", 1)
            names = {ann.user_id, bob.user_id}
        async with aiohttp.ClientSession() as http:
            asked = [await http.get(f"{g.url}/api/leaderboard") for g in (first, second)]
            left, right = [(await answer.json())["users"] for answer in asked]
        assert left == right
        assert {user["userId"]: user["fills"] for user in left} == dict.fromkeys(names, 2)
    finally:
        await cluster.stop()


async def test_a_standby_takes_over_and_clients_see_a_pause(cluster):
    first = cluster.start_matcher()
    gateway = await cluster.start_gateway()
    async with connect(gateway.url) as ann:
        resting = await ann.limit("ask", 10, 2)
        second = cluster.start_matcher()
        first.kill()
        answered = gateway.switchboard.answered
        order = await ann.limit("ask", 11, 1)  # said to the new owner
        assert gateway.switchboard.answered == answered + 1
        assert order.status == "open"
        assert second.matcher.owns
        assert [o.id for o in await ann.orders()] == [resting.id, order.id]


async def test_a_handover_refuses_nobody(cluster):
    first = cluster.start_matcher()
    gateway = await cluster.start_gateway()
    async with connect(gateway.url) as ann:
        await ann.limit("ask", 10, 2)
        cluster.start_matcher()
        answers = [asyncio.ensure_future(ann.limit("ask", 11, 1)) for _ in range(50)]
        await first.hand_over()
        answers += [asyncio.ensure_future(ann.limit("ask", 11, 1)) for _ in range(50)]
        assert {order.status for order in await asyncio.gather(*answers)} == {"open"}
        assert len(await ann.orders()) == 101


async def test_a_stopping_gateway_answers_what_it_took_and_refuses_the_rest(cluster):
    first = cluster.start_matcher()
    gateway = await cluster.start_gateway()
    async with connect(gateway.url) as ann, connect(gateway.url) as bob:
        await ann.limit("ask", 10, 1)
        first.kill()
        taken = asyncio.ensure_future(ann.limit("ask", 11, 1))
        await until(lambda: gateway.switchboard.uncommitted_commands == 1)
        stopping = asyncio.ensure_future(gateway.stop())
        await asyncio.sleep(0)
        with pytest.raises(fastbook_client.Rejected, match="the server is stopping"):
            await bob.limit("ask", 12, 1)
        cluster.start_matcher()
        assert (await taken).status == "open"
        assert await stopping


async def test_a_user_comes_back_to_another_gateway(cluster):
    cluster.start_matcher()
    left, right = await cluster.start_gateway(), await cluster.start_gateway()
    async with connect(left.url) as ann:
        resting = await ann.limit("ask", 10, 2)
        async with connect(right.url, resume=ann.resume_token) as again:
            assert again.user_id == ann.user_id
            assert [o.id for o in await again.orders()] == [resting.id]
            await again.cancel(resting)
            assert await again.orders() == ()


async def test_a_commands_of_a_user_who_has_gone_are_not_done(cluster):
    cluster.start_matcher()
    cable = Cable()
    left, right = await cluster.start_gateway(cable), await cluster.start_gateway()
    async with connect(left.url) as ann:
        await ann.limit("ask", 10, 2)
        cable.sleep()
        late = asyncio.ensure_future(ann.limit("ask", 11, 1))
        async with connect(right.url, resume=ann.resume_token) as again:
            assert len(await again.orders()) == 1
            cable.wake()
            await again.limit("ask", 12, 1)
            with contextlib.suppress(fastbook_client.FastbookError):
                await late
            assert [o.price for o in await again.orders()] == [10, 12]


async def test_a_standby_waits_for_a_line_that_does_not_answer_yet(cluster, monkeypatch):
    refusals = ["nobody answers", "still nobody"]
    listen = MemoryLine.listen

    async def refused_at_first(line, subject, take):
        if refusals:
            raise LogUnavailable(refusals.pop())
        await listen(line, subject, take)

    monkeypatch.setattr(MemoryLine, "listen", refused_at_first)
    first = cluster.start_matcher()
    await asyncio.wait_for(first.matcher.owning(), 60)
    assert not refusals


async def test_nor_are_they_done_by_the_next_owner(cluster):
    first = cluster.start_matcher()
    cable = Cable()
    left, right = await cluster.start_gateway(cable), await cluster.start_gateway()
    async with connect(left.url) as ann:
        await ann.limit("ask", 10, 2)
        cable.sleep()
        late = asyncio.ensure_future(ann.limit("ask", 11, 1))
        async with connect(right.url, resume=ann.resume_token) as again:
            assert len(await again.orders()) == 1  # the first owner knows who holds the user
            cluster.start_matcher()
            first.kill()
            await again.limit("ask", 12, 1)  # the new one does not
            cable.wake()
            await left.readers[SHARD].until(right.readers[SHARD].number)
            await again.limit("ask", 13, 1)
            with contextlib.suppress(fastbook_client.FastbookError):
                await late
            assert [o.price for o in await again.orders()] == [10, 12, 13]


async def test_who_comes_to_a_gateway_sees_no_older_market_than_before(cluster):
    cluster.start_matcher()
    cable = Cable()
    left, right = await cluster.start_gateway(), await cluster.start_gateway(cable)
    async with connect(left.url) as ann:
        cable.sleep()
        resting = await ann.limit("ask", 10, 2)
        async with aiohttp.ClientSession() as session:
            url = f"{right.url}/ws?resume={ann.resume_token}"
            coming = asyncio.ensure_future(session.ws_connect(url))
            await asyncio.wait((coming,), timeout=0.3)
            assert not coming.done()
            cable.wake()
            told = [await (await coming).receive_json() for _ in range(2)]
            assert [frame["event"] for frame in told] == ["welcome", "aggOrderBook"]
            assert [level["price"] for level in told[1]["aggOrderBook"]["ask"]] == [resting.price]


async def test_a_standby_that_knows_all_from_sql_leaves_the_owner_alone(cluster):
    cluster.start_matcher()
    gateway = await cluster.start_gateway()
    async with connect(gateway.url) as ann:
        await ann.limit("ask", 10, 2)
        await until(lambda: cluster.data.batch_no == cluster.log.end)
        cluster.start_matcher()
        await asyncio.sleep(0.2)  # in which nobody says anything
        await ann.limit("ask", 11, 1)
        assert gateway.readers[SHARD].epoch == 1


async def test_a_standby_leaves_an_idle_owner_alone(cluster):
    first, second = cluster.start_matcher(), cluster.start_matcher()
    await until(lambda: first.matcher.owns or second.matcher.owns)
    owner = first if first.matcher.owns else second
    begun = cluster.log.end
    await until(lambda: cluster.log.end >= begun + 10)  # signs of life, of over two takeovers
    assert owner.matcher.owns
    assert (first.matcher.epoch, second.matcher.epoch) == (1, 1)


async def test_a_standby_that_was_asleep_leaves_the_owner_alone(cluster):
    """As was the owner: a machine that stands still, or has too much to do."""
    first, second = cluster.start_matcher(), cluster.start_matcher()
    await until(lambda: first.matcher.owns or second.matcher.owns)
    for _ in range(3):
        then = cluster.log.end + 2
        time.sleep(2 * cluster.takeover_s)  # noqa: ASYNC251 (nobody has his turn meanwhile)
        await until(lambda then=then: cluster.log.end >= then)
    assert (first.matcher.epoch, second.matcher.epoch) == (1, 1)


async def test_a_handover_is_not_waited_for():
    patient = Cluster(takeover_s=600)
    await patient.start()
    try:
        first = patient.start_matcher()
        gateway = await patient.start_gateway()
        async with connect(gateway.url) as ann:
            await ann.limit("ask", 10, 2)
            second = patient.start_matcher()
            await first.hand_over()
            assert (await ann.limit("ask", 11, 1)).status == "open"
            assert second.matcher.owns
    finally:
        await patient.stop()


async def test_time_never_goes_back_at_a_gateway(cluster):
    gateway = await cluster.start_gateway()
    marks = gateway.gateway.views.watermarks[""]
    before_ms = marks.settled_ms
    assert before_ms > 0  # a new market's empty books are as of now
    (claim,) = parts(message(MessageKind.CLAIM, "slow", 1, 1))  # an owner whose clock is behind
    await MemoryLog(cluster.log).append(claim, "slow", after=0)
    await gateway.readers[SHARD].until(1)
    assert (marks.settled_ms, marks.stored_ms) == (before_ms, before_ms)
