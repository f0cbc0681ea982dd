"""The socket of a session: aiohttp's WebSocket, held to RFC 6455, which leaves closing to us."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from aiohttp import web

from fastbook_server.gateway import aiohttp_seam
from fastbook_server.gateway._frames import FrameReader, FrameStream
from fastbook_server.gateway.errors import drop_frames
from fastbook_server.gateway.flow import Flow
from fastbook_wire.words import SUBPROTOCOL

if TYPE_CHECKING:
    from aiohttp.http_websocket import WebSocketWriter

aiohttp_seam.check()


def _is_no_lack_of_overlap(record: logging.LogRecord) -> bool:
    """Leave out aiohttp's warning about each foreign subprotocol: the door counts them."""
    return "Client protocols" not in record.msg


logging.getLogger("aiohttp.websocket").addFilter(_is_no_lack_of_overlap)


class WebSocket(web.WebSocketResponse[Literal[False]]):
    """A server's WebSocket; whoever calls ``receive`` sends the close frame and its answer.

    Messages of up to `message_bytes_max` bytes are taken. After a frame that RFC 6455 forbids,
    ``receive`` returns an ERROR that holds a WebSocketError.
    """

    _frames: FrameReader  # from the handshake on

    def __init__(self, message_bytes_max: int) -> None:
        super().__init__(
            autoclose=False,  # the session closes,
            autoping=False,  # and answers pings, so that it can count them
            compress=False,
            decode_text=False,
            max_msg_size=message_bytes_max + 1,
            protocols=(SUBPROTOCOL,),
        )
        self._message_bytes_max = message_bytes_max

    def _post_start(
        self, request: web.BaseRequest, protocol: str | None, writer: WebSocketWriter
    ) -> None:
        connection = request.protocol
        early, connection._message_tail = connection._message_tail, b""
        super()._post_start(request, protocol, writer)
        assert self._parser is not None
        assert self._reader is not None
        self._frames = FrameReader(
            self._parser, self._reader, size_max=self._message_bytes_max, flow=Flow(connection)
        )
        connection._payload_parser = self._frames
        self._frames.feed_data(early)
        if connection.transport is not None:
            connection.transport.set_protocol(FrameStream(connection, self._frames))

    def deliver_to(self, take: Callable[[bytes], bool]) -> None:
        """Hand text frames to `take` as they arrive; ``receive`` returns those that it refuses."""
        self._frames.deliver_to(take)

    def charge_to(self, charge: Callable[[], None]) -> None:
        """Call `charge` for each frame that goes on with a message."""
        self._frames.charge_to(charge)

    def forget(self) -> None:
        """Take no more frames, and let go of whoever took them: the session has ended.

        Each would hold the other until Python's collector comes, which stops everybody.
        """
        self._frames.forget()
        if self._reader is not None and (error := self._reader.exception()) is not None:
            drop_frames(error)

    def has_heard(self) -> bool:
        """Return whether anything has arrived since the last call."""
        heard, self._frames.heard = self._frames.heard, False
        return heard

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
