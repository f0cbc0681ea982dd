"""Plain clients to try the plugin with; the plugin itself is loaded by its entry point."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

pytest_plugins = ["pytester"]
PATIENCE_S = 20.0


class Bot:
    """A minimal WebSocket client."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.welcome: dict[str, Any] = {}

    @property
    def user_id(self) -> str:
        return self.welcome["userId"]

    async def next(self) -> dict[str, Any] | None:
        """Return the next frame, or None if the connection has ended."""
        async with asyncio.timeout(PATIENCE_S):
            message = await self.ws.receive()
        return message.json() if message.type is aiohttp.WSMsgType.TEXT else None

    async def until(self, **wanted: Any) -> dict[str, Any] | None:
        """Return the next frame with these values, or None if the connection ends first."""
        while (frame := await self.next()) is not None:
            if all(frame.get(name) == value for name, value in wanted.items()):
                return frame
        return None

    async def send(self, op: str, ref: str | None = None, **rest: Any) -> None:
        await self.ws.send_json({"op": op, "ref": ref, **rest})

    async def add(self, side: str, price: float, amount: float, ref: str, **more: Any) -> None:
        order = {"type": side, "execType": "limit", "price": price, "amount": amount}
        await self.send("add", ref, order=order | more)

    async def synced(self) -> list[dict[str, Any]]:
        """Return all frames that have been sent so far."""
        await self.send("ping", "synced")
        frames = []
        while (frame := await self.next()) is not None and frame.get("ref") != "synced":
            frames.append(frame)
        return frames


@pytest.fixture
async def connect(fastbook_server: Any) -> AsyncIterator[Callable[..., Any]]:
    """A function that connects a bot to the server; its keywords become the query."""
    async with aiohttp.ClientSession() as http, contextlib.AsyncExitStack() as open_sockets:

        async def connected(**query: str) -> Bot:
            socket = http.ws_connect(fastbook_server.ws_url, params=query)
            bot = Bot(await open_sockets.enter_async_context(socket))
            bot.welcome = await bot.next() or {}
            return bot

        yield connected
