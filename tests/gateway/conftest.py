"""A client of a server's HTTP interface."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import aiohttp
import pytest
from fakes import FakeClock, TimedLoop

from fastbook_server.gateway import listener
from peers import Web


@pytest.fixture
async def web():
    """A function that returns a client of a server's HTTP interface."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        yield lambda server: Web(http, server.url)


@pytest.fixture
def patience(monkeypatch):
    """The clock of listeners' patience with connections, in a test's hands."""
    loop = TimedLoop(FakeClock())
    theirs = SimpleNamespace(**vars(asyncio) | {"get_running_loop": lambda: loop})
    monkeypatch.setattr(listener, "asyncio", theirs)
    return loop.clock
