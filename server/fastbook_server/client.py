"""A client of the public endpoint: the one place that speaks the wire from the other side.

The replay and the traders of the demo use it; they are ordinary clients, with no way in of their
own.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import aiohttp
import msgspec

Event = dict[str, Any]
ConnectError = aiohttp.ClientError
"""What ``connect`` raises for a server that is not there or that refused, besides ``OSError``."""


class RefusedError(ConnectError):
    """The server does not let us in; the message is its own."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode

# What a book or an opening frame of a busy market may weigh.
FRAME_BYTES_MAX = 64 * 2**20
HEARTBEAT_S = 20.0
"""A server that has not answered a ping for half of it is gone."""
CLOSE_TIMEOUT_S = 2.0


class ConnectionClosedError(Exception):
    """The server or the network ended the connection; ``code`` is the close code, 1006 if none."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"connection closed with {code}{': ' + reason if reason else ''}")
        self.code = code


class _Socket(aiohttp.ClientWebSocketResponse[Any]):
    """aiohttp's WebSocket that remembers its transport, so that many frames can be one write."""

    def __init__(self, reader: Any, writer: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(reader, writer, *args, **kwargs)
        transport: asyncio.Transport = writer.transport
        self.transport = transport


class Client:
    """An open connection. ``welcome`` is the server's first frame, as it came."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse[Any], welcome: Event) -> None:
        assert isinstance(ws, _Socket), "connect() opens it"
        self._ws = ws
        self.welcome = welcome
        self.user_id: str = welcome["userId"]
        self.resume_token: str = welcome["resumeToken"]

    async def send(self, command: Event) -> None:
        """Send one command, such as ``{"op": "ping"}``; its reply comes among the events.

        Waits while the server does not read.

        Raises:
            ConnectionClosedError: the connection has ended.
        """
        try:
            await self._ws.send_str(_encode(command).decode())
        except ConnectionError as error:
            raise ConnectionClosedError(self._ws.close_code or 1006, str(error)) from None

    def send_many(self, commands: Iterable[bytes]) -> None:
        """Send commands that are JSON bytes already, all in one write; never waits.

        The caller bounds what is in flight. After the connection's end it does nothing: `receive`
        tells of that.
        """
        if not self._ws.transport.is_closing():
            self._ws.transport.write(b"".join(map(masked_text, commands)))

    async def receive(self) -> Event:
        """Return the next frame of the server.

        Raises:
            ConnectionClosedError: there is none any more.
        """
        return _decode(await self.receive_bytes())

    async def receive_bytes(self) -> bytes:
        """Return the next frame of the server as it came; gives way only if none has arrived.

        Raises:
            ConnectionClosedError: there is none any more.
        """
        message = await self._ws.receive()
        if message.type is aiohttp.WSMsgType.TEXT:
            data: bytes = message.data
            return data
        raise ConnectionClosedError(self._ws.close_code or 1006, str(message.extra or ""))

    async def close(self) -> None:
        """Say goodbye."""
        await self._ws.close()


def masked_text(payload: bytes) -> bytes:
    """Return a text frame as a client must send it: masked with a key of its own (RFC 6455, 5.3).

    The mask goes over the payload as one long number, which is several times as fast as byte by
    byte, and fast enough for frames of commands.
    """
    length = len(payload)
    key = random.getrandbits(32).to_bytes(4, "big")
    if length < 126:
        head = bytes((0x81, 0x80 | length))
    elif length < 65_536:
        head = b"\x81\xfe" + length.to_bytes(2, "big")
    else:
        head = b"\x81\xff" + length.to_bytes(8, "big")
    mask = int.from_bytes((key * (length // 4 + 1))[:length], "big")
    return head + key + (int.from_bytes(payload, "big") ^ mask).to_bytes(length, "big")


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
        ConnectError, OSError: there is no such server, or it refused the connection.
        ConnectionClosedError: it ended the connection before it said anything.
    """
    query = _query(security, resume, feed, cancel_on_disconnect)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    async with aiohttp.ClientSession(timeout=timeout, ws_response_class=_Socket) as session:
        try:
            ws = await session.ws_connect(
                url,
                params=query,
                max_msg_size=FRAME_BYTES_MAX,
                decode_text=False,
                compress=0,
                heartbeat=HEARTBEAT_S,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S),
            )
        except aiohttp.WSServerHandshakeError as error:
            why = await _why_refused(session, url, query)
            raise RefusedError(f"refused with HTTP {error.status}: {why}") from None
        async with ws:
            first = await ws.receive()
            if first.type is not aiohttp.WSMsgType.TEXT:
                raise ConnectionClosedError(ws.close_code or 1006, str(first.extra or ""))
            yield Client(ws, _decode(first.data))


async def _why_refused(
    session: aiohttp.ClientSession, url: str, query: Sequence[tuple[str, str]]
) -> str:
    """Return what the server has to say: a plain request is answered as the handshake was."""
    plain = "http" + url.removeprefix("ws")
    async with session.get(plain, params=query) as answer:
        text = await answer.text()
    try:
        return str(_decode(text)["message"])
    except (msgspec.DecodeError, KeyError):
        return text.strip()[:200] or str(answer.reason)


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
