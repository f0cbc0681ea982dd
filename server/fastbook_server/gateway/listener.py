"""The listening socket: how many TCP connections there may be, and what each must do to stay."""

from __future__ import annotations

import asyncio
import errno
import logging
import math

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

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


class Listener:
    """Serves an aiohttp application on an address.

    Beyond `connections_max` TCP connections, silent ones included, new ones are cut, so that the
    database always finds a file descriptor. A connection that is no session must keep requests
    coming and read the answers; one that does neither would hold its place for ever.
    """

    def __init__(self, routes: list[web.RouteDef], connections_max: int) -> None:
        self._connections_max = connections_max
        self._deadlines: dict[web.RequestHandler, asyncio.TimerHandle] = {}
        app = web.Application()
        app.add_routes(routes)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            logger=log,
            shutdown_timeout=1.0,
            keepalive_timeout=KEEP_ALIVE_S,
        )
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
        connection = server()
        loop = asyncio.get_running_loop()
        # aiohttp counts a connection one turn of the loop later: a burst must not slip through.
        if len(server.connections) + self._arriving >= self._connections_max:
            loop.call_soon(loop.call_soon, _cut_off, connection)
        else:
            self._arriving += 1
            loop.call_soon(loop.call_soon, self._arrived)
            self._expect_request(connection)
        return connection

    def _arrived(self) -> None:
        self._arriving -= 1

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
            finally:
                self._forget(connection)
                if connection.transport is not None:
                    self._expect_request(connection)

        server.request_handler = watch

    def _expect_request(self, connection: web.RequestHandler, unsent: float = math.inf) -> None:
        """Give a connection its time for a request; `unsent` bytes of the last answer are left."""
        if not self._stopping:
            loop = asyncio.get_running_loop()
            deadline = loop.call_later(REQUEST_S, self._time_is_up, connection, unsent)
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
        unsent = transport.get_write_buffer_size()
        if 0 < unsent < unsent_before:  # it is still reading the last answer
            self._expect_request(connection, unsent)
        else:
            transport.abort()


def _shorten(record: logging.LogRecord) -> bool:
    """Log a request that is not HTTP in one line: its origin and the error say it all."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        wrong = " ".join(error.message.split())
        record.msg, record.args = f"{record.getMessage()}: {wrong[:200]}", ()
        record.exc_info = record.exc_text = None
        record.levelno, record.levelname = logging.INFO, "INFO"
    return True


log.addFilter(_shorten)


def _cut_off(connection: web.RequestHandler) -> None:
    if connection.transport is not None:
        connection.transport.abort()


def _cannot_listen(host: str, port: int, error: OSError) -> ListenError:
    if error.errno == errno.EADDRINUSE:
        return ListenError(
            f"port {port} of {host} is taken: choose another with --port, "
            "or let the system choose with --port 0"
        )
    return ListenError(f"cannot listen on {host}, port {port}: {error.strerror or error}")
