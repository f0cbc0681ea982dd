"""A client of several gateways: which it tries, in which turn, and what it says when all fail."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from client_servers import (
    Line,
    ScriptedServer,
    scripted_server,
    small_server,
    until,
    welcome,
)

import fastbook_client.sync
from fastbook_client import (
    Backoff,
    ConnectError,
    ConnectionClosed,
    Disconnected,
    FastbookError,
    Market,
    Refused,
    Resynced,
    connect,
)
from fastbook_client.endpoint import Endpoint
from fastbook_client.servers import GOING_AWAY, RESUMED_ELSEWHERE, Servers
from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.store.memory import MemoryStore

QUICK = Backoff(first_s=0.005, max_s=0.01)
NOBODY = "http://127.0.0.1:1"
AWAY = (503, {"code": "unavailable", "message": "the server is draining"})
UNKNOWN = (404, {"code": "unknown_security", "message": "there is no such security"})
ENDPOINTS = Endpoint.parse_all("a,b,c")


def cut() -> ConnectionClosed:
    return ConnectionClosed(1006, "cut")


# ---- whose turn it is ----------------------------------------------------------------------------


def test_the_ways_to_write_down_several() -> None:
    a, b = Endpoint.parse("a:1"), Endpoint.parse("b:2")
    assert Endpoint.parse_all("a:1") == (a,)
    assert Endpoint.parse_all("a:1, b:2") == (a, b)
    assert Endpoint.parse_all(["http://a:1", "ws://b:2/ws", "a:1"]) == (a, b)


@pytest.mark.parametrize(
    ("url", "kind", "said"),
    [
        ([], ValueError, "expected at least one address"),
        ("a:1,", ValueError, "expected HOST:PORT"),
        (["a:1", "b:x"], ValueError, "expected HOST:PORT"),
        (["a:1", 8080], TypeError, "expected a text, got 8080"),
        ({"a:1"}, TypeError, "expected a text or a list of texts"),
    ],
)
def test_what_is_no_list_of_them(url, kind, said) -> None:
    with pytest.raises(kind, match=said):
        connect(url)


def test_clients_spread_over_them() -> None:
    drawn = {tuple(Servers(ENDPOINTS, QUICK)._way) for _ in range(300)}
    assert len(drawn) == 6
    assert {frozenset(way) for way in drawn} == {frozenset(ENDPOINTS)}


def test_each_is_tried_once_before_the_first_connection_fails() -> None:
    servers = Servers(ENDPOINTS, QUICK)
    tried = [servers.current]
    for n in range(2):
        lost = servers.failed(ConnectError(f"no {n}"))
        assert lost.delay_s == 0.0
        tried.append(servers.current)
    assert set(tried) == set(ENDPOINTS)
    lost = servers.failed(ConnectError("no 2"))
    assert lost.delay_s is None
    assert isinstance(lost.error, ConnectError)
    whys = [f"{endpoint.http}: no {n}" for n, endpoint in enumerate(tried)]
    assert str(lost.error) == f"none of 3 servers can be reached: {'; '.join(whys)}"


def test_after_a_loss_comes_a_delay_and_then_the_others_at_once() -> None:
    servers = Servers(ENDPOINTS, Backoff(first_s=1.0, max_s=100.0))
    first = servers.current
    delays_s = [servers.failed(cut(), lived_s=5.0).delay_s]
    others = []
    for _ in range(5):  # the two others, then a round of all
        others.append(servers.current)
        delays_s.append(servers.failed(ConnectError("no")).delay_s)
    assert first not in others[:2]
    assert others[2] == first
    assert delays_s[1::3] == delays_s[3:5] == [0.0, 0.0]
    for delay_s, longest_s in zip((delays_s[0], delays_s[2], delays_s[5]), (1, 2, 4), strict=True):
        assert delay_s is not None
        assert longest_s / 2 <= delay_s <= longest_s


def test_one_that_is_going_away_sends_its_clients_to_the_next_at_once() -> None:
    servers = Servers(ENDPOINTS, QUICK)
    going = ConnectionClosed(GOING_AWAY, "the server is stopping")
    assert [servers.failed(going, lived_s=0.1).delay_s for _ in range(2)] == [0.0, 0.0]
    assert servers.failed(going, lived_s=0.1).delay_s != 0.0  # all are: no client spins


def test_alone_it_is_not_tried_again_at_once() -> None:
    servers = Servers(ENDPOINTS[:1], QUICK)
    lost = servers.failed(ConnectionClosed(GOING_AWAY, "stopping"), lived_s=9.0)
    assert lost.delay_s
    assert lost.why == str(lost.error)


@pytest.mark.parametrize("reconnect", [None, Backoff(attempts_max=0)])
def test_a_first_loss_is_final_where_no_other_attempt_is_wanted(reconnect) -> None:
    for error in (cut(), ConnectionClosed(GOING_AWAY, "stopping")):
        servers = Servers(ENDPOINTS, reconnect)
        servers.failed(ConnectError("no"))
        lost = servers.failed(error, lived_s=0.1)
        assert (lost.error, lost.delay_s) == (error, None)


def test_attempts_are_rounds() -> None:
    servers = Servers(ENDPOINTS[:2], Backoff(first_s=0.1, attempts_max=1))
    assert servers.failed(cut(), lived_s=5.0).delay_s
    assert servers.failed(ConnectError("no")).delay_s is None


def test_it_gives_up_once_all_have_refused_it_for_good() -> None:
    servers = Servers(ENDPOINTS[:2], QUICK)
    assert servers.failed(cut(), lived_s=5.0).delay_s
    assert servers.failed(Refused(401, "who are you?", "unauthorized")).delay_s, "the other may not"
    assert servers.failed(Refused(503, "come back later")).delay_s == 0.0
    assert servers.failed(Refused(401, "who are you?", "unauthorized")).delay_s
    assert servers.failed(Refused(401, "who are you?", "unauthorized")).delay_s == 0.0
    lost = servers.failed(Refused(401, "who are you?", "unauthorized"))
    assert lost.delay_s is None
    assert isinstance(lost.error, Refused)
    assert (lost.error.status, lost.error.code) == (401, "unauthorized")


def test_it_gives_up_at_once_where_another_has_resumed_the_user() -> None:
    servers = Servers(ENDPOINTS, QUICK)
    moved = ConnectionClosed(RESUMED_ELSEWHERE, "resumed elsewhere")
    lost = servers.failed(moved, lived_s=5.0)
    assert (lost.error, lost.delay_s) == (moved, None)


# ---- with servers --------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def scripted(count: int) -> AsyncIterator[dict[str, ScriptedServer]]:
    """Serve several times; yields the servers by their URLs."""
    async with AsyncExitStack() as stack:
        yield dict([await stack.enter_async_context(scripted_server()) for _ in range(count)])


def other(servers: dict[str, ScriptedServer], market: Market) -> tuple[str, ScriptedServer]:
    """Return the server that a market does not use, of two."""
    (found,) = ((url, server) for url, server in servers.items() if url != market.url)
    return found


async def until_resynced(market: Market) -> list[Disconnected]:
    """Return what was said of lost connections."""
    found = []
    while not isinstance(event := await market.next(timeout_s=20), Resynced):
        if isinstance(event, Disconnected):
            found.append(event)
    assert event.same_user
    return found


async def test_the_first_that_lets_it_in_is_used() -> None:
    async with small_server() as url:
        for _ in range(4):  # whichever is tried first
            async with connect([NOBODY, url], reconnect=False) as market:
                assert market.url == url
                assert (await market.limit("bid", 10, 1)).status == "open"
                assert (await market.api.book()).agg_order_book.bid


async def test_one_that_drains_is_passed_by_without_a_word() -> None:
    async with scripted(2) as servers:
        draining, serving = servers
        servers[draining].refuse = AWAY
        for _ in range(4):
            async with connect(",".join(servers)) as market:
                assert market.url == serving
                with pytest.raises(TimeoutError):  # an event would be news of nothing
                    await market.next(timeout_s=0.01)


async def test_the_error_says_what_became_of_each() -> None:
    async with scripted(1) as servers:
        (url,) = servers
        servers[url].refuse = AWAY
        with pytest.raises(ConnectError) as failed:
            async with connect([NOBODY, url]):
                pass
    assert "none of 2 servers can be reached: " in str(failed.value)
    assert f"{NOBODY}: nothing listens at 127.0.0.1:1" in str(failed.value)
    assert f"{url}: refused with HTTP 503: the server is draining" in str(failed.value)


async def test_a_refusal_by_all_is_a_refusal() -> None:
    async with scripted(2) as servers:
        for server in servers.values():
            server.refuse = UNKNOWN
        with pytest.raises(Refused) as failed:
            async with connect(list(servers)):
                pass
    assert (failed.value.status, failed.value.code) == (404, "unknown_security")
    assert all(url in str(failed.value) for url in servers)


async def test_after_a_loss_it_goes_to_the_other_with_its_token() -> None:
    async with scripted(2) as servers:
        for server in servers.values():
            server.opening = [welcome(), {"event": "orders", "orders": []}]
        async with connect(list(servers), reconnect=QUICK) as market:
            before = market.url
            url, there = other(servers, market)
            servers[before].refuse = AWAY
            (await servers[before].peer(0)).cut()
            (lost,) = await until_resynced(market)
            assert lost.reason.startswith(f"{before}: connection closed with 1006")
            assert market.url == url
            assert there.peers[0].query["resume"] == "token"
            there.pages = [{"security": "BTC-USD", "trades": [], "more": False}]
            await market.api.trades_page("BTC-USD")  # of where it is
            assert len(there.asked) == 1
        assert not servers[before].asked


async def test_where_all_are_away_it_goes_round_until_one_is_back() -> None:
    async with scripted(2) as servers:
        for server in servers.values():
            server.opening = [welcome(), {"event": "orders", "orders": []}]
        async with connect(list(servers), reconnect=QUICK) as market:
            (_, there), here = other(servers, market), servers[market.url]
            for server in (here, there):
                server.refuse = AWAY
            (await here.peer(0)).cut()
            said = [await market.next(timeout_s=20) for _ in range(6)]
            here.refuse = None
            await until_resynced(market)
    reasons = [event.reason for event in said if isinstance(event, Disconnected)]
    assert len(reasons) == 6
    assert all(url in reasons[3] for url in servers), "a round names each"


async def test_it_ends_when_another_program_has_resumed_its_user() -> None:
    async with scripted(2) as servers, connect(list(servers), reconnect=QUICK) as market:
        _, there = other(servers, market)
        peer = await servers[market.url].peer(0)
        await peer.ws.close(code=RESUMED_ELSEWHERE)
        with pytest.raises(ConnectionClosed, match="4001"):
            await market.next(timeout_s=20)
        assert not there.peers


async def test_a_stopping_server_hands_its_clients_on_without_a_delay() -> None:
    patient = Backoff(first_s=600.0, max_s=600.0)
    async with AsyncExitStack() as stack:
        servers = [await Server.start(Config(port=0), MemoryStore()) for _ in range(2)]
        for server in servers:
            stack.push_async_callback(server.stop)
        by_url = {server.url: server for server in servers}
        async with connect(list(by_url), reconnect=patient) as market:
            before = market.url
            await by_url.pop(before).stop()
            await until(lambda: market.is_connected and market.url != before)
            assert [market.url] == list(by_url)


async def test_without_reconnect_the_loss_of_the_first_is_final() -> None:
    async with scripted(2) as servers, connect(list(servers), reconnect=False) as market:
        (await servers[market.url].peer(0)).cut()
        with pytest.raises(ConnectionClosed):
            await market.next(timeout_s=20)


async def test_one_market_behind_two_lines_is_one_market() -> None:
    async with small_server() as url:
        lines = [Line(url), Line(url)]
        async with AsyncExitStack() as stack:
            urls = [await stack.enter_async_context(line.open()) for line in lines]
            by_url = dict(zip(urls, lines, strict=True))
            bot = await stack.enter_async_context(connect(urls, reconnect=QUICK))
            user_id, resting = bot.user_id, await bot.limit("bid", 10, 3)
            for _ in range(5):
                before = bot.url
                by_url[before].cut()
                await until_resynced(bot)
                assert bot.url != before
                async with connect(url) as taker:
                    assert (await taker.market("ask", 0.5)).status == "filled"
                assert bot.user_id == user_id
            assert (await bot.order(resting)).remaining == 0.5


async def test_the_blocking_client_does_the_same() -> None:
    async with small_server() as url:

        def use() -> str:
            with fastbook_client.sync.connect([NOBODY, url]) as market:
                assert market.limit("bid", 10, 1).is_open
                return market.url

        assert await asyncio.to_thread(use) == url
        with pytest.raises(FastbookError, match="none of 2 servers"):
            await asyncio.to_thread(
                fastbook_client.sync.connect("127.0.0.1:1,127.0.0.1:2").__enter__
            )
