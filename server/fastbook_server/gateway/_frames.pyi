"""WebSocket framing: frames out, and the quick way of frames in."""

import asyncio
from collections.abc import Callable
from typing import final

from aiohttp import web
from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.http_websocket import WebSocketReader

from fastbook_server.gateway.flow import Flow

FRAGMENTS_MAX: int
TAKEN_PER_TURN: int
BYTES_PER_FRAME: int

def frame(first: int, payload: bytes) -> bytes:
    """Return an unmasked frame that begins with the byte `first`: FIN and opcode."""

def text(payload: bytes) -> bytes:
    """Return a text frame, as a server sends it."""

@final
class FrameReader:
    """Follows the frames of a client to their ends, and hands each on as a whole."""

    heard: bool
    """Whether anything has arrived since it was last set to False."""

    def __init__(
        self,
        reader: WebSocketReader,
        queue: WebSocketDataQueue,
        *,
        size_max: int,
        flow: Flow | None = None,
    ) -> None:
        """Stand in for aiohttp's `reader`, which fills `queue`.

        A frame whose payload is larger than `size_max` bytes is not held until it is whole. Frames
        beyond those of one turn wait, if there is a `flow`, until it lets them go on.
        """

    def deliver_to(self, take: Callable[[bytes], bool]) -> None:
        """Hand whole text frames to `take` as they arrive, unless earlier ones wait in the queue.

        `take` gets a payload; if it returns False, the frame goes to the queue.
        """

    def charge_to(self, charge: Callable[[], None]) -> None:
        """Call `charge` for each frame that goes on with a message: nobody else will count it."""

    def forget(self) -> None:
        """Take nothing more; hold neither those who took it nor what they have left."""

    def go_on(self) -> None:
        """Take what was held; a later turn of the loop has come."""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take the bytes that have arrived; return whether no more are wanted, and those left."""

    def feed_eof(self) -> None:
        """Pass on that nothing more will come."""

@final
class FrameStream(asyncio.Protocol):
    """A connection after its handshake: what arrives goes straight to its frames."""

    def __init__(self, handler: web.RequestHandler, frames: FrameReader) -> None:
        """Leave all but the bytes to `handler`."""
