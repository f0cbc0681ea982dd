"""A client of the public endpoint: the one place that speaks the wire from the other side.

The replay and the traders of the demo use it; they are ordinary clients, with no way in of their
own.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiohttp
import msgspec

Event = dict[str, Any]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode

# What a book or an opening frame of a busy market may weigh.
FRAME_BYTES_MAX = 64 * 2**20


class ConnectionClosedError(Exception):
    """The server or the network ended the connection; ``code`` is the close code, 1006 if none."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"connection closed with {code}{': ' + reason if reason else ''}")
        self.code = code


class Client:
    """An open connection. ``welcome`` is the server's first frame, as it came."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse[Any], welcome: Event) -> None:
        self._ws = ws
        self.welcome = welcome
        self.user_id: str = welcome["userId"]
        self.resume_token: str = welcome["resumeToken"]

    async def send(self, command: Event) -> None:
        """Send one command, such as ``{"op": "ping"}``; its reply comes among the events.

        Raises:
            ConnectionClosedError: the connection has ended.
        """
        try:
            await self._ws.send_str(_encode(command).decode())
        except ConnectionError as error:
            raise ConnectionClosedError(self._ws.close_code or 1006, str(error)) from None

    async def receive(self) -> Event:
        """Return the next frame of the server.

        Raises:
            ConnectionClosedError: there is none any more.
        """
        message = await self._ws.receive()
        if message.type is aiohttp.WSMsgType.TEXT:
            return _decode(message.data)
        raise ConnectionClosedError(self._ws.close_code or 1006, str(message.extra or ""))

    async def close(self) -> None:
        """Say goodbye."""
        await self._ws.close()


@contextlib.asynccontextmanager
async def connect(
    url: str,
    *,
    security: str | None = None,
    resume: str | None = None,
    feed: bool = True,
    cancel_on_disconnect: bool = False,
) -> AsyncIterator[Client]:
    """Connect to ``ws://HOST:PORT/ws``; yields when the server has said who we are.

    Without `feed` no public frames come. `resume` is the token of an earlier connection.

    Raises:
        aiohttp.ClientError, OSError: there is no such server, or it refused the connection.
    """
    query = _query(security, resume, feed, cancel_on_disconnect)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.ws_connect(
            url, params=query, max_msg_size=FRAME_BYTES_MAX, decode_text=False, compress=0
        ) as ws,
    ):
        first = await ws.receive()
        if first.type is not aiohttp.WSMsgType.TEXT:
            raise ConnectionClosedError(ws.close_code or 1006, str(first.extra or ""))
        yield Client(ws, _decode(first.data))


def _query(
    security: str | None, resume: str | None, feed: bool, cancel_on_disconnect: bool
) -> Sequence[tuple[str, str]]:
    query = []
    if security is not None:
        query.append(("security", security))
    if resume is not None:
        query.append(("resume", resume))
    if not feed:
        query.append(("feed", "none"))
    if cancel_on_disconnect:
        query.append(("cancelOnDisconnect", "true"))
    return query
