"""The market maker against an exchange whose clock, faults and traders the test controls."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from market_maker import MarketMaker

pytestmark = pytest.mark.asyncio


@contextlib.asynccontextmanager
async def quoting(server, **options):
    """Run a market maker until the end of the block; yields its connection."""
    bot = asyncio.create_task(MarketMaker(server.url, mid=100, **options).run())
    try:
        yield await server.aio.wait_for_client()
    finally:
        bot.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await bot


async def test_it_quotes_both_sides_and_cancels_on_exit(fastbook_server):
    async with quoting(fastbook_server) as bot:
        await rests(fastbook_server, bot, ("bid", 99, 1), ("ask", 101, 1))

    fastbook_server.assert_no_open_orders(bot.user_id)


async def test_after_a_fill_it_quotes_around_the_new_mid(fastbook_server):
    async with quoting(fastbook_server) as bot:
        await rests(fastbook_server, bot, ("bid", 99, 1), ("ask", 101, 1))
        fastbook_server.counterparty("taker").buy(1)
        await rests(fastbook_server, bot, ("bid", 99.5, 1), ("ask", 101.5, 1))


async def test_a_lost_reply_does_not_double_an_order(fastbook_server):
    lost = fastbook_server.faults.lose_ack()
    async with quoting(fastbook_server) as bot:
        await rests(fastbook_server, bot, ("bid", 99, 1), ("ask", 101, 1))

    assert lost.happened == 1
    adds = [f for c in fastbook_server.clients for f in c.sent if f["op"] == "add"]
    assert [f["order"]["type"] for f in adds] == ["bid", "ask"]


async def test_nor_does_it_if_others_trade_before_the_bot_reconnects(fastbook_server):
    async with quoting(fastbook_server) as bot:
        await rests(fastbook_server, bot, ("bid", 99, 1), ("ask", 101, 1))
        lost = fastbook_server.faults.lose_ack()
        with fastbook_server.faults.refuse_connections():
            taker = fastbook_server.counterparty("taker")
            taker.buy(1)  # the bot quotes again, but the reply is lost
            await fastbook_server.aio.wait_for(lambda: lost.happened)
            fastbook_server.counterparty("other").ask(100.5, 1)
            taker.buy(1)
        await rests(fastbook_server, bot, ("bid", 99.5, 1), ("ask", 101.5, 1))


async def test_it_catches_up_with_fills_while_it_was_disconnected(fastbook_server):
    async with quoting(fastbook_server) as bot:
        await rests(fastbook_server, bot, ("bid", 99, 1), ("ask", 101, 1))
        with fastbook_server.faults.refuse_connections():
            fastbook_server.faults.cut(bot.user_id)
            fastbook_server.counterparty("taker").buy(1)
        await rests(fastbook_server, bot, ("bid", 99.5, 1), ("ask", 101.5, 1))


async def test_while_a_reply_is_late_it_sends_nothing_twice(fastbook_server):
    late = fastbook_server.faults.delay(3)
    async with quoting(fastbook_server) as bot:
        await rests(fastbook_server, bot, ("bid", 99, 1))
        fastbook_server.clock.advance(2.9)
        assert [f["op"] for f in bot.sent] == ["add"]
        fastbook_server.clock.advance(0.1)
        late.clear()
        await rests(fastbook_server, bot, ("bid", 99, 1), ("ask", 101, 1))


async def test_when_it_is_rate_limited_it_tries_again_later(fastbook_server):
    refused = fastbook_server.faults.refuse("rate_limited", retry_after_ms=20)
    async with quoting(fastbook_server) as bot:
        await rests(fastbook_server, bot, ("bid", 99, 1), ("ask", 101, 1))
    assert refused.happened == 1


async def test_a_missed_trade_still_counts(fastbook_server):
    async with quoting(fastbook_server, half_spread=10) as bot:
        await rests(fastbook_server, bot, ("bid", 90, 1), ("ask", 110, 1))
        fastbook_server.faults.skip("trades")
        others = fastbook_server.fill_book(100, levels=3, step=1, spread=4)
        others.buy(1)  # at 102, in the frame that is skipped
        others.buy(1)  # at 103: its prevSeq reveals the skipped trade
        await rests(fastbook_server, bot, ("bid", 91.67, 1), ("ask", 111.67, 1))


@pytest.mark.parametrize("crash", [False, True])
async def test_it_reconnects_after_a_restart_with_the_same_orders(fastbook_server, crash):
    async with quoting(fastbook_server) as bot:
        await rests(fastbook_server, bot, ("bid", 99, 1), ("ask", 101, 1))
        before = fastbook_server.orders_of(bot.user_id)

        fastbook_server.restart(crash=crash)
        await fastbook_server.aio.wait_for_client()
        fastbook_server.counterparty("taker").buy(1)

        await rests(fastbook_server, bot, ("bid", 99.5, 1), ("ask", 101.5, 1))
        assert before[0].user_id == bot.user_id


async def rests(server, bot, *expected):
    """Wait until the bot's open orders are exactly these, each as (side, price, amount)."""

    def they_do():
        server.assert_open_orders(bot.user_id, expected)
        return True

    await server.aio.wait_for(they_do)
