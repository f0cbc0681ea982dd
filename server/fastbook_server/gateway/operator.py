"""What operators ask for: whether the server lives, whether it takes orders, its figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aiohttp import web

from fastbook_server import __version__, metrics
from fastbook_server.channels.order_channel import Matcher
from fastbook_server.gateway.http import page
from fastbook_server.gateway.http.refusal import refusal
from fastbook_server.values.instruments import Instrument
from fastbook_wire.words import PROTOCOL, Code

IN_MEMORY = "kept       in memory: everything is lost when the server stops\n"


class Operator:
    """Answers plain requests about the server itself, and those for paths that do not exist.

    `sessions` returns how many connections are open; `in_memory` says that no database keeps what
    happens.
    """

    def __init__(
        self,
        *,
        instruments: Sequence[Instrument],
        epoch: int,
        matcher: Matcher,
        sessions: Callable[[], int],
        in_memory: bool,
    ) -> None:
        self._securities = ", ".join(i.security for i in instruments)
        self._epoch = epoch
        self._matcher = matcher
        self._sessions = sessions
        self._in_memory = in_memory

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, which include the trading page and a last resort for every path."""
        return [
            *page.routes(self.index),
            web.get("/healthz", self.healthz),
            web.get("/readyz", self.readyz),
            web.get("/metrics", self.metrics),
            web.get("/version", self.version),
            web.get("/{path:.*}", self.nowhere),  # a route with a fixed prefix always comes first
        ]

    async def index(self, request: web.Request) -> web.Response:
        """List the endpoints and the securities."""
        host = request.host.encode(errors="replace").decode()  # it may be any bytes
        ws = f"{'wss' if request.secure else 'ws'}://{host}/ws"
        api = f"{request.scheme}://{host}/api/"
        return web.Response(
            text=f"fastbook {__version__}: an exchange server\n\n"
            f"WebSocket  {ws}\nHTTP       {api}instruments, book, trades, candles, ticker\n"
            f"trading    {self._securities}\n"
            "also       /docs /healthz /readyz /metrics /version\n"
            f"{IN_MEMORY if self._in_memory else ''}"
        )

    async def healthz(self, _request: web.Request) -> web.Response:
        """Say that the process is running."""
        return web.json_response({"status": "ok"})

    async def readyz(self, _request: web.Request) -> web.Response:
        """Say whether orders are taken: 200; or 503 while stopping or without a database."""
        ready = self._matcher.available
        return web.json_response(
            {"status": "ready" if ready else "unavailable"}, status=200 if ready else 503
        )

    async def metrics(self, _request: web.Request) -> web.Response:
        """Return all figures in Prometheus' text format."""
        metrics.SESSIONS.set(self._sessions())
        metrics.UNCOMMITTED.set(self._matcher.uncommitted_commands)
        return web.Response(
            body=metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4"}
        )

    async def version(self, _request: web.Request) -> web.Response:
        """Return the versions of the program and of the wire, the epoch, and what is kept."""
        return web.json_response(
            {
                "version": __version__,
                "protocol": PROTOCOL,
                "epoch": self._epoch,
                "inMemory": self._in_memory,
            }
        )

    async def nowhere(self, request: web.Request) -> web.Response:
        """Say that the path does not exist, and which paths do."""
        paths = "/, /ws, /api, /docs, /healthz, /readyz, /metrics, /version"
        path = request.path[:80].encode(errors="replace").decode()
        return refusal(404, Code.NOT_FOUND, f"expected one of {paths}, got {path!r}")
