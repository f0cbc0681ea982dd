"""The demo for bots that speak to Binance: its accounts, and the bot that it prints."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import aiohttp
import pytest
from binance_client import BinanceClient
from stock_clients import python_with

from fastbook_cli.demo.binance_bots import with_dollars
from fastbook_server.config import Config
from fastbook_server.values.accounts import Account
from fastbook_server.values.instruments import InstrumentSpec

pytestmark = pytest.mark.timeout(120)
DEMO = ("demo", "--in-memory", "--port", "0", "--rate", "300", "--past", "1", "--binance")


@pytest.fixture
def said() -> Iterator[str]:
    """What a demo prints before its first line about the market; it runs meanwhile."""
    demo = subprocess.Popen(
        [sys.executable, "-m", "fastbook_cli", *DEMO], stdout=subprocess.PIPE, text=True
    )
    assert demo.stdout is not None
    lines = []
    for line in demo.stdout:
        lines.append(line)
        if line.startswith("print(bot.fetch_balance()"):
            break
    yield "".join(lines)
    demo.terminate()
    demo.communicate(timeout=60)
    assert demo.returncode == 0


def keys(said: str) -> list[tuple[str, str, str]]:
    """Return name, key and secret of each account."""
    return re.findall(r"(bot\d)  key +(\w{64})\n +secret +(\w{64})\n", said)


async def test_two_accounts_trade_on_the_market_at_once(said: str) -> None:
    url = re.search(r"ready (http\S+)", said)
    assert url is not None
    accounts = keys(said)
    assert [name for name, _, _ in accounts] == ["bot1", "bot2"]
    async with aiohttp.ClientSession() as http:
        for name, key, secret in accounts:
            client = BinanceClient(http, url[1], Account(name, key, secret, 0))
            async with asyncio.timeout(60):  # the agents quote within a moment
                while True:
                    bought = (await client.order("BUY", "MARKET", quantity="0.001")).body
                    if bought["status"] == "FILLED":
                        break
                    await asyncio.sleep(0.1)
            assert bought["executedQty"] == "0.00100000"
            assert 50_000 < float(bought["fills"][0]["price"]) < 200_000
            assert (await client.balances())["BTC"] == ("100.00100000", "0.00000000")


def bot(said: str) -> str:
    """Return the bot that a demo has printed."""
    return said[said.index("import ccxt") :]


def test_the_bot_is_ten_lines_of_python(said: str) -> None:
    assert bot(said).count("\n") == 10
    compile(bot(said), "bot", "exec")


@pytest.mark.slow
@pytest.mark.timeout(600)  # the first time installs
def test_the_bot_trades_as_it_is_printed(said: str) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [python_with("ccxt==4.5.90"), "-c", textwrap.dedent(bot(said))],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    first, second, balance = done.stdout.splitlines()
    assert first.startswith("closed 0.001 at ")
    assert second == "open 1 open"
    assert "'BTC': 100.001" in balance


def test_it_trades_what_bots_know_unless_it_is_told_otherwise() -> None:
    assert [i.security for i in with_dollars(Config()).instruments] == ["BTC-USDT"]
    own = Config(instruments=(InstrumentSpec.parse("A-B:1:1"),))
    assert with_dollars(own) is own
