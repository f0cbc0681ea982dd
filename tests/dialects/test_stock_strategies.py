"""Trading systems as released: what their books say of a strategy is what the database says.

``FASTBOOK_TEST_STRATEGY_SECONDS=3600`` is for how long each trades; else it trades a few times.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import asyncpg
import pytest
from stock_clients import reachable, run

from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.store.postgres import PostgresStore
from fastbook_server.values.accounts import Account
from fastbook_server.values.instruments import InstrumentSpec
from fastbook_wire.commands import Add, DeleteAll, NewOrder

SECONDS = float(os.environ.get("FASTBOOK_TEST_STRATEGY_SECONDS", "0"))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900 + SECONDS)]  # the first time installs

MARKETS = {"BTC-USDT": 10_000, "ETH-USDT": 5_000, "SOL-USDT": 2_000, "XRP-USDT": 1_000}
"""Where each market begins, in ticks."""
SPECS = tuple(InstrumentSpec.parse(f"{name}:0.01:0.00001") for name in MARKETS)
BEGINS_WITH = 10_000.0

ORDERS = """
SELECT o.seq * 4096 + i.number AS order_id, o.type::text AS side, sum(f.amount) AS filled,
       sum(f.total) AS cost
FROM orders AS o JOIN instruments AS i USING (security)
JOIN fills_as_numbers AS f ON o.id IN (f.taker_order_id, f.maker_order_id)
WHERE o.user_id = 'api#bot' GROUP BY 1, 2
"""
FILLS = """
SELECT o.seq * 4096 + i.number AS order_id, f.fill_id, f.amount, f.price
FROM orders AS o JOIN instruments AS i USING (security)
JOIN fills_as_numbers AS f ON o.id IN (f.taker_order_id, f.maker_order_id)
WHERE o.user_id = 'api#bot' ORDER BY f.time, f.fill_id
"""
BALANCES = "SELECT asset, free, locked, total, expected FROM account_balances"


class House(NamedTuple):
    """A server on a database, and a bot's account there."""

    url: str
    bot: Account
    sql: asyncpg.Connection


async def make_markets(server: Server) -> None:
    """Quote each market around a price that wanders, and trade a little in it, for ever."""
    draw, prices = random.Random(3), dict(MARKETS)
    while True:
        for security in prices:
            prices[security] += draw.randrange(-5, 6)
            quotes = [
                NewOrder(type=side, exec_type="limit", price=price / 100, amount=50.0)
                for side, price in (("bid", prices[security] - 2), ("ask", prices[security] + 2))
            ]
            taker = NewOrder(type=draw.choice(("bid", "ask")), exec_type="market", amount=0.01)
            for order in (*quotes, taker):
                order.security = security
            server.pipeline.submit(*("user#maker", DeleteAll(security=security), *map(Add, quotes)))
            server.pipeline.submit("user#taker", Add(taker))
        await asyncio.sleep(0.2)


@pytest.fixture
async def house(
    make_database: Callable[..., Any], sql_of: Callable[..., Any]
) -> AsyncIterator[House]:
    """A server whose markets move."""
    dsn = await make_database("postgres")
    config = Config(port=0, binance=True, instruments=SPECS)
    server = await Server.start(config, PostgresStore(dsn))
    assert server.dialect is not None, "it speaks it"
    bot = await server.dialect.provide("bot", {"USDT": f"{BEGINS_WITH:.0f}"})
    market = asyncio.create_task(make_markets(server))
    try:
        yield House(server.url, bot, await sql_of(dsn))
    finally:
        market.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await market
        await server.stop()


async def balances(house: House) -> dict[str, tuple[float, float]]:
    """Return what the account has, free and locked, which must follow from its fills."""
    rows = await house.sql.fetch(BALANCES)
    assert all(row["total"] == row["expected"] for row in rows)
    return {row["asset"]: (float(row["free"]), float(row["locked"])) for row in rows}


async def test_freqtrade(house):
    package = reachable("freqtrade==2026.9")
    told = await run(package, "with_freqtrade.py", house.url, house.bot, seconds=SECONDS)
    assert len(told["closed"]) >= 4
    known = {row["order_id"]: row for row in await house.sql.fetch(ORDERS)}
    spent, kinds = 0.0, set()
    for order_id, _, side, kind, _, filled, cost in told["orders"]:
        kinds.add((side, kind))
        if filled:
            row = known.pop(int(order_id))
            assert row["side"] == {"buy": "bid", "sell": "ask"}[side]
            assert (row["filled"], row["cost"]) == pytest.approx((filled, cost), abs=1e-9)
            spent += cost if side == "buy" else -cost
    assert known == {}, "what it does not know of"
    assert kinds == {("buy", "buy"), ("sell", "sell"), ("sell", "stoploss")}
    have = await balances(house)
    assert sum(have["USDT"]) == pytest.approx(BEGINS_WITH - spent, abs=1e-9)
    for _, amount, bought, sold, profit in told["closed"]:
        assert profit == pytest.approx(amount * (sold - bought), abs=1e-6)


async def test_nautilus(house):
    package = reachable("nautilus_trader==1.221.0")
    told = await run(package, "with_nautilus.py", house.url, house.bot, seconds=SECONDS)
    filled = ["OrderInitialized", "OrderSubmitted", "OrderAccepted", "OrderFilled"]
    gone = ["OrderPendingCancel", "OrderCanceled"]
    turns = len(told["fills"])
    assert turns >= 6
    assert told["events"] == [*filled * turns, *filled[:3], *gone]
    fills = [tuple(row) for row in await house.sql.fetch(FILLS)]
    assert [(order, fill, amount, price) for order, fill, _, amount, price, _ in told["fills"]] == (
        fills
    )
    assert {fee for *_, fee in told["fills"]} == {0.0}
    assert told["heard"] == [True, True]
    have = await balances(house)
    assert told["balances"]["USDT"] == pytest.approx(have["USDT"], abs=1e-9)
    assert told["balances"]["BTC"] == list(have["BTC"]) == [0.0, 0.0]
    sides = [1 if side in ("BUY", 1) else -1 for _, _, side, *_ in told["fills"]]
    assert sides == [1, -1] * (turns // 2)
    cost = sum(
        s * amount * price for s, (*_, amount, price, _) in zip(sides, told["fills"], strict=True)
    )
    assert sum(have["USDT"]) == pytest.approx(BEGINS_WITH - cost, abs=1e-9)
