"""A second server waits, takes over when the first dies, and fences it if it only was slow."""

from __future__ import annotations

import asyncio
import signal

import asyncpg
import pytest

from fastbook_server.config import Config
from fastbook_server.store.leadership import LEADER_KEY, Leadership
from peers import PATIENCE_S, order

pytestmark = pytest.mark.xdist_group("process")


@pytest.fixture
async def start(postgres, run):
    """A function that starts a server on the test's database, a standby until it says so."""

    async def start(*options):
        wanted = ("--database-url", postgres.dsn, "--throttle-ms", "0", *options)
        return await run(*wanted, until_ready="--standby" not in options)

    return start


async def test_the_standby_takes_over_when_the_first_is_killed(start, join):
    first = await start()
    ann = await join(first, feed="none")
    placed = await ann.ask(order("bid", 10, 1, "1"))
    second = await start("--standby")
    await second.said("standing by")
    assert (await ann.ask(order("bid", 11, 1, "2")))["status"] == "open", "it only waits"

    first.send_signal(signal.SIGKILL)
    await second.ready()
    assert "has committed nothing" not in second.log, "it has waited for the lock alone"
    back = await join(second, resume=ann.token, feed="none")
    listed = (await back.next())["orders"]
    assert [o["price"] for o in listed] == [10.0, 11.0]
    assert listed[0]["id"] == placed["order"]["id"]


async def test_a_stopped_standby_leaves_the_first_alone(start, join):
    first = await start()
    second = await start("--standby")
    await second.said("standing by")
    assert await second.end(signal.SIGTERM) == 0
    ann = await join(first, feed="none")
    assert (await ann.ask({"op": "ping", "ref": 1}))["event"] == "pong"


async def test_a_zombie_is_replaced_and_can_commit_nothing_more(start, join):
    """The first is frozen with an order on its way; when it wakes, another has the database."""
    first = await start()
    ann = await join(first, feed="none")
    await ann.ask(order("bid", 10, 1, "1"))
    first.send_signal(signal.SIGSTOP)
    await ann.send(order("bid", 12, 1, "2"))
    second = await start()  # by hand: the newer one takes over
    bob = await join(second, resume=ann.token, feed="none")
    assert [o["price"] for o in (await bob.next())["orders"]] == [10.0]
    first.send_signal(signal.SIGCONT)
    assert await ann.close_code() == 1001, "and no reply"
    assert await first.end() == 3, "taken over"
    await bob.send({"op": "orders", "ref": "o"})
    assert [o["price"] for o in (await bob.next())["orders"]] == [10.0]


async def test_one_that_commits_nothing_counts_as_dead_though_it_has_the_lock(postgres, caplog):
    held = await asyncpg.connect(postgres.dsn)
    await held.execute("CREATE SCHEMA fastbook")
    await held.execute("CREATE TABLE fastbook.engine_state (epoch int, batch_no bigint)")
    await held.execute("INSERT INTO fastbook.engine_state VALUES (1, 1)")
    assert await held.fetchval("SELECT pg_try_advisory_lock($1)", LEADER_KEY)
    async with Leadership(postgres.dsn, check_s=0.01, stale_s=0.2) as leadership:
        await leadership.stand_by()
        assert not leadership.is_held
        leadership.keep()
        await held.close()
        async with asyncio.timeout(PATIENCE_S):
            while not leadership.is_held:  # noqa: ASYNC110 (nothing announces it)
                await asyncio.sleep(0.01)
    assert "has committed nothing for 0.2 s" in caplog.text


async def test_one_that_finds_the_database_free_does_not_wait(postgres, caplog):
    async with Leadership(postgres.dsn, check_s=0.01) as leadership:
        await leadership.stand_by()
        leadership.keep()
        await asyncio.sleep(0.05)
        assert leadership.is_held
    assert not leadership.is_held
    assert caplog.text == ""


async def test_one_that_cannot_read_the_database_waits_until_it_can(postgres, caplog):
    caplog.set_level("INFO")
    async with Leadership(postgres.dsn, check_s=0.01) as leadership:
        await postgres.stop()
        waiting = asyncio.create_task(leadership.stand_by())
        async with asyncio.timeout(PATIENCE_S):
            while "standing by: the database cannot be read" not in caplog.text:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await postgres.start()
        async with asyncio.timeout(PATIENCE_S):
            await waiting
        assert leadership.is_held


def test_a_standby_needs_a_database_that_others_can_reach():
    with pytest.raises(ValueError, match="standby: expected a database_url"):
        Config(standby=True)
