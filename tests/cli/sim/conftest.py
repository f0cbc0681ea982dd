"""A server in this process, with or without a control of its market."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from fastbook_cli.sim.control import Control
from fastbook_cli.sim.http_control import with_control
from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.store.memory import MemoryDatabase, MemoryStore
from fastbook_server.values.instruments import InstrumentSpec

Serve = Callable[..., Awaitable[Server]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start servers on a store in memory; `control` gives one a ``/sim``."""
    servers = []

    async def serve_(
        *instruments: str,
        control: Control | None = None,
        database: MemoryDatabase | None = None,
        **settings: Any,
    ) -> Server:
        texts = instruments or ("BTC-USD:0.01:0.0001",)
        specs = tuple(map(InstrumentSpec.parse, texts))
        config = Config(**{"port": 0, "instruments": specs} | settings)
        more = {} if control is None else {"operator": with_control(control)}
        server = await Server.start(config, MemoryStore(database or MemoryDatabase()), **more)
        servers.append(server)
        return server

    yield serve_
    for server in servers:
        await server.stop()
