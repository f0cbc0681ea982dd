"""The sockets of the dialect: whole text frames in and out, signs of life, and how they end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import cython
import msgspec
from aiohttp import WSMsgType, web
from aiohttp.http_websocket import WebSocketError

from fastbook_server import metrics
from fastbook_server.dialects.binance.topics import MICROSECONDS, MILLISECONDS
from fastbook_server.gateway import closing, handshake, websocket_frames
from fastbook_server.gateway.door import shake_hands
from fastbook_server.gateway.outbox import Outbox, Turn
from fastbook_server.gateway.rate_limit import RateLimit
from fastbook_server.gateway.websocket import WebSocket
from fastbook_server.values.clock import Cancellable, Clock

log = logging.getLogger(__name__)

PING_S = 20.0
SILENT_S_MAX = 60.0
"""A peer from which nothing has come for so long, no pong either, is cut off."""
LIFE_S_MAX = 86_400.0
"""After a day a connection is closed: clients know how to come back."""
CLOSE_TIMEOUT_S = 5.0
"""Time for the peer to answer a close, before the connection is cut."""
SLOW_CLOSE_TIMEOUT_S = 30.0
"""The same for one that was closed because it does not read: it may yet come back."""
POLICY_VIOLATION = 1008
FRAMES_PER_TURN = 64


class SocketLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of one connection; 0 messages per second: no limit."""

    messages_per_second_max: int = 5
    frame_bytes_max: int = 65_536
    outbox_bytes_max: int = 4_194_304


@cython.cclass
class DialectSocket:
    """A connected client. What `run` is told takes each text frame, in the turn it comes in."""

    def __init__(
        self,
        ws: WebSocket,
        transport: asyncio.Transport,
        *,
        clock: Clock,
        turn: Turn,
        limits: SocketLimits,
        scale: int,
        counts_messages: bool,
    ) -> None:
        self.scale = scale
        self._ws = ws
        self._transport = transport
        self._clock = clock
        most = limits.messages_per_second_max if counts_messages else 0
        self._rate = RateLimit(most, clock) if most else None
        self._outbox = Outbox(
            transport,
            ws.drained,
            clock,
            turn=turn,
            bytes_max=limits.outbox_bytes_max,
            on_overflow=self._overflow,
        )
        self._began_s = self._heard_s = clock.time()
        self._heart: Cancellable | None = clock.call_later(PING_S, self._beat)
        self._abort: Cancellable | None = None
        self._take: Callable[[bytes], None] | None = None
        self.closing = False

    # ---- out ----------------------------------------------------------------------------------

    def send(self, frame: bytes) -> None:
        """Queue a frame; all frames of one turn of the loop leave in one write."""
        if not self.closing:
            self._outbox.put(frame)

    def tell(self, said: Any) -> None:
        """Queue a value as JSON."""
        self.send(websocket_frames.text(msgspec.json.encode(said)))

    def shut_down(self, reason: str) -> None:
        """Announce the end, then close."""
        self.tell({"e": "serverShutdown", "E": self._clock.now_ms() * self.scale})
        self.close(closing.GOING_AWAY, reason)

    def close(self, code: int | None, reason: str = "", *, at_once: bool = False) -> None:
        """Send what is queued, then close; a peer that does not answer is cut off."""
        if self.closing:
            return
        self.closing = True
        if not self._transport.is_closing():
            self._outbox.put_last(websocket_frames.close(code, reason), at_once=at_once)
            timeout_s = SLOW_CLOSE_TIMEOUT_S if code == closing.SLOW_READER else CLOSE_TIMEOUT_S
            self._abort = self._clock.call_later(timeout_s, self._transport.abort)

    def cut_off(self) -> None:
        """Cut the connection."""
        self.closing = True
        self._transport.abort()

    def _overflow(self) -> None:
        metrics.SLOW_READERS.inc()
        self._outbox.drop()
        self.close(closing.SLOW_READER, "too slow: outbox_bytes_max reached", at_once=True)

    # ---- in -----------------------------------------------------------------------------------

    async def run(self, take: Callable[[bytes], None]) -> None:
        """Handle frames until the connection ends."""
        self._take = take
        self._ws.deliver_to(self.take)
        handled = 0
        while True:
            message = await self._ws.receive()
            self._heard_s = self._clock.time()
            kind = message.type
            if kind is WSMsgType.TEXT:
                self.take(bytes(message.data))
            elif kind is WSMsgType.PING:
                if self._admits():
                    self.send(websocket_frames.pong(message.data))
            elif kind is WSMsgType.BINARY:
                self.close(closing.UNSUPPORTED_DATA, "expected text frames, got a binary one")
            elif kind is not WSMsgType.PONG:
                self._answer_end(message.data)
                return
            handled += 1
            if handled % FRAMES_PER_TURN == 0:
                await asyncio.sleep(0)

    def take(self, data: bytes) -> bool:
        """Handle a text frame at once; return that it has been."""
        self._heard_s = self._clock.time()
        if self._take is not None and self._admits():
            self._take(data)
        return True

    def _admits(self) -> bool:
        """Return whether a message may be handled; close if they come too fast."""
        if self.closing:
            return False
        if self._rate is not None and self._rate.take():
            self.close(POLICY_VIOLATION, "too many messages per second")
            return False
        return True

    def _answer_end(self, end: object) -> None:
        if isinstance(end, WebSocketError):
            self.close(end.code, str(end), at_once=True)
        elif isinstance(end, int):
            usable = websocket_frames.may_close_with(end) if end else False
            self.close(end if usable else None, at_once=True)
        self._transport.close()

    def _beat(self) -> None:
        """Ping the peer, whatever it sends; cut it off if it has been silent for long."""
        self._heart = None
        now_s = self._clock.time()
        if now_s - self._heard_s >= SILENT_S_MAX:
            self.cut_off()
            return
        if now_s - self._began_s >= LIFE_S_MAX:
            self.shut_down("a day is over")
            return
        self.send(websocket_frames.ping())
        self._heart = self._clock.call_later(PING_S, self._beat)

    def ended(self) -> None:
        """Release everything after the connection has ended."""
        self.closing = True
        self._outbox.stop()
        self._take = None
        for timer in (self._heart, self._abort):
            if timer is not None:
                timer.cancel()


class Sockets:
    """The open sockets of the dialect."""

    def __init__(self, clock: Clock, limits: SocketLimits) -> None:
        self._clock = clock
        self._limits = limits
        self._turn = Turn()
        self._open: set[DialectSocket] = set()
        self._empty = asyncio.Event()
        self._stopping = False

    async def serve(
        self,
        request: web.Request,
        talk: Callable[[DialectSocket], Awaitable[None]],
        *,
        counts_messages: bool = True,
    ) -> web.StreamResponse:
        """Take a handshake, and let `talk` run the connection until it ends.

        With `counts_messages` they are limited: requests have weights instead.
        """
        if self._stopping:
            return refusal(503, "The server is stopping.")
        if handshake.refuse(request) is not None:
            return refusal(400, "Expected a WebSocket handshake.")
        scale = time_scale(request)
        if scale is None:
            return refusal(400, "Expected a timeUnit of MILLISECOND or MICROSECOND.")
        ws = WebSocket(self._limits.frame_bytes_max)
        transport = await shake_hands(ws, request)
        if transport is None:
            return web.Response()
        socket = DialectSocket(
            *(ws, transport),
            clock=self._clock,
            turn=self._turn,
            limits=self._limits,
            scale=scale,
            counts_messages=counts_messages,
        )
        self._open.add(socket)
        try:
            await talk(socket)
        finally:
            socket.ended()
            ws.forget()
            self._open.discard(socket)
            if not self._open:
                self._empty.set()
        return ws

    async def close_all(self, timeout_s: float) -> None:
        """Close every socket; cut off those still open after `timeout_s`."""
        self._stopping = True
        for socket in tuple(self._open):
            socket.shut_down("the server is stopping")
        await self._until_empty(timeout_s)
        for socket in tuple(self._open):
            socket.cut_off()
        await self._until_empty(timeout_s)

    async def _until_empty(self, timeout_s: float) -> None:
        if self._open:
            self._empty.clear()
            waiter = asyncio.ensure_future(self._empty.wait())
            await asyncio.wait((waiter,), timeout=timeout_s)
            waiter.cancel()


_SCALES = {"MILLISECOND": MILLISECONDS, "MICROSECOND": MICROSECONDS}


def time_scale(request: web.Request) -> int | None:
    """Return the scale of the times that a client wants, or None if there is no such unit."""
    named = request.query.get("timeUnit") or request.headers.get("X-MBX-TIME-UNIT")
    return MILLISECONDS if named is None else _SCALES.get(named.upper())


def refusal(status: int, text: str) -> web.Response:
    """Return the answer to a request that opens no socket."""
    body = msgspec.json.encode({"code": -1000, "msg": text})
    return web.Response(status=status, body=body, content_type="application/json")
