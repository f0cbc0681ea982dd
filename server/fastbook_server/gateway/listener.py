"""The listening socket: who may hold a TCP connection open before a word has been said."""

from __future__ import annotations

import asyncio
import errno
import logging

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

FIRST_REQUEST_S = 10.0
"""A connection that has sent no whole request by then is cut off."""

SPARE_CONNECTIONS = 64
"""Connections beyond ``sessions_max``, for health checks and for those that are being refused."""


log = logging.getLogger(__name__)


class ListenError(OSError):
    """The address cannot be listened on; the message says why and what to do."""


async def check_address(host: str, port: int) -> None:
    """Find out whether an address can be listened on, before anything costly is done.

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

    Above `connections_max` TCP connections, silent ones included, further ones are dropped, so
    that there are always files left for the database.
    """

    def __init__(self, routes: list[web.RouteDef], connections_max: int) -> None:
        self._connections_max = connections_max
        self._silent: dict[web.RequestHandler, asyncio.TimerHandle] = {}
        app = web.Application()
        app.add_routes(routes)
        self._runner = web.AppRunner(app, access_log=None, logger=log, shutdown_timeout=1.0)
        self._server: asyncio.Server | None = None
        self._arriving = 0

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port.

        Raises:
            ListenError: the address is taken or is not ours.
        """
        await self._runner.setup()
        self._note_requests()
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._connect, host, port, backlog=1024)
        except OSError as error:
            raise _cannot_listen(host, port, error) from None
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        """Close the socket and what is still connected."""
        if self._server is not None:
            self._server.close()
        for timer in self._silent.values():
            timer.cancel()
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
            self._silent[connection] = loop.call_later(FIRST_REQUEST_S, self._give_up, connection)
        return connection

    def _arrived(self) -> None:
        self._arriving -= 1

    def _note_requests(self) -> None:
        """Have every request noted: not by a middleware, for aiohttp would never forget the app."""
        server = self._runner.server
        assert server is not None, "set up"
        handle = server.request_handler

        async def note(request: web.BaseRequest) -> web.StreamResponse:
            timer = self._silent.pop(request.protocol, None)
            if timer is not None:
                timer.cancel()
            return await handle(request)

        server.request_handler = note

    def _give_up(self, connection: web.RequestHandler) -> None:
        del self._silent[connection]
        _cut_off(connection)


def _shorten(record: logging.LogRecord) -> bool:
    """Make one line of what is no HTTP: where it came from and what was wrong say it all."""
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
            f"port {port} of {host} is taken: name another with --port, "
            "or let the system choose with --port 0"
        )
    return ListenError(f"cannot listen on {host}, port {port}: {error.strerror or error}")
