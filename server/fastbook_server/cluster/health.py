"""The small HTTP server of a process that has no clients: is it well, and what does it do?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from aiohttp import web

from fastbook_server import metrics
from fastbook_server.cluster.roll_call import Answer
from fastbook_server.gateway.listener import Listener
from fastbook_server.gateway.per_address import PerAddress
from fastbook_server.gateway.proxies import Proxies

CONNECTIONS_MAX = 100


class Health:
    """Serves ``/healthz``, ``/readyz``, ``/metrics`` and ``/status``: what `say` returns, as JSON.

    That is an object, or where there is one for each of several shards, their array.
    """

    def __init__(self, say: Callable[[], Sequence[Answer]], ready: Callable[[], bool]) -> None:
        self._say = say
        self._ready = ready
        proxies = Proxies(())
        bounds = PerAddress(proxies, sessions_max=CONNECTIONS_MAX, connections_max=CONNECTIONS_MAX)
        self._listener = Listener(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                web.get("/status", self._status),
            ],
            CONNECTIONS_MAX,
            bounds,
        )

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port.

        Raises:
            ListenError: the address cannot be listened on.
        """
        return await self._listener.start(host, port)

    async def stop(self) -> None:
        """Close the socket."""
        await self._listener.stop()

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _readyz(self, _request: web.Request) -> web.Response:
        ready = self._ready()
        told = {"status": "ready" if ready else "unavailable"}
        return web.json_response(told, status=200 if ready else 503)

    async def _metrics(self, _request: web.Request) -> web.Response:
        metrics.READY.set(self._ready())
        text = {"Content-Type": "text/plain; version=0.0.4"}
        return web.Response(body=metrics.render(), headers=text)

    async def _status(self, _request: web.Request) -> web.Response:
        said = self._say()
        body = msgspec.json.encode(said[0] if len(said) == 1 else said)
        return web.Response(body=body, content_type="application/json")
