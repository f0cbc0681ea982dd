"""What a link survives that neither a good server nor a patient program causes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from client_servers import (
    SECURITY,
    ScriptedServer,
    depth,
    order,
    scripted_server,
    trade,
    trades,
    until,
    welcome,
)

from fastbook_client import (
    Backoff,
    BookReset,
    ConnectionClosed,
    Event,
    Market,
    Resynced,
    Trades,
    Unanswered,
    connect,
    link,
)
from fastbook_wire.checksum import checksum

QUICK = Backoff(first_s=0.005, max_s=0.01)
PATIENCE_S = 20.0


@contextlib.asynccontextmanager
async def serving(server: ScriptedServer) -> AsyncIterator[str]:
    """Serve with replaced handlers; yields the URL."""
    app = web.Application()
    app.add_routes([web.get("/ws", server.on_ws), web.get("/api/trades", server.on_trades)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def events(market: Market, *kinds: type, count: int) -> list[Any]:
    """Return the next `count` events of these kinds."""
    found: list[Event] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(found) < count:
            event = await anext(market)
            if isinstance(event, kinds):
                found.append(event)
    return found


async def test_a_server_that_has_lost_all_trades_is_no_end() -> None:
    async with scripted_server() as (url, server):
        server.opening = [welcome(), trades(None, 1, 2)]
        async with connect(url, reconnect=QUICK) as market:
            server.opening = [welcome(), trades(None)]
            (await server.peer(0)).cut()
            await (await server.peer(1)).say(trades(None, 3))
            told = await events(market, Trades, count=2)
    assert [[t.seq for t in frame.trades] for frame in told] == [[1, 2], [3]]


async def test_a_book_that_is_wrong_again_and_again_is_fetched_ever_more_rarely(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link, "BOOK_PATIENCE", Backoff(first_s=0.02, max_s=1_000.0))
    wrong = {"event": "checksum", "security": SECURITY, "seq": 5, "checksum": 1}
    right = wrong | {"checksum": checksum([(20, 4)], [])}
    whole = depth(5, None, {10.0: 1.0}, {})
    async with scripted_server() as (url, server), connect(url, queue_max=100) as market:
        subscribing = asyncio.create_task(market.subscribe("depth"))
        peer = await server.peer(0)
        loop = asyncio.get_running_loop()
        asked_s: list[float] = []

        async def fetched(number: int) -> float:
            await until(lambda: sum(c["op"] == "subscribe" for c in peer.got) == number)
            asked_s.append(loop.time())
            return asked_s[-1] - asked_s[-2] if number > 1 else 0.0

        await fetched(1)
        await peer.say(whole)
        await subscribing
        await peer.say(wrong)
        for number in range(2, 6):
            await fetched(number)
            await peer.say(whole, wrong)
        assert await fetched(6) > 0.02 * 2**3 / 2, "the fifth wait but the first, which is none"
        await peer.say(whole, right, wrong)
        assert await fetched(7) < 0.08, "it was right in between"
        assert len(await events(market, BookReset, count=6)) == 6


async def test_subscribing_again_while_missed_trades_come_loses_and_doubles_nothing() -> None:
    may_come = {6: asyncio.Event(), 21: asyncio.Event()}
    asked: list[int] = []
    server = ScriptedServer()
    server.opening = [welcome(), trades(None, 1, 2, 3)]

    async def tell(request: web.Request) -> web.Response:
        before = int(request.query["before"])
        asked.append(before)
        await may_come[before].wait()
        page = {"security": SECURITY, "trades": [trade(n) for n in range(1, before)]}
        return web.json_response(page | {"more": False})

    server.on_trades = tell  # type: ignore[method-assign]
    async with serving(server) as url, connect(url) as market:
        peer = await server.peer(0)
        await peer.say(trades(5, 10))
        await until(lambda: asked == [6])
        await market.subscribe("book")
        await peer.say(trades(None, 20, 21))
        await until(lambda: asked == [6, 21])
        may_come[6].set()
        for _ in range(20):  # the first answer would have arrived by then
            await market.ping()
        may_come[21].set()
        told = await events(market, Trades, count=3)
    assert [t.seq for frame in told for t in frame.trades] == list(range(1, 22))


async def test_unsubscribing_ends_the_wait_for_a_whole_book() -> None:
    async with scripted_server() as (url, server), connect(url) as market:
        subscribing = asyncio.create_task(market.subscribe("depth"))
        await (await server.peer(0)).command("subscribe")
        await market.unsubscribe("depth")
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(Unanswered):
                await subscribing


async def test_prices_out_of_this_world_end_the_connection_not_the_program() -> None:
    async with scripted_server() as (url, server), connect(url, reconnect=False) as market:
        await (await server.peer(0)).say(depth(1, None, {1e308: 1e308}, {}))
        with pytest.raises(ConnectionClosed, match=r"1002.*depth"):
            await events(market, Trades, count=1)


async def test_a_cancellation_while_it_is_left_is_not_swallowed() -> None:
    went_on = False

    async def use(url: str) -> None:
        nonlocal went_on
        async with connect(url):
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().call_soon(task.cancel)
        went_on = True
        await asyncio.sleep(0)

    async with scripted_server() as (url, _):
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(use(url))
    assert not went_on
    assert "connection" not in " ".join(task.get_name() for task in asyncio.all_tasks())


async def test_after_it_was_left_the_past_is_closed_too() -> None:
    async with scripted_server() as (url, _), connect(url) as market:
        pass
    with pytest.raises(ConnectionClosed):
        await market.ticker()


async def test_a_list_of_orders_in_pages_is_one_list() -> None:
    pages = [{"event": "orders", "orders": [order(str(n))], "more": n < 2} for n in range(3)]
    async with (
        scripted_server() as (url, server),
        connect(url, feed=False, reconnect=QUICK) as market,
    ):
        server.mute = {"orders"}
        (await server.peer(0)).cut()
        peer = await server.peer(1)
        ref = {"ref": (await peer.command("orders"))["ref"]}
        await peer.say(pages[0] | ref)
        peer.cut()  # the rest of that list never comes
        peer = await server.peer(2)
        ref = {"ref": (await peer.command("orders"))["ref"]}
        await peer.say(*pages, *(page | ref for page in pages))
        (resynced,) = await events(market, Resynced, count=1)
        assert [o.client_order_id for o in resynced.orders] == ["0", "1", "2"]
        listing = asyncio.ensure_future(market.orders())
        await until(lambda: sum(c["op"] == "orders" for c in peer.got) == 2)
        ref = {"ref": peer.got[-1]["ref"]}
        await peer.say(*(page | ref for page in pages))
        assert [o.client_order_id for o in await listing] == ["0", "1", "2"]
