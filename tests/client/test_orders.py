"""Orders of every kind as a bot places and changes them, on the real server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from fakes import T0

from fastbook_client import Fill, Market, OrderFrame, OrderState, Rejected, Unanswered, connect
from fastbook_wire.commands import Amend, NewOrder

Serve = Callable[..., Any]


@pytest.fixture
async def pair(serve: Serve) -> AsyncIterator[tuple[Market, Market]]:
    """Two users of one market, with ticks and lots of 1."""
    server = await serve()
    async with connect(server.url, feed=False) as one, connect(server.url, feed=False) as other:
        yield one, other


async def events_until(market: Market, status: str) -> list[Any]:
    """Return the events up to the order event with a status."""
    found: list[Any] = []
    while not found or getattr(found[-1], "status", None) != status:
        found.append(await market.next(timeout_s=20))
    return found


async def test_a_stop_order_waits_and_is_open_until_it_is_triggered(
    pair: tuple[Market, Market],
) -> None:
    bot, other = pair
    waiting = await bot.stop("sell", 9, 2)
    assert (waiting.status, waiting.is_open, waiting.exec_type) == ("untriggered", True, "stop")
    assert (waiting.trigger_price, waiting.price) == (9.0, None)
    assert [o.id for o in await bot.orders()] == [waiting.id]
    await other.limit("bid", 9, 3)
    await other.limit("ask", 9, 1)
    triggered, fill, done = await events_until(bot, "filled")
    assert isinstance(triggered, OrderFrame)
    assert (triggered.status, fill.amount, fill.role) == ("triggered", 2.0, "taker")
    assert triggered.order is not None
    assert OrderState.of(triggered).is_open
    assert not OrderState.of(done).is_open


async def test_a_stop_limit_order_takes_the_fields_of_a_limit_order(
    pair: tuple[Market, Market],
) -> None:
    bot, _ = pair
    order = await bot.stop("bid", 12, 4, price=11, display=2, expire_time=T0 + 1, post_only=True)
    assert (order.exec_type, order.price, order.trigger_price) == ("stopLimit", 11.0, 12.0)
    assert (order.display, order.expire_time) == (2.0, T0 + 1)


async def test_an_order_that_takes_a_profit_waits_for_a_better_price(
    pair: tuple[Market, Market],
) -> None:
    bot, other = pair
    waiting = await bot.stop("sell", 11, 2, takes_profit=True)
    assert (waiting.status, waiting.exec_type) == ("untriggered", "takeProfit")
    limited = await bot.stop("buy", 8, 2, price=9, takes_profit=True)
    assert (limited.exec_type, limited.price) == ("takeProfitLimit", 9.0)
    await other.limit("bid", 11, 3)
    await other.limit("ask", 11, 1)
    *_, done = await events_until(bot, "filled")
    assert done.order.id == waiting.id


async def test_a_limit_order_may_expire_and_hide(pair: tuple[Market, Market]) -> None:
    bot, other = pair
    order = await bot.limit(
        "ask",
        10,
        5,
        display=2,
        time_in_force="gtt",
        expire_time=T0 + 60_000,
        self_trade="decrement",
    )
    assert (order.display, order.expire_time) == (2.0, T0 + 60_000)
    assert (await other.api.book()).agg_order_book.ask[0].amount == 2.0
    shrunk = await bot.limit("bid", 10, 1, self_trade="decrement")
    assert (shrunk.status, shrunk.reason) == ("cancelled", "self_trade")
    assert (await bot.order(order)).amount == 4.0


async def test_a_market_order_by_total_or_all_at_once(pair: tuple[Market, Market]) -> None:
    bot, other = pair
    await other.limit("ask", 10, 3)
    bought = await bot.market("buy", total=25)
    assert (bought.status, bought.amount, bought.total) == ("filled", 2.0, 25.0)
    refused = await bot.market("buy", 2, time_in_force="fok")
    assert (refused.status, refused.reason, refused.filled) == ("cancelled", "fok", 0.0)


async def test_an_amended_order_is_the_same_order(pair: tuple[Market, Market]) -> None:
    bot, other = pair
    placed = await bot.limit("bid", 10, 4, client_order_id="a")
    less = await bot.amend(placed, amount=3)
    assert (less.id, less.amount, less.remaining) == (placed.id, 3.0, 3.0)
    moved = await bot.amend(client_order_id="a", price=11, new_client_order_id="b")
    assert (moved.id, moved.price, moved.client_order_id) == (placed.id, 11.0, "b")
    await other.market("ask", 2)
    with pytest.raises(Rejected, match="amount_below_filled"):
        await bot.amend("b", amount=1)
    ended = await bot.amend("b", amount=2)
    assert (ended.status, ended.reason, ended.filled) == ("cancelled", "amend", 2.0)
    with pytest.raises(Rejected, match="unknown_order"):
        await bot.amend("b", amount=5)


async def test_an_amend_may_trade_and_tells_its_fills_first(pair: tuple[Market, Market]) -> None:
    bot, other = pair
    placed = await bot.limit("bid", 10, 1)
    await other.limit("ask", 11, 1)
    assert (await bot.amend(placed, price=11)).status == "filled"
    fill = await bot.next(timeout_s=20)
    assert isinstance(fill, Fill)
    assert (fill.order_id, fill.price) == (placed.id, 11.0)


async def test_an_amend_in_a_frame_with_others(pair: tuple[Market, Market]) -> None:
    bot, _ = pair
    await bot.limit("bid", 10, 1, client_order_id="a")
    bid = NewOrder(type="bid", exec_type="limit", price=9.0, amount=1.0)
    changed, placed = await bot.submit([Amend(client_order_id="a", price=8.0), bid])
    assert isinstance(changed, OrderState)
    assert isinstance(placed, OrderState)
    assert (changed.price, placed.price) == (8.0, 9.0)


async def test_an_amend_whose_reply_was_lost_may_be_repeated(fastbook_server: Any) -> None:
    async with connect(fastbook_server.url, feed=False) as bot:
        await bot.limit("bid", 10, 4, client_order_id="a")
        lost = fastbook_server.faults.lose_ack(op="amend")
        with pytest.raises(Unanswered, match="safe to repeat") as caught:
            await bot.amend("a", amount=3, new_client_order_id="b")
        assert (caught.value.client_order_id, lost.happened) == (None, 1)
        await events_until_resynced(bot)
        again = await bot.amend("a", amount=3, new_client_order_id="b")
        assert (again.amount, again.client_order_id) == (3.0, "b")


async def events_until_resynced(market: Market) -> None:
    while type(await market.next(timeout_s=20)).__name__ != "Resynced":
        pass
