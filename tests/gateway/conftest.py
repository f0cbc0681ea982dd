"""A client of a server's HTTP interface."""

from __future__ import annotations

import aiohttp
import pytest

from peers import Web


@pytest.fixture
async def web():
    """A function that returns a client of a server's HTTP interface."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        yield lambda server: Web(http, server.url)
