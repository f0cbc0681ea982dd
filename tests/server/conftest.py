"""Helpers of these tests are plain modules in ``support``; pytest's importlib mode needs the path.

Fixtures here start what needs to be stopped again. Everything runs on uvloop, as the server does.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import hypothesis
import pytest

sys.path.insert(0, str(Path(__file__).parent / "support"))

# Time is no property of what is tested, and a busy machine no failure.
hypothesis.settings.register_profile(
    "fastbook", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("fastbook")


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Name the loop that the product runs on."""
    try:
        import uvloop
    except ImportError:
        return {"asyncio": asyncio.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Any]]:
    """A function that starts a server on a store in memory; settings are its keywords.

    Its clock stands at T0 and it sends every book, so that whole lists of frames can be foretold.
    """
    from trading import SPECS, T0

    from fastbook_server.app import Server
    from fastbook_server.config import Config
    from fastbook_server.store.memory import MemoryStore

    servers: list[Server] = []

    async def start(store: Any = None, **settings: Any) -> Server:
        given = {"port": 0, "throttle_ms": 0, "instruments": SPECS} | settings
        server = Server(Config(**given), store or MemoryStore(), now_ms=lambda: T0)
        servers.append(server)
        await server.start()
        return server

    yield start
    for server in servers:
        await server.stop()


@pytest.fixture
async def join() -> AsyncIterator[Callable[..., Any]]:
    """A function that connects a client to a server; the keywords are its query."""
    from wire import Peer

    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:

        async def connect(server: Any, **query: str) -> Peer:
            ws = await http.ws_connect(
                f"{server.url}/ws", params=query, compress=0, max_msg_size=0, autoping=True
            )
            return await Peer.greeted(ws)

        yield connect


@pytest.fixture
async def raw() -> AsyncIterator[Callable[..., Any]]:
    """A function that opens a socket which speaks WebSocket byte by byte."""
    from wire import RawPeer

    peers: list[RawPeer] = []

    async def connect(server: Any, path: str = "/ws", **options: Any) -> RawPeer:
        peers.append(await RawPeer.open(server.port, path, **options))
        return peers[-1]

    yield connect
    for peer in peers:
        peer.writer.close()
