"""Accounts of a test's server: good at once, with the clock standing, and beside counterparties."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import aiohttp
import pytest
from binance_client import BinanceClient
from stock_clients import python_with

from fastbook_server.values.accounts import Account

MARKET = pytest.mark.fastbook(binance=True, instruments=["BTC-USDT:0.01:0.00001"])


@MARKET
async def test_an_account_trades_with_the_others(fastbook_server):
    account = fastbook_server.binance_account(USDT=1_000, BTC="0.00000001")
    fastbook_server.counterparty("maker").ask(100, 2)
    async with aiohttp.ClientSession() as http:
        keys = Account(account.name, account.key, account.secret, 0)
        client = BinanceClient(http, fastbook_server.url, keys)
        bought = (await client.order("BUY", "MARKET", quantity="0.5")).body
        assert (bought["status"], bought["cummulativeQuoteQty"]) == ("FILLED", "50.00000000")
        assert await client.balances() == {
            "BTC": ("0.50000001", "0.00000000"),
            "USDT": ("950.00000000", "0.00000000"),
        }
        await client.limit("BUY", "90", "1")
    fastbook_server.assert_open_orders(account.user_id, [("bid", 90, 1)])
    assert [f.price for f in fastbook_server.fills_of(account.user_id)] == [100]
    assert account.ccxt["urls"]["api"]["private"] == f"{account.url}/api/v3"


@MARKET
def test_each_account_is_another_and_outlives_a_restart(fastbook_server):
    first, second = fastbook_server.binance_account(), fastbook_server.binance_account(USDT=1)
    assert len({first.key, first.secret, second.key, second.secret}) == 4
    fastbook_server.restart(crash=True)
    assert fastbook_server.binance_account().user_id not in (first.user_id, second.user_id)
    with pytest.raises(ValueError, match="USDT: expected a positive number"):
        fastbook_server.binance_account(USDT=0)


@MARKET
@pytest.mark.slow
@pytest.mark.timeout(600)  # the first time installs
def test_the_bot_of_the_documentation_trades(fastbook_server):
    """With ccxt as released, in a process of its own, on a clock that stands in another year."""
    document = Path(__file__).parents[2] / "docs/testing.md"
    shown = document.read_text(encoding="utf-8").partition("import ccxt\n")[2].partition("```")[0]
    lines = [line.strip() for line in shown.splitlines() if "exchange" in line]
    account = fastbook_server.binance_account(USDT=1_000)
    fastbook_server.counterparty("maker").ask(100, 2)
    bot = "\n".join(
        ["import ccxt, sys, json", "class account: ccxt = json.loads(sys.argv[1])", *lines]
    )
    environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    environment.pop("PYTHONPATH", None)
    command = [python_with("ccxt==4.5.90"), "-c", bot, json.dumps(account.ccxt)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert [f.price for f in fastbook_server.fills_of(account.user_id)] == [100]


def test_only_a_server_that_speaks_as_binance_does_has_accounts(fastbook_server):
    with pytest.raises(ValueError, match="binance=True"):
        fastbook_server.binance_account(USDT=1)
