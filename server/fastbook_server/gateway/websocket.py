"""The socket of a session: aiohttp's WebSocket, held to RFC 6455, which leaves closing to us."""

from __future__ import annotations

from typing import Literal

import aiohttp
from aiohttp import WSMsgType, web
from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.http_websocket import WebSocketError, WebSocketReader, WebSocketWriter
from aiohttp.web_protocol import RequestHandler

from fastbook_server.gateway.websocket_frames import PROTOCOL_ERROR

FRAGMENTS_MAX = 256
"""Frames that may make up one message; only whole messages are charged to the rate limit."""

POLICY_VIOLATION = 1008

_EXTENDED = {126: 2, 127: 8}  # bytes of the length that follow the header's second byte
_MASK_KEY = 4

if not (
    {"_message_tail", "_payload_parser"} <= set(RequestHandler.__slots__)
    and hasattr(web.WebSocketResponse, "_post_start")
):
    raise ImportError(
        f"aiohttp {aiohttp.__version__} keeps the reader of a WebSocket elsewhere than 3.14 does"
    )


class WebSocket(web.WebSocketResponse[Literal[False]]):
    """A server's WebSocket; whoever calls ``receive`` sends the close frame and its answer.

    After a frame that RFC 6455 forbids, ``receive`` returns an ERROR that holds a WebSocketError.
    """

    def _post_start(
        self, request: web.BaseRequest, protocol: str | None, writer: WebSocketWriter
    ) -> None:
        connection = request.protocol
        early, connection._message_tail = connection._message_tail, b""
        super()._post_start(request, protocol, writer)
        assert self._parser is not None
        assert self._reader is not None
        checked = connection._payload_parser = FrameCheck(self._parser, self._reader)
        checked.feed_data(early)

    async def drained(self) -> None:
        """Wait until the transport has sent most of what it was given.

        Raises:
            ConnectionError: the connection was lost meanwhile.
        """
        assert self._payload_writer is not None, "prepared"
        await self._payload_writer.drain()

    async def close(self, **_said: object) -> bool:
        """Send no close frame and wait for none, wherever aiohttp would; return False."""
        self._set_closed()
        return False


class FrameCheck:
    """Lets through to aiohttp's reader the frames in which it would miss an error.

    A client masks every frame (5.1), a message begins only after the one before has ended (5.4),
    and it has at most ``FRAGMENTS_MAX`` frames. All else is left to the reader.
    """

    __slots__ = ("_fragments", "_head", "_queue", "_reader", "_skip")

    def __init__(self, reader: WebSocketReader, queue: WebSocketDataQueue) -> None:
        self._reader = reader
        self._queue = queue
        self._head = b""  # of a frame, if its length is still to come
        self._skip = 0  # bytes of the current frame that are still to come
        self._fragments = 0  # of the current message

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take the bytes that have arrived; return whether no more are wanted, and those left."""
        held = len(self._head)
        data = self._head + data if held else data
        at, end = self._skip, len(data)
        while at + 2 <= end:
            first, second = data[at], data[at + 1]
            length = second & 0x7F
            start = at + 2 + _MASK_KEY
            if length >= 126:
                start += _EXTENDED[length]
                if start - _MASK_KEY > end:
                    break
                length = int.from_bytes(data[at + 2 : start - _MASK_KEY], "big")
            wrong = self._wrong(first, masked=second >= 0x80)
            if wrong is not None:
                self._reader.feed_data(data[held:at])
                self._queue.set_exception(wrong)
                return True, b""
            at = start + length
        self._skip = max(at - end, 0)
        self._head = data[at:]
        return self._reader.feed_data(data[held:] if held else data)

    def feed_eof(self) -> None:
        """Pass on that nothing more will come."""
        self._reader.feed_eof()

    def _wrong(self, first: int, *, masked: bool) -> WebSocketError | None:
        if not masked:
            return WebSocketError(PROTOCOL_ERROR, "expected a masked frame, got an unmasked one")
        opcode, is_last = first & 0x0F, first >= 0x80
        if opcode > WSMsgType.BINARY:
            return None
        if opcode != WSMsgType.CONTINUATION and self._fragments:
            return WebSocketError(PROTOCOL_ERROR, "expected a continuation, got a new message")
        self._fragments = 0 if is_last else self._fragments + 1
        if self._fragments >= FRAGMENTS_MAX:
            said = f"expected a message of at most {FRAGMENTS_MAX} frames, got more"
            return WebSocketError(POLICY_VIOLATION, said)
        return None
