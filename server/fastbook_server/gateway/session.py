"""One connection: its frames in, its frames out, its limits; nothing here knows a rule of trading.

Reading: every frame that has arrived is handled without giving way, and each command is matched
before the next is decoded. Writing: frames are collected and written once per turn of the event
loop, and a reader that does not keep up loses books first, then the connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from aiohttp import WSMsgType, web

from fastbook_server import metrics
from fastbook_server.channels.order_channel import OVERLOADED_RETRY_MS, Matcher, Unavailable
from fastbook_server.gateway import decode, encode, rfc6455
from fastbook_server.gateway.decode import ProtocolError
from fastbook_wire.commands import (
    Add,
    Command,
    Delete,
    ExchangeCommand,
    Orders,
    Ping,
    Subscribe,
    Unsubscribe,
)
from fastbook_wire.words import Channel, Code

if TYPE_CHECKING:
    from fastbook_server.gateway.feeds import Feeds
    from fastbook_server.gateway.snapshots import Opening
    from fastbook_server.gateway.users import Users

log = logging.getLogger(__name__)

CLOSE_GOING_AWAY = 1001
CLOSE_UNSUPPORTED_DATA = 1003
CLOSE_INVALID_TEXT = 1007
CLOSE_RESUMED_ELSEWHERE = 4001
CLOSE_SLOW_READER = 4008

FRAMES_PER_TURN = 128
"""Frames that one connection may have handled before it lets the others come."""

CLOSE_TIMEOUT_S = 5.0

READ_CHECK_S = 0.005
"""How often a connection is looked at that has yet to read what it asked for."""


class SessionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of one connection; see the configuration for their meaning."""

    commands_per_second_max: int
    subscriptions_max: int
    outbox_bytes_soft: int
    outbox_bytes_max: int


class RateLimit:
    """A token bucket that holds one second's worth of commands."""

    __slots__ = ("_per_second", "_since", "_tokens")

    def __init__(self, per_second: int, now_s: float) -> None:
        self._per_second = per_second
        self._tokens = float(per_second)
        self._since = now_s

    def take(self, now_s: float) -> int:
        """Take one command; returns 0, or in how many milliseconds there is room for it."""
        tokens = self._tokens + (now_s - self._since) * self._per_second
        self._since = now_s
        self._tokens = min(tokens, self._per_second)
        if self._tokens < 1:
            return 1 + int((1 - self._tokens) * 1_000 / self._per_second)
        self._tokens -= 1
        return 0


class Session:
    """A connected client, from the opened socket to the closed one."""

    def __init__(
        self,
        ws: web.WebSocketResponse,
        transport: asyncio.Transport,
        *,
        security: str,
        matcher: Matcher,
        feeds: Feeds,
        users: Users,
        limits: SessionLimits,
        withdraw_on_close: bool,
        now_ms: Callable[[], int],
    ) -> None:
        self.user_id = ""
        self.security = security
        self._ws = ws
        self._transport = transport
        self._matcher = matcher
        self._feeds = feeds
        self._users = users
        self._limits = limits
        self._withdraw_on_close = withdraw_on_close
        self._now_ms = now_ms
        self._loop = asyncio.get_running_loop()
        self._rate = RateLimit(limits.commands_per_second_max, self._loop.time())
        self._subscriptions: set[tuple[str, Channel]] = set()
        self._outbox: list[bytes] = []
        self._flushing = False
        self._closing = False
        self._abort: asyncio.TimerHandle | None = None

    # ---- out ----------------------------------------------------------------------------------

    def send(self, frame: bytes) -> None:
        """Queue a prebuilt frame; all of one turn of the loop leave in one write."""
        if self._closing:
            return
        self._outbox.append(frame)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def send_state(self, frame: bytes) -> bool:
        """Queue a book or the like unless the reader is behind: the next one says it all."""
        if self._transport.get_write_buffer_size() > self._limits.outbox_bytes_soft:
            return self._closing
        self.send(frame)
        return True

    def _flush(self) -> None:
        self._flushing = False
        if self._closing:
            return
        # What is unsent from earlier turns: one large opening does not make a reader slow.
        if self._transport.get_write_buffer_size() > self._limits.outbox_bytes_max:
            metrics.SLOW_READERS.inc()
            log.info("%s reads too slowly: outbox_bytes_max reached", self.user_id)
            self.close(CLOSE_SLOW_READER, "too slow: outbox_bytes_max reached")
        else:
            self._write_outbox()

    def _write_outbox(self) -> None:
        data = b"".join(self._outbox)
        self._outbox.clear()
        if self._transport.is_closing():
            self._closing = True
        elif data:
            self._transport.write(data)

    def close(self, code: int, reason: str) -> None:
        """Close after what has been queued; a peer that does not answer is cut off."""
        if self._closing:
            return
        self._write_outbox()
        if self._closing:  # the peer was faster
            return
        self._closing = True
        self._transport.write(rfc6455.close(code, reason))
        self._abort = self._loop.call_later(CLOSE_TIMEOUT_S, self._transport.abort)

    def cut_off(self) -> None:
        """End without a word: the peer has had its time to answer a close."""
        self._closing = True
        self._transport.abort()

    def replaced(self) -> None:
        """Close: the user came back on another socket."""
        self.close(CLOSE_RESUMED_ELSEWHERE, "resumed on another connection")

    # ---- in -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Handle frames until the connection ends."""
        handled = 0
        while True:
            message = await self._ws.receive()
            kind = message.type
            if kind is WSMsgType.TEXT:
                if self._closing:
                    continue  # only the peer's close is awaited
                await self._handle(message.data)
                handled += 1
                if handled % FRAMES_PER_TURN == 0:
                    await asyncio.sleep(0)
                while self._matcher.congested and not self._closing:
                    await self._matcher.progress()
            elif kind is WSMsgType.BINARY:
                self.close(CLOSE_UNSUPPORTED_DATA, "expected text frames, got a binary one")
            else:
                if self._closing:  # our close is answered: a browser takes a second one ill
                    self._transport.close()
                return

    def ended(self) -> None:
        """Release everything: the socket is gone."""
        self._closing = True
        if self._abort is not None:
            self._abort.cancel()
        for security, channel in self._subscriptions:
            self._feeds.leave(self, security, channel)
        self._users.disconnect(self.user_id, self)

    def open(self, user_id: str, welcome: bytes, opening: Opening | None) -> None:
        """Send the first frames, in one piece: ``welcome``, then the opening pair if wanted."""
        self.user_id = user_id
        self.send(rfc6455.text(welcome))
        if opening is not None:
            self._join(self.security, opening)

    def _join(self, security: str, opening: Opening | None, channel: Channel = "book") -> None:
        self._subscriptions.add((security, channel))
        self._feeds.join(self, security, opening, channel)

    def list_orders(self) -> None:
        """Send the user's open orders, unasked."""
        self._submit(Orders())

    async def _handle(self, data: bytes) -> None:
        if not data.isascii():
            try:
                data.decode()
            except UnicodeDecodeError:
                self.close(CLOSE_INVALID_TEXT, "expected UTF-8 text")
                return
        try:
            command = decode.decode(data)
        except ProtocolError as error:
            metrics.REFUSED.labels(error.code).inc()
            self._refuse(error.ref, error.code, error.message, of_order=False)
            return
        wait_ms = self._rate.take(self._loop.time())
        if wait_ms:
            limit = self._limits.commands_per_second_max
            self._refuse_command(
                command, Code.RATE_LIMITED, f"commands_per_second_max {limit} reached", wait_ms
            )
        elif isinstance(command, Ping):
            self.send(rfc6455.text(encode.pong(command.ref, self._now_ms())))
        elif isinstance(command, Subscribe):
            await self._subscribe(command)
        elif isinstance(command, Unsubscribe):
            self._unsubscribe(command)
        else:
            if isinstance(command, Add) and command.order.security is None:
                command.order.security = self.security
            self._submit(command)

    def _submit(self, command: ExchangeCommand) -> None:
        try:
            self._matcher.submit(self.user_id, command, withdraw_on_close=self._withdraw_on_close)
        except Unavailable as error:
            self._refuse_command(command, error.code, error.message, error.retry_after_ms)

    async def _subscribe(self, command: Subscribe) -> None:
        security, channel = command.security, command.channel
        if not self._known(command):
            return
        limit, again = self._limits.subscriptions_max, (security, channel) in self._subscriptions
        if not again and len(self._subscriptions) >= limit:
            message = f"subscriptions_max {limit} reached"
            self._refuse_command(command, Code.OVERLOADED, message, OVERLOADED_RETRY_MS)
            return
        if again:
            self._feeds.leave(self, security, channel)  # from the start, as it was asked for
        await self._until_read()
        opening = await self._feeds.opening(security, channel)
        if not self._closing:
            self.send(rfc6455.text(encode.subscribed(command.ref, channel, security)))
            self._join(security, opening, channel)

    async def _until_read(self) -> None:
        """Wait until the peer has read most of what it was sent: first frames may be large.

        A peer that asks for many of them gets one after the other, and holds no more of memory.
        """
        while not (self._closing or self._transport.is_closing()):
            unsent = self._transport.get_write_buffer_size() + sum(map(len, self._outbox))
            if unsent <= self._limits.outbox_bytes_soft:
                return
            await asyncio.sleep(READ_CHECK_S)

    def _unsubscribe(self, command: Unsubscribe) -> None:
        security, channel = command.security, command.channel
        if not self._known(command):
            return
        if (security, channel) in self._subscriptions:
            self._subscriptions.discard((security, channel))
            self._feeds.leave(self, security, channel)
        self.send(rfc6455.text(encode.unsubscribed(command.ref, channel, security)))

    def _known(self, command: Subscribe | Unsubscribe) -> bool:
        if command.security in self._feeds.securities:
            return True
        names = ", ".join(self._feeds.securities[:10])
        message = f"security: expected one of {names}, got {command.security[:40]!r}"
        self._refuse(command.ref, Code.UNKNOWN_SECURITY, message, of_order=False)
        return False

    def _refuse_command(self, command: Command, code: Code, message: str, retry_ms: int) -> None:
        metrics.REFUSED.labels(code).inc()
        of_order = isinstance(command, Add | Delete)
        self._refuse(command.ref, code, message, of_order=of_order, retry_ms=retry_ms)

    def _refuse(
        self,
        ref: str | int | None,
        code: Code,
        message: str,
        *,
        of_order: bool,
        retry_ms: int | None = None,
    ) -> None:
        payload = encode.refusal(ref, code, message, of_order=of_order, retry_after_ms=retry_ms)
        self.send(rfc6455.text(payload))
