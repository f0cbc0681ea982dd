"""One connection, frame by frame: the low level, for tools that count every microsecond.

`dial` opens it, `Connection` sends commands and receives frames; nothing is remembered, conflated
or tried again. `fastbook_client.connect` gives what a trading program wants.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterable
from typing import Any

import aiohttp
import msgspec

from fastbook_client.endpoint import Endpoint
from fastbook_client.errors import ConnectError, ConnectionClosed, Refused
from fastbook_wire.answers import ErrorAnswer
from fastbook_wire.frames import Welcome

Json = dict[str, Any]

# What a book or an opening frame of a busy market may weigh.
FRAME_BYTES_MAX = 64 * 2**20
HEARTBEAT_S = 20.0
"""A server that has not answered a ping for half of it is gone."""
OPEN_TIMEOUT_S = 10.0
"""How long a server may take from the first packet to its ``welcome``."""
CLOSE_TIMEOUT_S = 2.0
NO_CLOSE_CODE = 1006

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_decode_welcome = msgspec.json.Decoder(Welcome).decode
_decode_error = msgspec.json.Decoder(ErrorAnswer).decode


class _Socket(aiohttp.ClientWebSocketResponse[Any]):
    """aiohttp's WebSocket that remembers its transport, so that many frames can be one write."""

    def __init__(self, reader: Any, writer: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(reader, writer, *args, **kwargs)
        transport: asyncio.Transport = writer.transport
        self.transport = transport


class Connection:
    """An open connection. ``welcome`` is the server's first frame, ``opened_by`` its bytes."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse[Any], opened_by: bytes) -> None:
        assert isinstance(ws, _Socket), "dial() opens it"
        self._ws = ws
        self.opened_by = opened_by
        self.welcome = _decode_welcome(opened_by)

    @property
    def user_id(self) -> str:
        """The user that this connection acts for."""
        return self.welcome.user_id

    @property
    def resume_token(self) -> str:
        """The secret with which a later connection can be the same user."""
        return self.welcome.resume_token

    @property
    def is_open(self) -> bool:
        """Whether what is sent now may still reach the server."""
        return not self._ws.transport.is_closing()

    async def send(self, command: Any) -> None:
        """Send one command: a struct of ``wire.commands``, or a dict such as ``{"op": "ping"}``.

        Its reply comes among the frames. Waits while the server does not read.

        Raises:
            ConnectionClosed: the connection has ended.
        """
        try:
            await self._ws.send_str(_encode(command).decode())
        except ConnectionError as error:
            raise ConnectionClosed(self._ws.close_code or NO_CLOSE_CODE, str(error)) from None

    def send_many(self, commands: Iterable[bytes]) -> None:
        """Send commands that are JSON bytes already, all in one write; never waits.

        The caller bounds what is in flight. After the connection's end it does nothing: `receive`
        tells of that.
        """
        if not self._ws.transport.is_closing():
            self._ws.transport.write(b"".join(map(masked_text, commands)))

    async def receive(self) -> Json:
        """Return the next frame of the server, decoded.

        Raises:
            ConnectionClosed: there is none any more.
        """
        return _decode(await self.receive_bytes())

    async def receive_bytes(self) -> bytes:
        """Return the next frame of the server as it came; gives way only if none has arrived.

        Raises:
            ConnectionClosed: there is none any more.
        """
        message = await self._ws.receive()
        if message.type is aiohttp.WSMsgType.TEXT:
            data: bytes = message.data
            return data
        raise _closed(self._ws, message)

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


def new_http() -> aiohttp.ClientSession:
    """Return what connections are dialled and requests are made with; the caller closes it."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=OPEN_TIMEOUT_S)
    return aiohttp.ClientSession(timeout=timeout, ws_response_class=_Socket)


@contextlib.asynccontextmanager
async def dial(
    url: str,
    *,
    security: str | None = None,
    resume: str | None = None,
    feed: bool = True,
    cancel_on_disconnect: bool = False,
    http: aiohttp.ClientSession | None = None,
) -> AsyncIterator[Connection]:
    """Connect to a server; yields when it has said who we are.

    `url` is ``ws://HOST:PORT/ws``, ``http://HOST:PORT`` or ``HOST:PORT``. Without `feed` no public
    frames come. `resume` is the token of an earlier connection.

    Raises:
        ConnectError: there is no such server, or (Refused) it does not let us in.
        ConnectionClosed: it ended the connection before it said anything.
        ValueError: `url` is none.
    """
    endpoint = Endpoint.parse(url)
    query = _query(security, resume, feed, cancel_on_disconnect)
    async with contextlib.AsyncExitStack() as stack:
        if http is None:
            http = await stack.enter_async_context(new_http())
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                ws = await stack.enter_async_context(_open(http, endpoint, query))
                first = await ws.receive()
        except TimeoutError:
            raise ConnectError(f"no answer within {OPEN_TIMEOUT_S:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise ConnectError(str(error) or type(error).__name__) from None
        if first.type is not aiohttp.WSMsgType.TEXT:
            raise _closed(ws, first)
        try:
            connection = Connection(ws, first.data)
        except msgspec.MsgspecError as error:
            raise ConnectError(f"that is no fastbook server: {error}") from None
        yield connection


@contextlib.asynccontextmanager
async def _open(
    http: aiohttp.ClientSession, endpoint: Endpoint, query: list[tuple[str, str]]
) -> AsyncIterator[aiohttp.ClientWebSocketResponse[Any]]:
    try:
        ws = await http.ws_connect(
            endpoint.ws,
            params=query,
            max_msg_size=FRAME_BYTES_MAX,
            decode_text=False,
            compress=0,
            heartbeat=HEARTBEAT_S,
            timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S),
        )
    except aiohttp.WSServerHandshakeError as error:
        # A plain request is answered as the handshake was, and its answer can be read.
        async with http.get("http" + endpoint.ws.removeprefix("ws"), params=query) as answer:
            raise refused(error.status, await answer.read(), answer.reason) from None
    async with ws:
        yield ws


def refused(status: int, body: bytes, reason: str | None) -> Refused:
    """Return what an HTTP answer that is no success says."""
    try:
        error = _decode_error(body)
    except msgspec.MsgspecError:
        text = body[:200].decode(errors="replace").strip()
        return Refused(status, text or reason or "no reason given")
    return Refused(status, error.message, error.code, error.parameter)


def _closed(
    ws: aiohttp.ClientWebSocketResponse[Any], message: aiohttp.WSMessage
) -> ConnectionClosed:
    reason = message.extra or (message.data if isinstance(message.data, Exception) else "")
    return ConnectionClosed(ws.close_code or NO_CLOSE_CODE, str(reason or ""))


def _query(
    security: str | None, resume: str | None, feed: bool, cancel_on_disconnect: bool
) -> list[tuple[str, str]]:
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
