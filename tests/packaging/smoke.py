"""Try what is installed: the engine, a server in memory that two clients trade on, and its page.

python -I tests/packaging/smoke.py      in an environment with nothing but the wheels
"""

import asyncio

import aiohttp

import fastbook
from fastbook_client import connect
from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.store.memory import MemoryStore


def try_engine() -> None:
    book = fastbook.OrderBook()
    book.add(1, fastbook.Side.ASK, 100, 5)
    events = book.add(2, fastbook.Side.BID, 100, 2)
    assert [(event.kind, event.quantity) for event in events] == [(fastbook.EVENT_FILL, 2)]
    book.check_invariants()


async def try_market(url: str) -> None:
    async with connect(url) as maker, connect(url) as taker:
        await maker.limit("ask", 10, 2)
        assert (await taker.market("bid", 1)).filled == 1


async def try_page(url: str) -> None:
    browser = {"Accept": "text/html"}
    async with aiohttp.ClientSession() as http:
        async with http.get(url, headers=browser) as page:
            assert "<title>" in await page.text()
        async with http.get(f"{url}/web/vendor/lightweight-charts.mjs") as library:
            assert library.status == 200


async def main() -> None:
    server = await Server.start(Config(port=0), MemoryStore())
    try:
        await try_market(server.url)
        await try_page(server.url)
    finally:
        await server.stop()


try_engine()
asyncio.run(main())
print("engine, market and page work")
