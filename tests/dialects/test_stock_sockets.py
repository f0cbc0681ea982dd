"""Stock clients on sockets, as released: their books, streams and own events, number by number."""

from __future__ import annotations

import pytest
from stock_clients import run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # the first time installs


async def test_ccxt_pro(venue):
    alice = await venue.account("alice", USDT=10_000)
    bob = await venue.account("bob", BTC=2, USDT=10_000)
    told = await run("ccxt==4.5.90", "with_ccxt_pro.py", venue.url, alice.account, bob.account)
    assert told == {
        "book": [True, True],
        "placed": ["closed", 0.1],
        "order": [True, "BTC/USDT"],
        "trade": [0.1, 100.0, "taker"],
        "public": [0.1, 100.0, "buy"],
        "balance": True,
        "candle": [100.0, 0.1],
        "ticker": [100.0, 0.1, 10.0],
        "best": [100.0, 0.2],
        "past": [100.0, 0.1],
    }


async def test_python_binance(venue):
    alice = await venue.account("alice", USDT=10_000)
    bob = await venue.account("bob", BTC=2, USDT=10_000)
    script = "with_python_binance_sockets.py"
    told = await run("python-binance==1.0.37", script, venue.url, alice.account, bob.account)
    assert told == {
        "cache": [[[90.0, 0.5]], [[100.0, 0.3]]],
        "trade": ["100.00000000", "0.10000000", 1],
        "own": [
            ["executionReport", "NEW"],
            ["executionReport", "TRADE"],
            ["outboundAccountPosition", None],
        ],
        "kline": ["100.00000000", "0.10000000", "10.00000000", 1],
    }
