"""kill -9 of server and PostgreSQL while accounts trade: the same balances, orders and ids after.

``FASTBOOK_TEST_KILLS=20`` asks for as many cycles; it prints its seed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections import defaultdict
from decimal import Decimal
from typing import Any

import aiohttp
import asyncpg
import pytest
from binance_client import BinanceClient

from fastbook_server.store.postgres_accounts import account_desk
from fastbook_server.store.verification import snapshot, verify

CYCLES = int(os.environ.get("FASTBOOK_TEST_KILLS", "4"))
SEED = int(os.environ.get("FASTBOOK_TEST_SEED", "14"))
DEPOSITS = {"USDT": Decimal(5_000), "BTC": Decimal(50)}
NAMES = ("ann", "bob", "cid")
INSTRUMENT = ("--instrument", "BTC-USDT:0.01:0.00001")
pytestmark = [
    pytest.mark.xdist_group("process"),
    pytest.mark.slow,
    pytest.mark.timeout(120 + 60 * CYCLES),
]


class Trader:
    """An account that does this and that, and notes what it was told."""

    def __init__(self, client: BinanceClient, seed: str) -> None:
        self.client = client
        self.acknowledged: dict[int, Decimal] = {}  # by order id: what was filled at least
        self.refused: set[int] = set()
        self._random = random.Random(seed)

    async def trade(self) -> None:
        """Trade until the server is gone."""
        with contextlib.suppress(aiohttp.ClientError):
            while True:
                await self._act()

    async def _act(self) -> None:
        draw, client = self._random, self.client
        side, price = draw.choice(("BUY", "SELL")), f"{100 + draw.randint(-3, 3)}"
        quantity = f"{draw.randint(1, 30) / 10:g}"
        kind = draw.random()
        if kind < 0.6 or not self.acknowledged:
            self._note(await client.limit(side, price, quantity))
        elif kind < 0.7:
            self._note(await client.order(side, "MARKET", quantity=quantity))
        elif kind < 0.8:
            terms = {"price": price, "quantity": quantity, "timeInForce": "GTC"}
            got = await client.signed(
                *("POST", "order/cancelReplace"),
                **{"symbol": "BTCUSDT", "side": side, "type": "LIMIT"} | terms,
                cancelReplaceMode="ALLOW_FAILURE",
                cancelOrderId=draw.choice(list(self.acknowledged)[-5:]),
            )
            new = (got.body.get("data") or got.body).get("newOrderResponse") or {}
            if "orderId" in new:
                self.acknowledged[new["orderId"]] = Decimal(new["executedQty"])
        else:
            order_id = draw.choice(list(self.acknowledged)[-8:])
            await client.signed("DELETE", "order", symbol="BTCUSDT", orderId=order_id)

    def _note(self, got: Any) -> None:
        if got.status == 200:
            self.acknowledged[got.body["orderId"]] = Decimal(got.body["executedQty"])
        else:
            self.refused.add(got.body["code"])

    async def check(self) -> int:
        """Compare what the account is told now with itself, and with what it was told before."""
        ask, symbol = self.client.signed, {"symbol": "BTCUSDT"}
        opened = (await ask("GET", "openOrders", **symbol)).body
        locked: dict[str, Decimal] = defaultdict(Decimal)
        for o in opened:
            left = Decimal(o["origQty"]) - Decimal(o["executedQty"])
            asset, each = ("BTC", 1) if o["side"] == "SELL" else ("USDT", Decimal(o["price"]))
            locked[asset] += left * each
        totals, filled, last = dict(DEPOSITS), defaultdict(Decimal), 0
        while page := (await ask("GET", "myTrades", **symbol, fromId=last + 1, limit=1_000)).body:
            for t in page:
                sign = 1 if t["isBuyer"] else -1
                totals["BTC"] += sign * Decimal(t["qty"])
                totals["USDT"] -= sign * Decimal(t["quoteQty"])
                filled[t["orderId"]] += Decimal(t["qty"])
            last = page[-1]["id"]
        for asset, (free, held) in (await self.client.balances()).items():
            assert Decimal(held) == locked[asset], asset
            assert Decimal(free) + Decimal(held) == totals[asset], asset
        for order_id, least in self.acknowledged.items():
            found = (await ask("GET", "order", **symbol, orderId=order_id)).body
            assert Decimal(found["executedQty"]) >= least, "lost"
        recent = {o["orderId"]: o for o in (await ask("GET", "allOrders", **symbol)).body}
        for order_id, order in recent.items():
            assert Decimal(order["executedQty"]) == filled[order_id]
        return last


async def test_accounts_are_the_same_after_every_kill(postgres, run):
    print(f"seed {SEED}, {CYCLES} cycles")
    draw, log = random.Random(SEED), ""
    async with account_desk(postgres.dsn) as desk:
        amounts = {asset: str(amount) for asset, amount in DEPOSITS.items()}
        accounts = [await desk.add(name, amounts) for name in NAMES]
    options = ("--database-url", postgres.dsn, "--binance", "--binance-limits", "off", *INSTRUMENT)
    known: dict[str, Trader] = {}
    for cycle in range(CYCLES + 1):
        server = await run(*options)
        async with aiohttp.ClientSession() as http:
            for account in accounts:
                trader = known.setdefault(account.name, Trader(None, f"{SEED} {account.name}"))
                trader.client = BinanceClient(http, server.url.replace("ws", "http", 1), account)
                await funded(trader.client)
                await trader.check()
            if cycle == CYCLES:
                break
            running = [asyncio.create_task(trader.trade()) for trader in known.values()]
            await more(known, 60)
            if cycle % 2:
                os.kill(postgres.pid, signal.SIGKILL)  # its keeper starts it again
                await more(known, 30)
            await asyncio.sleep(draw.random() * 0.2)
            await server.end(signal.SIGKILL)
            log += server.log
            await asyncio.gather(*running)
    assert await server.end(signal.SIGTERM) == 0
    assert set().union(*(trader.refused for trader in known.values())) <= {-2010, -2011, -1003}
    await all_is_accounted_for(postgres.dsn)
    assert "never retrieved" not in log + server.log


async def funded(client: BinanceClient) -> None:
    """Wait until the server has made the deposits of an account."""
    async with asyncio.timeout(60):
        balances: list[Any] = []
        while not balances:
            balances = (await client.signed("GET", "account", omitZeroBalances="true")).body[
                "balances"
            ]


async def more(known: dict[str, Trader], count: int) -> None:
    """Wait until so many more orders have been acknowledged."""
    before = sum(len(trader.acknowledged) for trader in known.values())
    async with asyncio.timeout(60):
        while sum(len(trader.acknowledged) for trader in known.values()) < before + count:  # noqa: ASYNC110 (nothing announces it)
            await asyncio.sleep(0.005)


async def all_is_accounted_for(dsn: str) -> None:
    """Check in SQL that nothing was created or lost, and that fills are counted without gaps."""
    sql = await asyncpg.connect(dsn, server_settings={"search_path": "fastbook"})
    rows = await sql.fetch(
        "SELECT asset, sum(total) AS total, sum(expected) AS expected "
        "FROM account_balances GROUP BY asset"
    )
    assert {r["asset"]: r["total"] for r in rows} == {
        asset: amount * len(NAMES) for asset, amount in DEPOSITS.items()
    }
    assert all(r["total"] == r["expected"] for r in rows)
    count, last = await sql.fetchrow("SELECT count(*), max(fill_id) FROM fills")
    assert count == last > 0
    await sql.close()
    async with snapshot(dsn) as moment:
        assert [f.check.name async for f in verify(moment) if f.faults] == []
