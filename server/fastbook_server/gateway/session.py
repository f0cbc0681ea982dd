"""One connection: its frames in, its frames out, its limits, and no rule of trading.

Frames are handled as they arrive, ``FRAMES_PER_TURN`` at a time, and each command is matched before
the next is decoded: most at once (`Session.take`), those that must be waited for, and what follows
them, by `Session.run`. A reader that does not keep up loses states (books and the like) first, then
the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, get_args

from aiohttp import WSMsgType
from aiohttp.http_websocket import WebSocketError

from fastbook_server import metrics
from fastbook_server.channels.order_channel import OVERLOADED_RETRY_MS, Matcher, Unavailable
from fastbook_server.gateway import closing, decode, encode, reports, websocket_frames
from fastbook_server.gateway._frames import BYTES_PER_FRAME, TAKEN_PER_TURN
from fastbook_server.gateway.allowance import Allowance
from fastbook_server.gateway.decode import Array, ProtocolError, Said
from fastbook_server.gateway.http.history_queue import HistoryQueue
from fastbook_server.gateway.lookups import Lookups
from fastbook_server.gateway.outbox import Outbox, Turn
from fastbook_server.gateway.session_limits import SessionLimits
from fastbook_server.values.events import CommandRefused
from fastbook_wire.commands import (
    Add,
    Command,
    ExchangeCommand,
    GetEndedOrders,
    GetFills,
    OfOneOrder,
    Orders,
    Ping,
    Subscribe,
    Unsubscribe,
)
from fastbook_wire.words import Channel, Code

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastbook_server.gateway.feeds import Feeds
    from fastbook_server.gateway.snapshots import Opening
    from fastbook_server.gateway.users import Users
    from fastbook_server.gateway.websocket import WebSocket
    from fastbook_server.values.clock import Cancellable, Clock

log = logging.getLogger(__name__)

_EXCHANGE_COMMANDS = frozenset(get_args(ExchangeCommand))
_OF_ONE_ORDER = frozenset(get_args(OfOneOrder))

_OVERLOADED = Code.OVERLOADED
_refused = metrics.REFUSED.of

FRAMES_PER_TURN = TAKEN_PER_TURN
"""Frames of any kind that one connection may have handled before the others get their turn."""
CLOSE_TIMEOUT_S = 5.0
"""Time for the peer to answer a close, before the connection is cut."""
# A peer that was closed because it does not read may yet come back; one that floods goes on.
_CLOSE_TIMEOUTS_S = {closing.SLOW_READER: 30.0, closing.TOO_MANY_REFUSALS: 1.0}

SILENT_BEATS_MAX = 2
"""Beats of the door's heart after which a silent peer is pinged; at the next one it is cut off."""
READ_CHECK_S = 0.005
"""Interval at which a connection is checked while it has yet to read what it asked for."""


class Session:
    """A connected client, from the handshake until its socket is gone."""

    def __init__(
        self,
        ws: WebSocket,
        transport: asyncio.Transport,
        *,
        security: str,
        matcher: Matcher,
        feeds: Feeds,
        users: Users,
        history: HistoryQueue,
        limits: SessionLimits,
        clock: Clock,
        turn: Turn,
    ) -> None:
        self.user_id = ""
        self.security = security
        self._ws = ws
        self._transport = transport
        self._matcher = matcher
        self._feeds = feeds
        self._users = users
        self._lookups = Lookups(self, matcher, history)
        self._limits = limits
        self._clock = clock
        self._allowance = Allowance(limits, matcher, clock)
        self._subscriptions: set[tuple[str, Channel]] = set()
        self._outbox = Outbox(
            transport,
            ws.drained,
            clock,
            turn=turn,
            bytes_max=limits.outbox_bytes_max,
            on_overflow=self._overflow,
        )
        self._closing = False
        self._abort: Cancellable | None = None
        self._receiving = False  # nothing is being handled
        self._silent_beats = 0
        self._has_submitted = False

    # ---- out ----------------------------------------------------------------------------------

    @property
    def unsent_bytes(self) -> int:
        """How many bytes have yet to be sent."""
        return self._outbox.unsent_bytes

    def send(self, frame: bytes) -> None:
        """Queue a prebuilt frame; all frames of one turn of the loop leave in one write."""
        if not self._closing:
            self._outbox.put(frame)

    def send_later(self, frames: Iterator[bytes], size: int) -> None:
        """Queue frames that are built as they are read; `size` is about their bytes."""
        if not self._closing:
            self._outbox.put_later(frames, size)

    def send_state(self, frame: bytes) -> bool:
        """Queue a state unless the reader is behind; return False if it must be offered again."""
        if self._outbox.backlog_bytes > self._limits.outbox_bytes_soft:
            return self._closing
        self.send(frame)
        return True

    def _overflow(self) -> None:
        metrics.SLOW_READERS.inc()
        log.info("%s reads too slowly: outbox_bytes_max reached", self.user_id)
        self._outbox.drop()
        self._say_close(closing.SLOW_READER, "too slow: outbox_bytes_max reached", at_once=True)

    def close(self, code: int, reason: str) -> None:
        """Send what is queued, then close; a peer that does not answer is cut off."""
        self._say_close(code, reason)

    def _say_close(self, code: int | None, reason: str = "", *, at_once: bool = False) -> None:
        if self._closing:
            return
        self._closing = True
        if not self._transport.is_closing():  # else the peer has closed first
            self._outbox.put_last(websocket_frames.close(code, reason), at_once=at_once)
            timeout_s = _CLOSE_TIMEOUTS_S.get(code or 0, CLOSE_TIMEOUT_S)
            self._abort = self._clock.call_later(timeout_s, self._transport.abort)

    def cut_off(self) -> None:
        """Cut the connection: the peer has not answered a close in time."""
        self._closing = True
        self._transport.abort()

    def replaced(self) -> None:
        """Close: the user has resumed on another connection."""
        self.close(closing.RESUMED_ELSEWHERE, "resumed on another connection")

    # ---- in -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Handle frames until the connection ends."""
        self._ws.deliver_to(self.take)
        handled = 0
        while True:
            self._receiving = True
            message = await self._ws.receive()  # at once while frames are waiting
            self._receiving = False
            kind = message.type
            if kind is WSMsgType.TEXT:
                while self._allowance.must_wait(self.user_id) and not self._closing:
                    await self._matcher.progress()
                data = bytes(message.data)
                if not self._closing and not self._turned_away(data):
                    await self._handle(data)
            elif kind is WSMsgType.PING or kind is WSMsgType.PONG:
                self._handle_control(kind, message.data)
            elif kind is WSMsgType.BINARY:
                self.close(closing.UNSUPPORTED_DATA, "expected text frames, got a binary one")
            else:
                await self._answered(message.data)
                self._answer_end(message.data)
                return
            handled += 1
            if kind is WSMsgType.TEXT:
                handled += len(message.data) // BYTES_PER_FRAME
            if handled >= FRAMES_PER_TURN:
                handled = 0
                await asyncio.sleep(0)

    def take(self, data: bytes) -> bool:
        """Handle a text frame at once; return False if `run` must, which may have to wait."""
        if self._closing:
            return True  # only the peer's close is awaited
        waits = self._allowance.must_wait(self.user_id)  # then only a ping is answered
        if not self._receiving or (waits and b'"ping"' not in data):
            return False
        if self._turned_away(data):
            return True
        said = self._decoded(data)
        # Who subscribes or lists may be sent much at once.
        if type(said) is Subscribe or type(said) is Orders or (waits and type(said) is not Ping):
            return False
        self._handle_now(said)
        return True

    def _turned_away(self, data: bytes) -> bool:
        """Refuse a new order for which there is no room, unread; return whether it was one."""
        ref = self._allowance.turns_away(data)
        if ref is None:
            return False
        _refused[_OVERLOADED] += 1
        self.send(reports.no_room(ref, self._matcher.retry_after_ms()))
        return True

    def charge(self) -> None:
        """Charge to the rate a frame that is no message of its own."""
        if self._allowance.rate.take():
            self._count_refusal()

    def beat(self) -> None:
        """Ping a peer silent for two beats; cut it off at the third, unless it is being closed."""
        if self._closing:
            return
        if self._ws.has_heard():
            self._silent_beats = 0
            return
        self._silent_beats += 1
        if self._silent_beats == SILENT_BEATS_MAX:
            self.send(websocket_frames.ping())
        elif self._silent_beats > SILENT_BEATS_MAX:
            log.debug("%s is silent: cut off", self.user_id)
            self.cut_off()

    def _handle_control(self, kind: WSMsgType, payload: bytes) -> None:
        """Answer a ping, also beyond the rate: the peer would take us for dead."""
        if kind is WSMsgType.PING:
            self.send(websocket_frames.pong(payload))
        self.charge()

    async def _answered(self, end: object) -> None:
        """Let the replies leave to what came before the peer's close, unless they take long."""
        if self._has_submitted and not self._closing and isinstance(end, int):
            with contextlib.suppress(TimeoutError, Unavailable):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._matcher.stored()
                    await asyncio.sleep(0)
                    await self._outbox.emptied()

    def _answer_end(self, end: object) -> None:
        """Close for good: `end` is the code of the peer's close frame, or the peer's error."""
        if isinstance(end, WebSocketError):
            self._say_close(end.code, str(end), at_once=True)
        elif isinstance(end, int):
            code = end or None  # aiohttp's word for a close frame without a code is 0
            reason = ""
            if code is not None and not websocket_frames.may_close_with(code):
                code, reason = websocket_frames.PROTOCOL_ERROR, f"close code {code} is not allowed"
            self._say_close(code, reason, at_once=True)
        self._transport.close()

    def ended(self) -> None:
        """Release everything after the connection has ended."""
        self._closing = True
        self._outbox.stop()
        if self._abort is not None:
            self._abort.cancel()
        self._lookups.stop()
        for security, channel in self._subscriptions:
            self._feeds.leave(self, security, channel)
        self._users.disconnect(self.user_id, self)

    def open(self, user_id: str, welcome: bytes, opening: Opening | None) -> None:
        """Send ``welcome``; given an `opening` pair, join the book of the session's security."""
        self.user_id = user_id
        self.send(websocket_frames.text(welcome))
        if opening is not None:
            self._join(self.security, opening)

    def _join(self, security: str, opening: Opening | None, channel: Channel = "book") -> None:
        self._subscriptions.add((security, channel))
        self._feeds.join(self, security, opening, channel)

    def list_orders(self) -> None:
        """Send the user's open orders without being asked."""
        self._submit((Orders(),))

    async def _handle(self, data: bytes) -> None:
        said = self._decoded(data)
        if not isinstance(said, Subscribe | Orders):
            self._handle_now(said)
        elif self._admits(said):
            if isinstance(said, Subscribe):
                await self._subscribe(said)
            else:
                await self._until_read()  # the list before: each may be large
                self._submit((said,))

    def _decoded(self, data: bytes) -> Said | None:
        """Return what a frame says; after a frame that is no text, close and return None."""
        if not data.isascii():
            try:
                data.decode()
            except UnicodeDecodeError:
                self.close(closing.INVALID_TEXT, "expected UTF-8 text")
                return None
        return decode.said(data)

    def _handle_now(self, said: Said | None) -> None:
        """Handle what need not be waited for."""
        if isinstance(said, list):
            self._handle_array(said)
        elif said is not None and self._admits(said):
            self._handle_command(said)  # type: ignore[arg-type]  # no error was admitted

    def _handle_command(self, command: Command) -> None:
        if type(command) in _EXCHANGE_COMMANDS:
            self._submit((command,))  # type: ignore[arg-type]  # the set holds its types
        elif isinstance(command, Ping):
            self.send(websocket_frames.text(encode.pong(command.ref, self._clock.now_ms())))
        elif isinstance(command, GetFills | GetEndedOrders):
            self._list_past(command)
        else:
            assert isinstance(command, Unsubscribe), "all others must be waited for"
            self._unsubscribe(command)

    def _handle_array(self, said: Array) -> None:
        """Handle each command of an array as if it stood alone, but match them all at once."""
        admitted: list[ExchangeCommand] = []
        for command in said:
            if self._closing:
                break
            if self._admits(command) and not isinstance(command, ProtocolError):
                admitted.append(command)
        if admitted:
            self._submit(tuple(admitted))

    def _admits(self, said: Command | ProtocolError) -> bool:
        """Return whether a command may be handled; else refuse it."""
        against = self._allowance.against(said)
        if against is None:
            return True
        code, message, retry_ms = against
        self._refuse(said, code, message, retry_ms)
        if code is not _OVERLOADED:  # which is not the peer's fault
            self._count_refusal()
        return False

    def _count_refusal(self) -> None:
        """Close if the peer goes on sending what is no command, or more than its rate allows."""
        if self._allowance.refusals.take():
            limit = self._limits.refusals_per_second_max
            self.close(closing.TOO_MANY_REFUSALS, f"refusals_per_second_max {limit} reached")

    def _submit(self, commands: tuple[ExchangeCommand, ...]) -> None:
        for command in commands:
            if type(command) is Add and command.order.security is None:
                command.order.security = self.security
        self._has_submitted = True
        try:
            self._users.announce(self.user_id)
            if len(commands) == 1:
                self._matcher.submit(self.user_id, commands[0])
            else:
                self._matcher.submit(self.user_id, *commands)
        except Unavailable as error:
            for command in commands:
                self._refuse(command, error.code, error.message, error.retry_after_ms)

    def look_up(self, refused: CommandRefused) -> None:
        """Answer a request for an order that the matcher does not remember from the history."""
        self._lookups.order(refused)

    def _list_past(self, command: GetFills | GetEndedOrders) -> None:
        security = self.security if command.security is None else command.security
        if self._known(security, command):
            self._lookups.list(command, self._feeds.instrument(security))

    def answer(self, payload: bytes) -> None:
        """Send the answer to a question about the past."""
        self.send(websocket_frames.text(payload))

    async def _subscribe(self, command: Subscribe) -> None:
        security, channel = command.security, command.channel
        if not self._known(security, command):
            return
        limit, again = self._limits.subscriptions_max, (security, channel) in self._subscriptions
        if not again and len(self._subscriptions) >= limit:
            message = f"subscriptions_max {limit} reached"
            self._refuse(command, Code.OVERLOADED, message, OVERLOADED_RETRY_MS)
            return
        if again:
            self._feeds.leave(self, security, channel)  # start over, as asked
        await self._until_read()
        opening = await self._feeds.opening(security, channel)
        if not self._closing:
            self.send(websocket_frames.text(encode.subscribed(command.ref, channel, security)))
            self._join(security, opening, channel)

    async def _until_read(self) -> None:
        """Wait until the peer has read most of what it was sent: opening frames may be large.

        A peer that subscribes to many channels is sent one opening at a time, so that the unsent
        bytes never exceed one opening by much.
        """
        while not (self._closing or self._transport.is_closing()):
            if self._outbox.unsent_bytes <= self._limits.outbox_bytes_soft:
                return
            await asyncio.sleep(READ_CHECK_S)

    def _unsubscribe(self, command: Unsubscribe) -> None:
        security, channel = command.security, command.channel
        if not self._known(security, command):
            return
        if (security, channel) in self._subscriptions:
            self._subscriptions.discard((security, channel))
            self._feeds.leave(self, security, channel)
        self.send(websocket_frames.text(encode.unsubscribed(command.ref, channel, security)))

    def _known(self, security: str, command: Command) -> bool:
        if security in self._feeds.securities:
            return True
        names = ", ".join(self._feeds.securities[:10])
        message = f"security: expected one of {names}, got {security[:40]!r}"
        self._refuse(command, Code.UNKNOWN_SECURITY, message)
        return False

    def _refuse(
        self, refused: Command | ProtocolError, code: Code, said: str, retry_ms: int | None = None
    ) -> None:
        """Refuse a command, or a frame that is none."""
        of_order = type(refused) in _OF_ONE_ORDER
        told = CommandRefused(self.user_id, refused.ref, code, said, of_order, retry_ms)
        self.send_refusal(told)

    def send_refusal(self, refused: CommandRefused) -> None:
        """Send a refusal; every one that is not the matcher's goes this way and is counted."""
        _refused[refused.code] += 1
        self.send(reports.frame(refused))
