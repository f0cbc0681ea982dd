"""The listening socket: how many TCP connections there may be, and what each must do to stay."""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import os
import socket
import time
from collections.abc import Mapping
from types import MappingProxyType

from aiohttp import web

from fastbook_server import metrics
from fastbook_server.gateway.http import quiet
from fastbook_server.gateway.http.direct import Direct
from fastbook_server.gateway.http.requests import Requests
from fastbook_server.gateway.per_address import PerAddress
from fastbook_server.gateway.seldom import Seldom

KEEP_ALIVE_S = 5.0
"""A connection is closed if this long after its last answer no head of a request has come."""

REQUEST_S = 10.0
"""A connection has this long to read its last answer and to send the next request's body, too."""

SPARE_CONNECTIONS = 64
"""Connections beyond ``sessions_max``, for health checks and for clients being refused."""

log = logging.getLogger(__name__)


class ListenError(OSError):
    """The server cannot listen on the address; the message says why and what to do."""


async def check_address(host: str, port: int) -> None:
    """Check that the server can listen on an address, before anything costly is done.

    Raises:
        ListenError: it cannot.
    """
    loop = asyncio.get_running_loop()
    try:
        probe = await loop.create_server(asyncio.Protocol, host, port, start_serving=False)
    except OSError as error:
        raise _cannot_listen(host, port, error) from None
    probe.close()
    await probe.wait_closed()


def url_of(host: str, port: int) -> str:
    """Return ``http://HOST:PORT``, as clients are told."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Listener:
    """Serves an aiohttp application on an address.

    Beyond `connections_max` TCP connections, silent ones included, or those that `per_address`
    allows to one client, new ones are cut, so that the database always finds a file descriptor and
    every other client a place. A connection that is no session must keep requests
    coming and read the answers; one that does neither would hold its place for ever.

    `directs` are who answers plain requests directly, by method and path.
    """

    def __init__(
        self,
        routes: list[web.RouteDef],
        connections_max: int,
        per_address: PerAddress,
        directs: Mapping[bytes, Direct] = MappingProxyType({}),
    ) -> None:
        self._directs = directs
        self._connections_max = connections_max
        self._per_address = per_address
        self._seldom = Seldom(log, time.monotonic)
        self._deadlines: dict[web.RequestHandler, asyncio.TimerHandle] = {}
        app = web.Application()
        app.add_routes(routes)
        app.on_response_prepare.append(quiet.prepare)
        self._runner = web.AppRunner(app, access_log=None, logger=log, shutdown_timeout=1.0)
        self._server: asyncio.Server | None = None
        self._arriving = 0
        self._stopping = False

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port.

        Raises:
            ListenError: the address is taken, or not this machine's.
        """
        await self._runner.setup()
        self._watch_requests()
        self._watch_connections()
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._connect, host, port, backlog=1024)
        except OSError as error:
            raise _cannot_listen(host, port, error) from None
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        """Close the socket and the remaining connections."""
        self._stopping = True
        if self._server is not None:
            self._server.close()
        for deadline in self._deadlines.values():
            deadline.cancel()
        await self._runner.cleanup()

    def _connect(self) -> asyncio.Protocol:
        server = self._runner.server
        assert server is not None, "set up before it listens"
        loop = asyncio.get_running_loop()
        connection = Requests(
            server,
            loop=loop,
            access_log=None,
            logger=log,
            keepalive_timeout=KEEP_ALIVE_S,
            seldom=self._seldom,
            directs=self._directs,
            proxies=self._per_address.proxies,
        )
        # aiohttp counts a connection one turn of the loop later: a burst must not slip through.
        if len(server.connections) + self._arriving >= self._connections_max:
            self._note("connections_max", "a connection", self._connections_max)
            loop.call_soon(loop.call_soon, _cut_off, connection)
        else:
            self._arriving += 1
            loop.call_soon(loop.call_soon, self._arrived)
            self._expect_request(connection)
        return connection

    def _note(self, bound: str, who: str, value: int) -> None:
        metrics.CONNECTIONS_REFUSED.labels(bound).inc()
        self._seldom.warn(bound, "%s was cut off: %s %d reached", who, bound, value)

    def _arrived(self) -> None:
        self._arriving -= 1

    def _watch_connections(self) -> None:
        """Wrap how the server counts its connections, so that each address has its bound."""
        server = self._runner.server
        assert server is not None, "set up"
        made, lost = server.connection_made, server.connection_lost

        def count(connection: web.RequestHandler, transport: asyncio.Transport) -> None:
            made(connection, transport)
            if not self._per_address.take(connection, transport):
                address = self._per_address.address(transport)
                self._note("connections_per_address_max", address, self._per_address.bound)
                transport.abort()

        def forget(connection: web.RequestHandler, error: BaseException | None = None) -> None:
            self._per_address.leave(connection)
            lost(connection, error)

        # aiohttp has no hook for connections that ask nothing: these two are what it calls of each.
        server.connection_made = count  # type: ignore[method-assign, assignment]
        server.connection_lost = forget  # type: ignore[method-assign, assignment]

    def _watch_requests(self) -> None:
        """Wrap the request handler; a middleware would keep aiohttp from forgetting the app."""
        server = self._runner.server
        assert server is not None, "set up"
        handle = server.request_handler

        async def watch(request: web.BaseRequest) -> web.StreamResponse:
            connection = request.protocol
            deadline = self._deadlines.get(connection)
            if deadline is not None:
                request.content.on_eof(deadline.cancel)  # at once if there is no body
            try:
                return await handle(request)
            except web.HTTPException as error:
                return quiet.refused(request, error)
            finally:
                self._forget(connection)
                if connection.transport is not None:
                    self._expect_request(connection)

        server.request_handler = watch

    def _expect_request(
        self, connection: web.RequestHandler, unsent: float = math.inf, used_s: float = 0.0
    ) -> None:
        """Give a connection its time for a request, of which it has used some.

        `unsent` bytes of the last answer are left.
        """
        if not self._stopping:
            loop = asyncio.get_running_loop()
            left_s = REQUEST_S - used_s
            deadline = loop.call_later(left_s, self._time_is_up, connection, unsent)
            self._deadlines[connection] = deadline

    def _forget(self, connection: web.RequestHandler) -> None:
        deadline = self._deadlines.pop(connection, None)
        if deadline is not None:
            deadline.cancel()

    def _time_is_up(self, connection: web.RequestHandler, unsent_before: float) -> None:
        del self._deadlines[connection]
        transport = connection.transport
        if transport is None:  # gone already
            return
        idle_s = connection.idle_s() if isinstance(connection, Requests) else math.inf
        if idle_s < REQUEST_S:  # it has asked directly
            self._expect_request(connection, used_s=idle_s)
            return
        unsent = transport.get_write_buffer_size()
        if 0 < unsent < unsent_before:  # it is still reading the last answer
            self._expect_request(connection, unsent)
        else:
            transport.abort()


def _cut_off(connection: web.RequestHandler) -> None:
    if connection.transport is not None:
        connection.transport.abort()


def _cannot_listen(host: str, port: int, error: OSError) -> ListenError:
    if error.errno == errno.EADDRINUSE:
        return ListenError(
            f"port {port} of {host} is taken: choose another with --port, "
            "or let the system choose with --port 0"
        )
    if isinstance(error.errno, int) and error.errno in errno.errorcode:
        wrong = os.strerror(error.errno)  # uvloop and asyncio say more, each in its own words
    else:
        wrong = error.strerror or str(error)
    if error.errno in (errno.EADDRNOTAVAIL, socket.EAI_NONAME):
        wrong = f"{wrong} (expected an address of this machine, or 0.0.0.0 for all of them)"
    if error.errno == errno.EACCES:
        wrong = f"{wrong} (ports below 1024 need privileges; choose another with --port)"
    return ListenError(f"cannot listen on {host}, port {port}: {wrong}")
