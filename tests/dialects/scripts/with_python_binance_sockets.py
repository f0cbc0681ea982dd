"""What a bot follows with python-binance: a depth cache, streams, its own events."""

import asyncio
import json
import sys

from binance import AsyncClient, BinanceSocketManager
from binance.ws.depthcache import DepthCacheManager

url, *keys = sys.argv[1:]
ws = f"{url}/binance".replace("http", "ws", 1)
AsyncClient.API_URL = f"{url}/binance/api"
AsyncClient.WS_API_URL = f"{ws}/ws-api/v3"
BinanceSocketManager.STREAM_URL = f"{ws}/"
BTC = "BTCUSDT"


async def main() -> None:
    alice = await AsyncClient.create(keys[0], keys[1])
    bob = await AsyncClient.create(keys[2], keys[3])
    try:
        print(json.dumps(await followed(alice, bob)))
    finally:
        await alice.close_connection()
        await bob.close_connection()


async def followed(alice: AsyncClient, bob: AsyncClient) -> dict:
    manager = BinanceSocketManager(alice)
    limit = {"symbol": BTC, "type": "LIMIT", "timeInForce": "GTC"}
    found = {}
    await bob.create_order(side="BUY", quantity="0.5", price="90", **limit)
    async with DepthCacheManager(alice, BTC, ws_interval=100) as depth:
        await bob.create_order(side="SELL", quantity="0.3", price="100", **limit)
        cache = None
        for _ in range(20):
            cache = await asyncio.wait_for(depth.recv(), 10)
            if isinstance(cache, dict):
                raise RuntimeError(str(cache))
            if cache.get_asks():
                break
        found["cache"] = [cache.get_bids(), cache.get_asks()]
    streams = manager.multiplex_socket(["btcusdt@trade", "btcusdt@kline_1m"])
    user = manager.user_socket()
    async with streams, user:
        events = []
        await alice.create_order(side="BUY", quantity="0.1", price="100", **limit)
        while len({e["data"]["e"] for e in events}) < 2:
            events.append(await asyncio.wait_for(streams.recv(), 10))
        trade = next(e["data"] for e in events if e["data"]["e"] == "trade")
        found["trade"] = [trade["p"], trade["q"], trade["t"]]
        own = []
        while "outboundAccountPosition" not in [e["e"] for e in own]:
            own.append(await asyncio.wait_for(user.recv(), 10))
        found["own"] = [[e["e"], e.get("x")] for e in own]
    klines = await alice.get_klines(symbol=BTC, interval="1w")
    found["kline"] = [klines[-1][4], klines[-1][5], klines[-1][7], klines[-1][8]]
    return found


asyncio.run(main())
