"""Stock clients, as released: what they tell a bot is what happened, number by number."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from stock_clients import python_with, run

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # the first time installs


async def test_ccxt(venue, alice, bob):
    told = await run("ccxt==4.5.90", "with_ccxt.py", venue.url, alice.account, bob.account)
    assert told == {
        "precision": [0.01, 0.00001],
        "ask": [100.01, 0.3],
        "bought": [1.0, 100.017, "open", 100.017],
        "ioc": "expired",
        "open": True,
        "mine": ["mine", "open"],
        "cancelled": ["canceled", 1],
        "edited": [2.0, 41.0, True],
        "stop": ["STOP_LOSS", ["canceled", "expired", "canceled", "canceled", "open", "open"]],
        "kinds": [
            ["TAKE_PROFIT", "sell", 150.0],
            ["TAKE_PROFIT_LIMIT", "sell", 150.0],
            ["TAKE_PROFIT_LIMIT", "buy", 45.0],
            ["STOP_LOSS", "buy", 150.0],
        ],
        "used": [0.3, 101.0],
        "aggregates": [["1", 0.3], ["2", 0.7]],
        "errors": {
            "money": "InsufficientFunds",
            "post_only": "OrderImmediatelyFillable",
            "gone": "OrderNotFound",
            "unknown": "OrderNotFound",
            "key": "AuthenticationError",
        },
        "balance": [1.0, 9_899.983, 0.0],
        "trades": [[0.3, 100.01, 0.0], [0.7, 100.02, 0.0]],
    }


async def test_python_binance(venue, alice, bob):
    script = "with_python_binance.py"
    told = await run("python-binance==1.0.37", script, venue.url, alice.account, bob.account)
    assert told == {
        "symbol": "BTC",
        "bought": ["PARTIALLY_FILLED", "0.30000000", "30.00300000"],
        "fills": [["100.01000000", "0.30000000"]],
        "market": "EXPIRED",
        "found": "PARTIALLY_FILLED",
        "opened": 1,
        "gone": "CANCELED",
        "balance": [
            "0.30000000",
            {"asset": "USDT", "free": "9969.99700000", "locked": "0.00000000"},
        ],
        "trades": 1,
        "error": [-2010, "Account has insufficient balance for requested action."],
    }


async def test_binance_connector(venue, alice, bob):
    script = "with_binance_connector.py"
    told = await run("binance-connector==3.13.0", script, venue.url, alice.account, bob.account)
    assert told == {
        "bids": [["40.00000000", "0.20000000"]],
        "bought": ["PARTIALLY_FILLED", "0.30000000", "30.00300000"],
        "trade": ["100.01000000", "0.30000000", 1],
        "own": ["PARTIALLY_FILLED", "0.30000000", "0.00000000"],
        "replaced": ["SUCCESS", "SUCCESS"],
        "again": [400, -2022, "Order cancel-replace failed."],
        "opened": [True],
        "placed": [200, "NEW"],
        "all": ["CANCELED", "CANCELED", "NEW"],
        "trades": [["100.01000000", "0.30000000"]],
        "count": 3,
        "fee": "0.00000000",
        "error": [400, -2013, "Order does not exist."],
    }


async def test_binance_sdk(venue, alice, bob):
    package, script = "binance-sdk-spot==13.3.0", "with_binance_sdk.py"
    told = await run(package, script, venue.url, alice.account, bob.account)
    assert told == {
        "bought": ["PARTIALLY_FILLED", "0.30000000", "30.00300000"],
        "trade": ["100.01000000", "0.30000000", 1],
        "reduced": ["0.40000000", "PARTIALLY_FILLED"],
        "changes": [["0.50000000", "0.40000000"]],
        "replaced": ["SUCCESS", "SUCCESS"],
        "placed": "NEW",
        "assets": ["BTC", "USDT"],
        "all": ["CANCELED", "NEW", "NEW"],
        "open": 2,
        "trades": [["100.01000000", "0.30000000"]],
        "count": 3,
        "error": ["BadRequestError", "(-2013, 'Order does not exist.')"],
    }


@pytest.mark.skipif(shutil.which("npm") is None, reason="no npm: apt-get install npm")
async def test_ccxt_for_javascript(venue, alice, bob):
    told = await run("ccxt@4.5.84", "with_ccxt.cjs", venue.url, alice.account, bob.account)
    assert told == {
        "precision": [0.01, 0.00001],
        "asks": [[100.01, 0.3]],
        "bought": [0.3, 100.01, "open"],
        "edited": [0.1, 50, [True]],
        "every": ["canceled", "open"],
        "cancelled": "canceled",
        "balance": [0.3, 9_969.997, 0],
        "trades": [[0.3, 100.01]],
        "errors": ["InsufficientFunds", "OrderNotFound", "AuthenticationError"],
    }


def test_the_example_of_a_bot_in_a_test(tmp_path):
    document = (ROOT / "docs/testing.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(import ccxt\n.*?)^```$", document, re.M | re.S)
    (tmp_path / "test_bot.py").write_text(code, encoding="utf-8")
    folder = python_with("ccxt==4.5.90").parents[1]
    (packages,) = folder.glob("lib/python*/site-packages")
    paths = [*(str(ROOT / name) for name in ("src", "server", "client/src")), str(packages)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_bot.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
