"""A server that speaks the Binance dialect, in memory, and clients of its accounts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from binance_client import BinanceClient
from databases import embedded_dsn, make_database, sql_of  # noqa: F401 (fixtures)
from over_a_log import start_server

from fastbook_server.config import Config
from fastbook_server.store.accounts import add_in_memory, new_account
from fastbook_server.store.memory import MemoryDatabase, MemoryStore
from fastbook_server.values.instruments import InstrumentSpec

SPECS = tuple(
    InstrumentSpec.parse(text) for text in ("BTC-USDT:0.01:0.00001", "ETH-USDT:0.05:0.001")
)


class Venue:
    """A server and the database that outlives it."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.data = MemoryDatabase()
        self.server: Any = None
        self._http = http

    async def start(self, **settings: Any) -> None:
        """Start the server, again after a stop, on the same data."""
        given = {"port": 0, "binance": True, "instruments": SPECS}
        self.server = await start_server(Config(**(given | settings)), MemoryStore(self.data))

    async def stop(self) -> None:
        """Stop the server."""
        if self.server is not None:
            await self.server.stop()
        self.server = None

    @property
    def url(self) -> str:
        """Where it is."""
        assert self.server is not None, "it runs"
        return self.server.url

    async def account(self, name: str, **balances: Any) -> BinanceClient:
        """Return a client of a new account with these balances."""
        account = new_account(name)
        add_in_memory(self.data, account, {a: str(amount) for a, amount in balances.items()})
        client = self.client(account)
        await self.look()
        return client

    def client(self, account: Any = None) -> BinanceClient:
        """Return a client of an account, or of nobody."""
        return BinanceClient(self._http, self.url, account)

    async def look(self) -> None:
        """Let the server look for new accounts now, and make their deposits."""
        assert self.server is not None, "it runs"
        dialect = self.server.dialect
        assert dialect is not None, "it speaks it"
        await dialect.look()
        await self.server.pipeline.stored()


@pytest.fixture
async def venue() -> AsyncIterator[Venue]:
    """A server that runs."""
    async with aiohttp.ClientSession() as http:
        venue = Venue(http)
        await venue.start()
        yield venue
        await venue.stop()


@pytest.fixture
async def alice(venue: Venue) -> BinanceClient:
    """An account that can buy."""
    return await venue.account("alice", USDT=10_000)


@pytest.fixture
async def bob(venue: Venue) -> BinanceClient:
    """An account that can sell."""
    return await venue.account("bob", BTC=2)
