"""A server in this process on a store in memory, and a line to it that can be cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.store.memory import MemoryDatabase, MemoryStore
from fastbook_server.values.instruments import InstrumentSpec

SECURITY = "BTC-USD"


@asynccontextmanager
async def small_server(
    instruments: Sequence[str] = (f"{SECURITY}:0.1:1e-8",), **settings: Any
) -> AsyncIterator[str]:
    """Serve on a free port; yields the endpoint."""
    specs = tuple(InstrumentSpec.parse(text) for text in instruments)
    config = Config(port=0, instruments=specs, **settings)
    server = await Server.start(config, MemoryStore(MemoryDatabase()))
    try:
        yield server.url.replace("http", "ws", 1) + "/ws"
    finally:
        await server.stop()


class Line:
    """A TCP relay to a server; it cuts itself whenever so many bytes have come back."""

    def __init__(self, url: str, bytes_between_cuts: list[int]) -> None:
        host, _, port = url.removeprefix("ws://").removesuffix("/ws").rpartition(":")
        self.cuts = 0
        self._target = (host, int(port))
        self._left = bytes_between_cuts

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """Relay on a free port; yields the endpoint."""
        relay = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        try:
            yield f"ws://127.0.0.1:{relay.sockets[0].getsockname()[1]}/ws"
        finally:
            relay.close()
            await relay.wait_closed()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(*self._target)
        ways = (
            asyncio.create_task(_copy(reader, there_writer)),
            asyncio.create_task(self._copy_back(there_reader, writer)),
        )
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, there_writer):
            end.transport.abort()
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)

    async def _copy_back(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(1_500):
            if self._left:
                self._left[0] -= len(data)
                if self._left[0] < 0:
                    self._left.pop(0)
                    self.cuts += 1
                    return
            sink.write(data)
            await sink.drain()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65_536):
        sink.write(data)
        await sink.drain()
