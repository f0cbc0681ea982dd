"""A server in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.store.memory import MemoryDatabase, MemoryStore
from fastbook_server.values.instruments import InstrumentSpec

Serve = Callable[..., Awaitable[Server]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start servers on a store in memory."""
    servers = []

    async def serve_(*specs: InstrumentSpec, **settings: Any) -> Server:
        given = {"port": 0, "instruments": specs or Config().instruments} | settings
        server = await Server.start(Config(**given), MemoryStore(MemoryDatabase()))
        servers.append(server)
        return server

    yield serve_
    for server in servers:
        await server.stop()
