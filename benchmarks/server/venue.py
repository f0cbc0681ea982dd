"""A server that speaks the Binance dialect, in memory, with one account that everybody knows.

    python -m benchmarks.server.venue

Prints ``ready URL``.
"""

from __future__ import annotations

import asyncio
import contextlib

import uvloop

from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.garbage import looked_at_once
from fastbook_server.store.accounts import add_in_memory
from fastbook_server.store.memory import MemoryDatabase, MemoryStore
from fastbook_server.values.accounts import Account
from fastbook_server.values.instruments import InstrumentSpec

ACCOUNT = Account("bench", "k" * 64, "s" * 64, 0)
SYMBOL = "BTCUSDT"


async def serve() -> None:
    data = MemoryDatabase()
    add_in_memory(data, ACCOUNT, {"BTC": "1000000", "USDT": "1000000000"})
    specs = (InstrumentSpec.parse("BTC-USDT:0.01:0.1"),)
    config = Config(port=0, binance=True, binance_limits="off", instruments=specs)
    server = await Server.start(config, MemoryStore(data))
    assert server.dialect is not None, "it speaks it"
    await server.dialect.look()
    await server.pipeline.stored()
    print(f"ready {server.url}", flush=True)
    with looked_at_once():  # as `fastbook serve` does
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve())
