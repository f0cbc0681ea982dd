"""What operators ask for: whether the server lives, whether it takes orders, its figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aiohttp import web

from fastbook_server import __version__, metrics
from fastbook_server.channels.order_channel import Matcher
from fastbook_server.gateway.http import page
from fastbook_server.gateway.http.refusal import refusal
from fastbook_server.gateway.proxies import Proxies
from fastbook_server.store import Upkeep
from fastbook_server.values.instruments import Instrument
from fastbook_wire.words import PROTOCOL, Code

IN_MEMORY = "kept       in memory: everything is lost when the server stops\n"


class Operator:
    """Answers plain requests about the server itself, and those for paths that do not exist.

    `sessions` returns how many connections are open, `draining` whether no more are taken,
    `open_orders` how many orders, and `unsent` how many bytes each connection has yet to be sent;
    `in_memory` says that no database keeps what happens, `leaderboard` that there is one,
    `binance` that it has accounts,
    `needs_token` that commands need the server's token; `upkeep` returns how the work fares that
    the database does by itself.
    """

    def __init__(
        self,
        *,
        instruments: Sequence[Instrument],
        epoch: int,
        matcher: Matcher,
        sessions: Callable[[], int],
        open_orders: Callable[[], int],
        unsent: Callable[[], Sequence[int]],
        proxies: Proxies,
        in_memory: bool,
        leaderboard: bool = False,
        binance: bool = False,
        needs_token: bool = False,
        draining: Callable[[], bool] = lambda: False,
        upkeep: Callable[[], Upkeep] = Upkeep,
    ) -> None:
        self._securities = ", ".join(i.security for i in instruments)
        self._epoch = epoch
        self._matcher = matcher
        self._sessions = sessions
        self._open_orders = open_orders
        self._unsent = unsent
        self._proxies = proxies
        self._draining = draining
        self._upkeep = upkeep
        self._in_memory = in_memory
        self._leaderboard = leaderboard
        self._binance = binance
        self._needs_token = needs_token

    def claimed(self, epoch: int) -> None:
        """Tell of another epoch from now on."""
        self._epoch = epoch

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
        asked = self._proxies.asked(request)
        ws = f"{'wss' if asked.secure else 'ws'}://{asked.shown_host}{asked.prefix}/ws"
        api = f"{asked.url}/api/"
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
        """Say whether orders are taken: 200; or 503 while stopping or without a database.

        Work that the database should do by itself, and does not, is named; orders go on without it.
        """
        ready = self._matcher.available and not self._draining()
        told: dict[str, object] = {"status": "ready" if ready else "unavailable"}
        if failed := [job.name for job in self._upkeep().failed_jobs]:
            told["failedJobs"] = failed
        return web.json_response(told, status=200 if ready else 503)

    async def metrics(self, _request: web.Request) -> web.Response:
        """Return all figures in Prometheus' text format."""
        unsent = self._unsent()
        metrics.SESSIONS.set(self._sessions())
        metrics.UNCOMMITTED.set(self._matcher.uncommitted_commands)
        metrics.READY.set(self._matcher.available)
        metrics.OPEN_ORDERS.set(self._open_orders())
        metrics.OUTBOX_BYTES.set(sum(unsent))
        metrics.OUTBOX_BYTES_LARGEST.set(max(unsent, default=0))
        upkeep = self._upkeep()
        metrics.CANDLES_BEHIND.set(upkeep.candles_behind_s)
        metrics.FAILED_JOBS.clear()
        for job in upkeep.failed_jobs:
            metrics.FAILED_JOBS.labels(job.name).set(1)
        return web.Response(
            body=metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4"}
        )

    async def version(self, _request: web.Request) -> web.Response:
        """Return the versions of the program and of the wire, the epoch, and what there is."""
        about: dict[str, object] = {
            "version": __version__,
            "protocol": PROTOCOL,
            "epoch": self._epoch,
            "inMemory": self._in_memory,
        }
        if self._leaderboard:
            about["leaderboard"] = True
        if self._binance:
            about["binance"] = True
        if self._needs_token:
            about["token"] = True
        return web.json_response(about)

    async def nowhere(self, request: web.Request) -> web.Response:
        """Say that the path does not exist, and which paths do."""
        paths = "/, /ws, /api, /docs, /healthz, /readyz, /metrics, /version"
        path = request.path[:80].encode(errors="replace").decode()
        return refusal(404, Code.NOT_FOUND, f"expected one of {paths}, got {path!r}")
