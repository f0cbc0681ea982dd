"""What a bot is told after it was away, on the real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from client_servers import Line, scripted_server, small_server, until

from fastbook_client import (
    Backoff,
    Disconnected,
    Event,
    Fill,
    Market,
    NotConnected,
    OrderFrame,
    Rejected,
    Resynced,
    Unanswered,
    connect,
    replies,
    sync,
)

FAST = Backoff(first_s=0.005, max_s=0.01)
TWO = "A:1:1 B:1:1"


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    async with small_server(instruments=TWO, throttle_ms=0) as url:
        yield Line(url)


class Away:
    """A block in which a line leads nowhere; it ends with the client connected again."""

    def __init__(self, line: Line, market: Market) -> None:
        self._line = line
        self._market = market

    async def __aenter__(self) -> None:
        self._target, self._line._target = self._line._target, ("127.0.0.1", 1)
        self._line.cut()
        await until(lambda: not self._market.is_connected)

    async def __aexit__(self, *_: object) -> None:
        self._line._target = self._target


async def until_resynced(market: Market) -> list[Event]:
    """Return the events from the loss to the list of open orders."""
    found: list[Event] = []
    while not found or not isinstance(found[-1], Resynced):
        found.append(await market.next(timeout_s=20))
    while found and not isinstance(found[0], Disconnected):
        found.pop(0)
    return [event for event in found if not isinstance(event, Disconnected)]


def brief(events: list[Event]) -> list[Any]:
    found: list[Any] = []
    for event in events:
        match event:
            case Fill():
                found.append((event.security, event.fill_id, event.filled, event.remaining))
            case OrderFrame():
                found.append((event.status, event.reason))
            case Resynced():
                found.append([order.client_order_id for order in event.orders])
    return found


async def test_what_was_missed_is_told_before_the_list_of_open_orders(line: Line) -> None:
    async with (
        line.open() as through,
        connect(through, feed=False, reconnect=FAST) as bot,
        connect(line.target, feed=False) as other,
    ):
        await bot.limit("bid", 10, 5, client_order_id="a")
        await bot.limit("bid", 9, 2, security="B", client_order_id="b")
        await other.market("ask", 1)
        assert isinstance(await bot.next(timeout_s=20), Fill)
        async with Away(line, bot):
            await other.market("ask", 1)
            await other.market("ask", 2, security="B")
            await other.market("ask", 1)
        missed = await until_resynced(bot)
        fills = [("A", 2, 2.0, 3.0), ("A", 3, 3.0, 2.0), ("B", 1, 2.0, 0.0)]
        assert sorted(brief(missed[:3])) == fills  # two may be of the same millisecond
        assert brief(missed[3:]) == [("filled", None), ["a"]]
        fill = missed[0]
        assert isinstance(fill, Fill)
        assert (fill.client_order_id, fill.role, fill.price, fill.type) == (
            "a",
            "maker",
            10.0,
            "bid",
        )
        await other.market("ask", 2)
        assert brief([await bot.next(timeout_s=20) for _ in range(2)]) == [
            *(("A", 4, 5.0, 0.0), ("filled", None)),
        ]


async def test_an_order_whose_reply_was_lost_tells_its_fills_and_its_end(line: Line) -> None:
    async with (
        line.open() as through,
        connect(through, feed=False, reconnect=FAST) as bot,
        connect(line.target, feed=False) as other,
    ):
        await other.limit("ask", 10, 5)
        line.mute = True
        placing = asyncio.create_task(bot.limit("bid", 10, 3))
        book = await other.api.book()
        while book.agg_order_book.ask[0].amount == 5.0:
            book = await other.api.book()
        line.mute = False
        line.cut()
        with pytest.raises(Unanswered):
            await placing
        assert brief(await until_resynced(bot)) == [("A", 1, 3.0, 0.0), ("filled", None), []]


async def test_more_fills_than_a_page_has(line: Line) -> None:
    count = 2_300
    async with (
        line.open() as through,
        connect(through, feed=False, reconnect=FAST) as bot,
        connect(line.target, feed=False, queue_max=0) as other,
    ):
        await bot.limit("bid", 10, count)
        async with Away(line, bot):
            await asyncio.gather(*(other.market("ask", 1) for _ in range(count)))
        *fills, end, resynced = await until_resynced(bot)
        assert brief(fills) == [("A", n, float(n), float(count - n)) for n in range(1, count + 1)]
        assert brief([end, resynced]) == [("filled", None), []]


async def test_a_program_that_was_restarted_goes_on_where_it_was(line: Line) -> None:
    async with connect(line.target, feed=False) as other:
        async with connect(line.target, feed=False) as before:
            token = before.resume_token
            await before.limit("bid", 10, 5, client_order_id="a")
            await other.market("ask", 1)
        await other.market("ask", 1)
        for since, told in ({"A": 1}, [2]), ({}, [1, 2]), (None, []), ({"A": 2}, []):
            async with connect(line.target, feed=False, resume=token, fills_since=since) as after:
                *fills, resynced = await _until_listed(after)
                assert [f.fill_id for f in fills if isinstance(f, Fill)] == told
                assert brief([resynced]) == [["a"]]


async def test_a_program_that_stops_within_a_self_trade_is_told_the_rest_of_it(line: Line) -> None:
    async with connect(line.target, feed=False) as before:
        await before.limit("ask", 10, 1)
        await before.limit("ask", 10, 1)
        await before.market("bid", 2)
        fills = [e async for e in before.events(timeout_s=1) if isinstance(e, Fill)]
    roles = [(1, "taker"), (1, "maker"), (2, "taker"), (2, "maker")]
    assert [(f.fill_id, f.role) for f in fills] == roles
    for n, last in enumerate(fills, 1):
        past = {"resume": before.resume_token, "fills_since": {"A": (last.fill_id, last.role)}}
        async with connect(line.target, feed=False, **past) as after:
            *told, _ = await _until_listed(after)
            assert [(f.fill_id, f.role) for f in told if isinstance(f, Fill)] == roles[n:]


async def _until_listed(market: Market) -> list[Event]:
    found = [await market.next(timeout_s=20)]
    while not isinstance(found[-1], Resynced):
        found.append(await market.next(timeout_s=20))
    return found


async def test_a_user_that_the_server_has_forgotten_has_no_past(line: Line) -> None:
    async with connect(
        line.target, feed=False, resume="not.a-token", fills_since={"A": 3}
    ) as market:
        (resynced,) = await _until_listed(market)
        assert resynced == Resynced(market.user_id, False, ())


async def test_the_blocking_client_does_the_same(line: Line) -> None:
    async with connect(line.target, feed=False) as other, connect(line.target) as before:
        await before.limit("bid", 10, 1)
        token = before.resume_token
        await other.market("ask", 1)

        def read() -> list[Event]:
            with sync.connect(line.target, feed=False, resume=token, fills_since={}) as market:
                return [next(iter(market)) for _ in range(3)]

        assert brief(await asyncio.to_thread(read)) == [("A", 1, 1.0, 0.0), ("filled", None), []]


async def test_commands_are_answered_while_it_is_reconciled(line: Line) -> None:
    async with line.open() as through, connect(through, feed=False, reconnect=FAST) as bot:
        await bot.limit("bid", 10, 5)
        placed = set()
        for _ in range(30):
            line.cut()
            while True:
                try:
                    placed.add((await bot.limit("ask", 20, 1)).id)
                    break
                except (NotConnected, Unanswered):
                    await asyncio.sleep(0)
        await until(lambda: bot.is_connected)
        listed = {order.id for order in await bot.orders()}
        assert placed <= listed


async def test_a_busy_history_is_asked_again(line: Line) -> None:
    async with scripted_server() as (url, server), connect(url, reconnect=FAST) as market:
        await market.limit("bid", 10, 1)
        server.mute = {"fills"}
        (await server.peer(0)).cut()
        peer = await server.peer(1)
        sent = await peer.command("fills")
        busy = {"event": "error", "code": "overloaded", "message": "", "retryAfterMs": 5}
        await peer.say(busy | {"ref": sent["ref"]})
        await until(lambda: sum(command["op"] == "fills" for command in peer.got) == 2)
        server.mute = {"orders"}
        page = {"event": "ownFills", "security": "BTC-USD", "fills": [], "more": False}
        await peer.say(page | {"ref": peer.got[-1]["ref"]})
        sent = await peer.command("orders")
        await peer.say(busy | {"ref": sent["ref"]})
        await until(lambda: sum(command["op"] == "orders" for command in peer.got) == 2)
        await peer.say({"event": "orders", "orders": [], "ref": peer.got[-1]["ref"]})
        sent = await peer.command("order")
        assert sent["id"].startswith("id-of-")
        refused = {"event": "order", "status": "rejected", "code": "unknown_order"}
        await peer.say(refused | {"ref": sent["ref"]})
        assert brief(await until_resynced(market)) == [[]]


async def test_the_ends_of_many_orders_are_asked_for_without_a_refusal(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, put_off = 150, []
    monkeypatch.setattr(replies, "retry_delay_s", lambda refusal: put_off.append(refusal) or 0.1)
    async with (
        line.open() as through,
        connect(through, feed=False, reconnect=FAST) as bot,
        connect(line.target, feed=False) as other,
    ):
        for _ in range(count):
            await bot.limit("bid", 10, 1)
        async with Away(line, bot):
            await other.market("ask", count)
        told = await until_resynced(bot)
        assert brief(told[count:]) == [*[("filled", None)] * count, []]
        assert put_off == []


async def test_the_ends_of_orders_that_only_the_history_knows_are_told_too() -> None:
    async with small_server(instruments=TWO, client_order_ids_max=1) as url:
        own = Line(url)
        async with (
            own.open() as through,
            connect(through, feed=False, reconnect=FAST) as bot,
            connect(url, feed=False) as other,
        ):
            orders = [await bot.limit("bid", 10, 1) for _ in range(3)]
            async with Away(own, bot):
                await other.market("ask", 3)
            told = await until_resynced(bot)
            ended = [e.order.id for e in told if isinstance(e, OrderFrame) and e.order]
            assert ended == [order.id for order in orders]
            with pytest.raises(Rejected):
                await bot.cancel(orders[0])
