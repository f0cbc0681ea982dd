"""Bare aiohttp servers: the least that could do the same work, for `benchmarks.bench_server`.

    python -m benchmarks.server.bare echo           each text frame comes back
    python -m benchmarks.server.bare fan EVENT      a bid of a trader sends EVENT to each reader

A trader is a connection with ``feed=none``, any other is a reader. Prints ``ready URL``.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

import uvloop
from aiohttp import WSMsgType, web


async def opened(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(compress=False, decode_text=False)
    await ws.prepare(request)
    return ws


async def echo(request: web.Request) -> web.WebSocketResponse:
    """Send each frame back: one write per frame, as aiohttp does by itself."""
    ws = await opened(request)
    with contextlib.suppress(ConnectionError):
        async for message in ws:
            await ws.send_frame(message.data, WSMsgType.TEXT)
    return ws


class Fan:
    """Raw writes of one prebuilt frame to every reader's transport."""

    def __init__(self, event: bytes) -> None:
        self._frame = b"\x81\x7e" + len(event).to_bytes(2, "big") + event
        self._readers: set[asyncio.Transport] = set()

    async def join(self, request: web.Request) -> web.WebSocketResponse:
        ws = await opened(request)
        if "feed" in request.query:
            async for message in ws:
                self._send(message.data.count(b'"type":"bid"'))
            return ws
        transport = request.transport
        assert transport is not None, "it is open"
        self._readers.add(transport)
        async for _ in ws:
            pass
        self._readers.discard(transport)
        return ws

    def _send(self, times: int) -> None:
        for _ in range(times):
            for transport in self._readers:
                transport.write(self._frame)


async def serve(kind: str, event: str = "") -> None:
    app = web.Application()
    handler = echo if kind == "echo" else Fan(event.encode()).join
    app.router.add_get("/ws", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    print(f"ready http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(*sys.argv[1:]))
