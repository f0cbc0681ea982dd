"""Draw docs/terminal.svg: the live view of a running ``fastbook demo``, after a few seconds of it.

Start the demo with ``make run`` and this, with .venv/bin/python, in another terminal.
"""

from __future__ import annotations

import asyncio
import io
import sys
from pathlib import Path

from rich.console import Console

from fastbook_cli.demo.views import foot
from fastbook_cli.terminal import draw
from fastbook_cli.terminal.watch import MarketWatch
from fastbook_client.market import connect

SIZE = (100, 30)
WATCH_S = 20.0


async def main(url: str) -> None:
    """Follow the market for a while, then write the picture."""
    loop = asyncio.get_running_loop()
    end = loop.time() + WATCH_S
    async with connect(url) as client:
        market = MarketWatch(url, client.security, client.welcome)
        async for event in client:
            market.take(event, loop.time())
            if loop.time() > end:
                break
    console = Console(record=True, width=SIZE[0], height=SIZE[1], file=io.StringIO())
    console.print(draw.screen(market, loop.time(), SIZE, foot(market, (), "fastbook")))
    console.save_svg(str(Path(__file__).with_name("terminal.svg")), title="fastbook demo")


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"))
