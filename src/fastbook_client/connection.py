"""A single connection, frame by frame: the low-level interface for latency-sensitive tools.

`dial` opens a connection, `Connection` sends commands and receives frames. Nothing is stored,
conflated or retried. A trading program is better served by `fastbook_client.connect`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import inspect
import os
import random
import socket
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp
import msgspec

from fastbook_client.endpoint import Endpoint
from fastbook_client.errors import ConnectError, ConnectionClosed, Refused
from fastbook_wire.answers import ErrorAnswer
from fastbook_wire.frames import Welcome
from fastbook_wire.words import (
    CANCEL_ON_DISCONNECT_S_MAX,
    RESUME_SUBPROTOCOL,
    SUBPROTOCOL,
    TOKEN_SUBPROTOCOL,
)

Json = dict[str, Any]

# Room for the whole book of a busy market in one frame.
FRAME_BYTES_MAX = 64 * 2**20
HEARTBEAT_S = 20.0
"""Interval of WebSocket pings; a server silent for half of it after one is considered lost."""
OPEN_TIMEOUT_S = 10.0
"""Time limit for connecting, from the first packet to the ``welcome``."""
CLOSE_TIMEOUT_S = 2.0
NO_CLOSE_CODE = 1006

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_decode_welcome = msgspec.json.Decoder(Welcome).decode
_decode_error = msgspec.json.Decoder(ErrorAnswer).decode


if TYPE_CHECKING:
    _Response = aiohttp.ClientWebSocketResponse[Any]
else:
    _Response = aiohttp.ClientWebSocketResponse  # before aiohttp 3.14 it is not generic
_CAN_LEAVE_BYTES = "decode_text" in inspect.signature(aiohttp.ClientSession.ws_connect).parameters
"""Whether aiohttp can hand on text as the bytes that arrived, as it does from 3.14 on."""
_AS_BYTES: dict[str, Any] = {"decode_text": False} if _CAN_LEAVE_BYTES else {}


class _Socket(_Response):
    """aiohttp's WebSocket with its transport exposed, so that many frames can be one write."""

    def __init__(self, reader: Any, writer: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(reader, writer, *args, **kwargs)
        transport: asyncio.Transport = writer.transport
        self.transport = transport


class Connection:
    """An open connection; ``welcome`` is the server's first frame, ``opened_by`` its bytes."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse[Any], opened_by: bytes) -> None:
        assert isinstance(ws, _Socket), "dial() makes connections"
        self._ws = ws
        self.opened_by = opened_by
        self.welcome = _decode_welcome(opened_by)

    @property
    def user_id(self) -> str:
        """The user that this connection acts for."""
        return self.welcome.user_id

    @property
    def resume_token(self) -> str:
        """The secret that lets a later connection resume this user."""
        return self.welcome.resume_token

    @property
    def is_open(self) -> bool:
        """Whether a command sent now can still reach the server."""
        return not self._ws.transport.is_closing()

    async def send(self, command: Any) -> None:
        """Send a command: a struct of `fastbook_wire.commands` or a dict like ``{"op": "ping"}``.

        Waits while the server is not reading. The reply arrives among the other frames.

        Raises:
            ConnectionClosed: the connection has been closed or lost.
        """
        try:
            await self._ws.send_str(_encode(command).decode())
        except ConnectionError as error:
            code = self._ws.close_code or NO_CLOSE_CODE
            raise ConnectionClosed(code, in_plain_words(error)) from None

    def send_many(self, commands: Iterable[bytes]) -> None:
        """Send commands, already encoded as JSON, in a single write; never waits.

        The caller bounds what is in flight. On a closed connection this does nothing; `receive`
        reports the end.
        """
        if not self._ws.transport.is_closing():
            self._ws.transport.write(b"".join(map(masked_text, commands)))

    async def receive(self) -> Json:
        """Return the server's next frame, decoded from JSON.

        Raises:
            ConnectionClosed: the connection has ended; no more frames will arrive.
        """
        return _decode(await self.receive_bytes())

    async def receive_bytes(self) -> bytes:
        """Return the server's next frame as received; suspends only if none has arrived yet.

        Raises:
            ConnectionClosed: the connection has ended; no more frames will arrive.
        """
        message = await self._ws.receive()
        if message.type is aiohttp.WSMsgType.TEXT:
            return _bytes(message.data)
        raise _closed(self._ws, message)

    async def close(self) -> None:
        """Close the connection with a WebSocket close handshake."""
        await self._ws.close()


def _bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def masked_text(payload: bytes) -> bytes:
    """Return a WebSocket text frame, masked with a random key as RFC 6455, 5.3 requires of clients.

    The payload is masked as one large integer, several times faster than byte by byte and fast
    enough for frames of commands.
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
    """Return the HTTP session for `dial` and `Api`; the caller closes it."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=OPEN_TIMEOUT_S)
    return aiohttp.ClientSession(timeout=timeout, ws_response_class=_Socket)


@contextlib.asynccontextmanager
async def dial(
    url: str,
    *,
    security: str | None = None,
    resume: str | None = None,
    feed: bool = True,
    cancel_on_disconnect: bool | int = False,
    token: str | None = None,
    http: aiohttp.ClientSession | None = None,
) -> AsyncIterator[Connection]:
    """Connect to a server; yields the `Connection` once ``welcome`` has arrived.

    `url` is ``ws://HOST:PORT/ws``, ``http://HOST:PORT`` or ``HOST:PORT``. `security` is the default
    of ``add``, and its books and trades arrive unless `feed` is False. `resume` is the token of an
    earlier connection, whose user is resumed. With `cancel_on_disconnect` the server cancels the
    user's orders as soon as the connection ends or, if it is a number, unless the user resumes
    within so many seconds. `token` is the server's, if it wants one for commands.

    Raises:
        ConnectError: the server cannot be reached, or it refused the connection (Refused).
        ConnectionClosed: the server closed the connection before its ``welcome``.
        ValueError: `url` has none of these forms, or `cancel_on_disconnect` is out of range.
    """
    endpoint = Endpoint.parse(url)
    query = _query(security, feed, cancel_on_disconnect)
    offers = subprotocols(resume, token)
    async with contextlib.AsyncExitStack() as stack:
        if http is None:
            http = await stack.enter_async_context(new_http())
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                ws = await stack.enter_async_context(_open(http, endpoint, query, offers))
                first = await ws.receive()
        except TimeoutError:
            raise ConnectError(f"no answer within {OPEN_TIMEOUT_S:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise ConnectError(in_plain_words(error)) from None
        if first.type is not aiohttp.WSMsgType.TEXT:
            raise _closed(ws, first)
        try:
            connection = Connection(ws, _bytes(first.data))
        except msgspec.MsgspecError as error:
            raise ConnectError(f"not a fastbook server: {error}") from None
        yield connection


@contextlib.asynccontextmanager
async def _open(
    http: aiohttp.ClientSession,
    endpoint: Endpoint,
    query: list[tuple[str, str]],
    offers: tuple[str, ...],
) -> AsyncIterator[aiohttp.ClientWebSocketResponse[Any]]:
    try:
        ws = await http.ws_connect(
            endpoint.ws,
            params=query,
            protocols=offers,
            max_msg_size=FRAME_BYTES_MAX,
            **_AS_BYTES,
            compress=0,
            heartbeat=HEARTBEAT_S,
            timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S),
        )
    except aiohttp.WSServerHandshakeError as error:
        # aiohttp hides the body of a refused handshake; a plain GET gets the same answer, readable.
        url = "http" + endpoint.ws.removeprefix("ws")
        headers = {"Sec-WebSocket-Protocol": ", ".join(offers)}
        async with http.get(url, params=query, headers=headers) as answer:
            if answer.status < 400:  # a page, and no door
                raise ConnectError(in_plain_words(error)) from None
            raise refused(error.status, await answer.read(), answer.reason) from None
    async with ws:
        yield ws


def in_plain_words(error: BaseException) -> str:
    """Return why a connection failed, for people: without the words of the libraries below."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        wrong = getattr(error.certificate_error, "verify_message", "") or error.certificate_error
        return f"the certificate of {error.host} is not valid: {wrong}"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return f"{error.host}:{error.port} does not speak TLS: use http:// or ws://"
    if isinstance(error, aiohttp.ClientConnectorDNSError | socket.gaierror):
        host = getattr(error, "host", None)
        return f"there is no host called {host}" if host else "there is no such host"
    if isinstance(error, aiohttp.ClientConnectorError):
        if isinstance(error.os_error, ConnectionRefusedError):
            return f"nothing listens at {error.host}:{error.port}"
        return f"{error.host}:{error.port} cannot be reached: {_of_the_system(error.os_error)}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the server closed the connection"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"the server answered HTTP {error.status}, where a WebSocket was expected"
    if isinstance(error, aiohttp.InvalidURL):
        return f"not an address: {error}"
    return _of_the_system(error) if isinstance(error, OSError) else str(error) or "no answer"


def _of_the_system(error: OSError) -> str:
    """Return what the operating system says of an error, without numbers and brackets."""
    number = error.errno if isinstance(error.errno, int) else 0
    said = error.strerror or str(error) or "no answer"
    if number in errno.errorcode:
        said = os.strerror(number)
    return said[:1].lower() + said[1:]


def refused(status: int, body: bytes, reason: str | None) -> Refused:
    """Return the exception for an HTTP error response."""
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


def check_cancel_on_disconnect(value: bool | int) -> str:
    """Return the value as the query says it.

    Raises:
        ValueError: it is neither a bool nor a number of seconds that the server accepts; 0 could
            be meant as either bool.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if 1 <= value <= CANCEL_ON_DISCONNECT_S_MAX:
        return str(value)
    raise ValueError(
        "cancel_on_disconnect: expected True (at once), False (never) or 1 to "
        f"{CANCEL_ON_DISCONNECT_S_MAX} seconds, got {value!r}"
    )


def subprotocols(resume: str | None, token: str | None) -> tuple[str, ...]:
    """Return the subprotocols to offer: ours, and the secrets, which no address should hold."""
    secrets = ((RESUME_SUBPROTOCOL, resume), (TOKEN_SUBPROTOCOL, token))
    given = (prefix + quote(secret, safe="") for prefix, secret in secrets if secret is not None)
    return (SUBPROTOCOL, *given)


def _query(
    security: str | None, feed: bool, cancel_on_disconnect: bool | int
) -> list[tuple[str, str]]:
    query = []
    if security is not None:
        query.append(("security", security))
    if not feed:
        query.append(("feed", "none"))
    if cancel_on_disconnect is not False:
        query.append(("cancelOnDisconnect", check_cancel_on_disconnect(cancel_on_disconnect)))
    return query
