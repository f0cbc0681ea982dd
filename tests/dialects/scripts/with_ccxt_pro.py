"""What a bot watches with ccxt.pro: a local book, trades, candles, its own orders and balances."""

import asyncio
import json
import random
import sys

import ccxt.pro

url, *keys = sys.argv[1:]
BTC = "BTC/USDT"


def client(key: str, secret: str) -> ccxt.pro.binance:
    api, ws = f"{url}/binance/api/v3", f"{url}/binance".replace("http", "ws", 1)
    return ccxt.pro.binance(
        {
            "apiKey": key,
            "secret": secret,
            "urls": {
                "api": {
                    "public": api,
                    "private": api,
                    "sapi": f"{url}/binance/sapi/v1",
                    "ws": {
                        "spot": f"{ws}/stream/ws",
                        "ws-api": {"spot": f"{ws}/ws-api/v3"},
                    },
                }
            },
            "options": {
                "fetchMarkets": {"types": ["spot"]},
                "fetchMargins": False,
                "fetchCurrencies": False,
            },
            "enableRateLimit": False,
        }
    )


async def main() -> None:
    alice, bob = client(*keys[:2]), client(*keys[2:])
    await alice.load_markets()
    await bob.load_markets()
    try:
        print(json.dumps(await watched(alice, bob)))
    finally:
        await alice.close()
        await bob.close()


async def watched(alice: ccxt.pro.binance, bob: ccxt.pro.binance) -> dict:
    rng = random.Random(3)

    told = asyncio.Event()

    async def churn() -> None:
        """Change the book, and go on once that has been told."""
        for _ in range(6):
            told.clear()
            for _ in range(10):
                await bob.create_order(BTC, "limit", "buy", 0.001, 90 + rng.randrange(500) / 100)
            await bob.cancel_all_orders(BTC)
            await told.wait()

    async def watch() -> int:
        updates = 0
        while not updates or not churning.done():
            await alice.watch_order_book(BTC)
            updates += 1
            told.set()
        return updates

    churning = asyncio.create_task(churn())
    watching = asyncio.create_task(watch())
    await churning
    await bob.create_order(BTC, "limit", "buy", 0.001, 90)
    updates = await watching
    await bob.cancel_all_orders(BTC)
    fetched = await alice.fetch_order_book(BTC, 1_000)
    for _ in range(50):
        kept = alice.orderbooks[BTC]
        if kept["nonce"] >= fetched["nonce"]:
            break
        await asyncio.sleep(0.05)
    same = [kept["bids"][:], kept["asks"][:]] == [fetched["bids"], fetched["asks"]]

    own = [asyncio.create_task(w()) for w in (alice.watch_balance, alice.watch_orders)]
    mine = asyncio.create_task(alice.watch_my_trades())
    tape = asyncio.create_task(alice.watch_trades(BTC))
    await asyncio.sleep(0.5)
    await bob.create_order(BTC, "limit", "sell", 0.3, 100)
    placed = await alice.create_order_ws(BTC, "limit", "buy", 0.1, 100)
    balance, orders = await asyncio.gather(*own)
    trades, public = await mine, await tape
    candles = await alice.watch_ohlcv(BTC, "1d")
    ticker = await alice.watch_ticker(BTC)
    best = await alice.watch_bids_asks([BTC])
    past = await alice.fetch_ohlcv(BTC, "1m")
    return {
        "book": [same, updates > 5],
        "placed": [placed["status"], placed["filled"]],
        "order": [orders[-1]["id"] == placed["id"], orders[-1]["symbol"]],
        "trade": [trades[0]["amount"], trades[0]["price"], trades[0]["takerOrMaker"]],
        "public": [public[-1]["amount"], public[-1]["price"], public[-1]["side"]],
        "balance": "BTC" in balance or "USDT" in balance,
        "candle": candles[-1][4:],
        "ticker": [ticker["last"], ticker["baseVolume"], ticker["quoteVolume"]],
        "best": [best[BTC]["ask"], best[BTC]["askVolume"]],
        "past": past[-1][4:],
    }


asyncio.run(main())
