"""What outlives a connection: the user, the subscriptions and the commands that await a reply.

`Link.run` stays connected, dispatches each frame and reconnects after a loss.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct

from fastbook_client.api import PATIENCE, Api
from fastbook_client.backoff import Backoff
from fastbook_client.connection import Connection, dial, new_http
from fastbook_client.endpoint import Endpoint
from fastbook_client.errors import (
    ConnectError,
    ConnectionClosed,
    FastbookError,
    NotConnected,
    Unanswered,
)
from fastbook_client.events import Disconnected
from fastbook_client.mailbox import Mailbox
from fastbook_client.options import Options
from fastbook_client.pages import OrderPages
from fastbook_client.reconcile import OwnEvents, Steps
from fastbook_client.replies import Asked, OnReply, Waiting, outcome_of, retry_delay_s
from fastbook_client.servers import Servers
from fastbook_client.subscriptions import Subscriptions
from fastbook_wire.commands import Ping, Subscribe, Unsubscribe
from fastbook_wire.frames import (
    FRAMES,
    Error,
    Fill,
    OrderFrame,
    OrdersFrame,
    Pong,
    PrivateFrame,
    ServerFrame,
    Subscribed,
    Unsubscribed,
    Welcome,
)
from fastbook_wire.words import Channel

BAD_FRAME = 1002
BOOK_PATIENCE = Backoff()
HELD_MAX_LEAST = 1_000
"""Own fills and orders held back while reconciling, unless ``queue_max`` is larger."""
FRAMES_PER_TURN = 64
"""Frames handled in a row before the program's own tasks get a turn."""

_PRIVATE = PrivateFrame.__args__
_EVENTS = {frame.__struct_config__.tag for frame in FRAMES}

_encode = msgspec.json.Encoder().encode
_decode: Callable[[bytes], ServerFrame] = msgspec.json.Decoder(ServerFrame).decode

Subscription = tuple[Channel, str]


class _OnlyEvent(Struct):
    event: str


class Link:
    """One user's link to a market, over as many connections as it takes.

    ``endpoint`` is the server in use or, without a connection, the latest.
    """

    def __init__(
        self, endpoints: Sequence[Endpoint], options: Options, http: aiohttp.ClientSession
    ) -> None:
        self._servers = Servers(endpoints, options.reconnect)
        self.endpoint = endpoint = self._servers.current
        self.api = Api(http, endpoint.http, _http_backoff(options.reconnect))
        self.mailbox = Mailbox(options.queue_max)
        # No retries here: `Subscriptions` fetches missed trades for as long as it is connected.
        self._history = Api(http, endpoint.http, Backoff(attempts_max=0))
        self.feeds = Subscriptions(
            self.mailbox,
            self._history,
            self._refetch_book,
            self._give_up,
            self._ask_time,
            checksums_missed_max=options.checksums_missed_max,
        )
        self.welcome: Welcome | None = None
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the first connection is open or has failed."""
        self.follows: dict[Subscription, None] = {}
        self._options = options
        self._http = http
        self._connection: Connection | None = None
        self._ended: FastbookError | None = None
        self._pages = OrderPages()
        self._own = OwnEvents(
            self.mailbox.put,
            max(HELD_MAX_LEAST, options.queue_max),
            resumes=options.resume is not None,
            fills_since=options.fills_since,
        )
        self._pending: dict[int, tuple[Any, OnReply]] = {}
        self._refs = itertools.count(1)
        self._timers: set[asyncio.TimerHandle] = set()
        self._was_listed = False  # an orders frame came unrequested: the user was resumed
        self._failure: Exception | None = None

    # ---- commands -----------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether commands can be sent."""
        return self._connection is not None and self._connection.is_open

    async def request(self, command: Any) -> Any:
        """Send a command; return its reply.

        Raises:
            Rejected: the server refused the command.
            Unanswered: the connection was lost before the reply.
            NotConnected: the client is reconnecting; nothing was sent.
            ConnectionClosed: the connection has ended for good; nothing was sent.
        """
        (reply,) = await self.request_all((command,))
        if isinstance(reply, FastbookError):
            raise reply
        return reply

    async def request_all(self, commands: Sequence[Any]) -> list[Any]:
        """Send commands in one frame; return each one's reply, or what `request` would raise.

        Raises:
            NotConnected, ConnectionClosed: nothing was sent.
        """
        if self._ended is not None:
            raise self._ended
        if not self.is_connected:
            raise NotConnected
        waits = [Waiting(self.mailbox) for _ in commands]
        refs = self._send(*((c, w.on_reply) for c, w in zip(commands, waits, strict=True)))
        try:
            replies = [await waiting.future for waiting in waits]
        except asyncio.CancelledError:
            for waiting in waits:
                waiting.abandon()
            raise
        finally:
            for ref in refs:
                self._pending.pop(ref, None)
        return [outcome_of(c, reply) for c, reply in zip(commands, replies, strict=True)]

    def _send(self, *commands: tuple[Any, OnReply]) -> list[int]:
        """Send commands in one frame; return their refs."""
        assert self._connection is not None
        for command, on_reply in commands:
            command.ref = next(self._refs)
            self._pending[command.ref] = command, on_reply
            self._own.sent(command)
        payloads = [_encode(command) for command, _ in commands]
        frame = payloads[0] if len(payloads) == 1 else b"[" + b",".join(payloads) + b"]"
        self._connection.send_many((frame,))  # `_read` notices a loss
        return [command.ref for command, _ in commands]

    async def follow(self, channel: Channel, security: str) -> None:
        """Subscribe, and subscribe again after each reconnect, until `unfollow`."""
        command = Subscribe(channel=channel, security=security)
        await self.request(command)
        if channel != "depth":
            return
        if not self.is_connected or not await self.feeds.until_synced(security):
            raise Unanswered(command)

    async def unfollow(self, channel: Channel, security: str) -> None:
        """Unsubscribe."""
        await self.request(Unsubscribe(channel=channel, security=security))

    # ---- the connection -----------------------------------------------------------------------

    async def run(self) -> None:
        """Stay connected until cancelled or until another attempt would be pointless."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                opened_s = None
                try:
                    async with self._dial() as connection:
                        opened_s = loop.time()
                        self._open(connection)
                        await self._read(connection)
                except (ConnectError, ConnectionClosed) as error:
                    lived_s = None if opened_s is None else loop.time() - opened_s
                    lost = self._servers.failed(error, lived_s)
                    self._lost()
                    if lost.delay_s is None:
                        self._end(lost.error)
                        return
                    if self.welcome is not None:
                        self.mailbox.put(Disconnected(lost.why, lost.delay_s))
                    await asyncio.sleep(lost.delay_s)
        except FastbookError as error:  # TooSlow, by an event about the connection itself
            self._end(error)
        except Exception as error:  # a bug of ours, which must not pass for a regular end
            self._end(FastbookError(f"internal error of the client: {error!r}"))
            raise
        finally:
            self._end(None)

    def _dial(self) -> contextlib.AbstractAsyncContextManager[Connection]:
        options, welcome = self._options, self.welcome
        default = None if welcome is None else ("book", welcome.security)
        return dial(
            self._servers.current.ws,
            security=options.security,
            resume=options.resume if welcome is None else welcome.resume_token,
            feed=options.feed if default is None else default in self.follows,
            cancel_on_disconnect=options.cancel_on_disconnect,
            token=options.token,
            http=self._http,
        )

    def _open(self, connection: Connection) -> None:
        before, self.welcome = self.welcome, connection.welcome
        self._connection = connection
        self.endpoint = self._servers.current
        self.api.base = self._history.base = self.endpoint.http
        self._was_listed = False
        self._pages = OrderPages()
        self.feeds.connected(connection.welcome.instruments)
        default: Subscription = ("book", connection.welcome.security)
        if before is None and self._options.feed:
            self.follows[default] = None
        for subscription in self.follows:
            if subscription != default:
                self._resubscribe(subscription)
        if before is not None or self._options.resume is not None:
            self._reconcile(None if before is None else before.user_id)
        if not self.opened.done():
            self.opened.set_result(None)

    async def _read(self, connection: Connection) -> None:
        number = 0
        while True:
            try:
                payload = await connection.receive_bytes()
            except ConnectionClosed as closed:
                raise self._failure or closed from None
            try:
                frame = _decode(payload)
            except msgspec.MsgspecError as error:
                self._check_unknown(payload, error)
                continue
            self._handle(frame)
            number += 1
            if number % FRAMES_PER_TURN == 0:
                await asyncio.sleep(0)

    def _handle(self, frame: ServerFrame) -> None:
        if not isinstance(frame, _PRIVATE):
            if not isinstance(frame, Welcome):
                self.feeds.handle(frame)  # type: ignore[arg-type]
            return
        if isinstance(frame, Fill):
            self._own.handle(frame)
            return
        if isinstance(frame, Subscribed):
            self.follows[frame.channel, frame.security] = None
            self.feeds.subscribed(frame.channel, frame.security)
        elif isinstance(frame, Unsubscribed):
            self.follows.pop((frame.channel, frame.security), None)
            self.feeds.unsubscribed(frame.channel, frame.security)
        elif isinstance(frame, OrdersFrame):
            whole = self._pages.joined(frame)
            if whole is None:
                return
            frame = whole
        pending = self._pending.pop(frame.ref, None) if isinstance(frame.ref, int) else None
        if pending is not None:
            command, on_reply = pending
            self._own.replied(command, frame)
            on_reply(frame)
        elif isinstance(frame, OrdersFrame) and frame.ref is None:
            self._was_listed = True
        elif isinstance(frame, OrderFrame):
            self._own.handle(frame)
        else:
            self.mailbox.put(frame)

    def _check_unknown(self, payload: bytes, error: Exception) -> None:
        """Accept a frame of an unknown kind, as a newer server may send; raise for any other."""
        with contextlib.suppress(msgspec.MsgspecError):
            if msgspec.json.decode(payload, type=_OnlyEvent).event not in _EVENTS:
                return
        raise ConnectionClosed(BAD_FRAME, f"the server sent a malformed frame: {error}")

    # ---- after a loss -------------------------------------------------------------------------

    def _lost(self) -> None:
        """Inform every waiting caller."""
        self._connection = None
        self.feeds.disconnected()
        self._own.disconnected()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        waiting, self._pending = self._pending, {}
        for _, on_reply in waiting.values():
            on_reply(None)

    def _end(self, error: FastbookError | None) -> None:
        if self._ended is None:
            self._lost()
            if not self.opened.done():
                self.opened.set_exception(error or ConnectionClosed(1000, "closed"))
                self.opened.exception()  # retrieved, because perhaps nobody awaits it
            if isinstance(error, ConnectError):
                error = ConnectionClosed(1006, str(error))
            self._ended = error or ConnectionClosed(1000, "closed by the client")
            self.mailbox.end(error)

    def _give_up(self, error: Exception) -> None:
        """End the link after an error outside `_read`, which then raises it."""
        self._failure = error
        if self._connection is not None:
            closing = asyncio.ensure_future(self._connection.close())
            closing.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _reconcile(self, old_user_id: str | None) -> None:
        """Tell what was missed, and `Resynced`, once the server has answered."""
        assert self.welcome is not None
        user_id = self.welcome.user_id
        if old_user_id not in (None, user_id):
            self._own.forget()

        def is_same() -> bool:
            return self._was_listed if old_user_id is None else user_id == old_user_id

        self._go_on(self._own.reconcile(user_id, self.welcome.instruments, is_same))

    def _go_on(self, steps: Steps[None], replies: list[PrivateFrame] | None = None) -> None:
        """Send the next commands; what the server puts off is sent again when it says."""
        try:
            commands = steps.send(replies)  # type: ignore[arg-type]  # the first is None
        except StopIteration:
            return
        Asked(commands, self._send, self._later, lambda replies: self._go_on(steps, replies)).send()

    def _resubscribe(self, subscription: Subscription) -> None:
        channel, security = subscription

        def on_reply(frame: PrivateFrame | None) -> None:
            if isinstance(frame, Error) and subscription in self.follows:
                if frame.retry_after_ms is None:
                    del self.follows[subscription]
                    self.mailbox.put(frame)
                else:
                    self._later(retry_delay_s(frame), lambda: self._resubscribe(subscription))

        if subscription in self.follows and self._connection is not None:
            self._send((Subscribe(channel=channel, security=security), on_reply))

    def _ask_time(self, on_time: Callable[[int], None]) -> None:
        def on_reply(frame: PrivateFrame | None) -> None:
            if isinstance(frame, Pong):
                on_time(frame.time)

        if self._connection is not None:
            self._send((Ping(), on_reply))

    def _refetch_book(self, security: str, times: int) -> None:
        """Fetch a wrong book again: at once the first time, then after growing delays."""
        delay_s = 0.0 if times == 1 else BOOK_PATIENCE.delay_s(times - 1) or 0.0
        self._later(delay_s, lambda: self._resubscribe(("depth", security)))

    def _later(self, delay_s: float, action: Callable[[], None]) -> None:
        def fire() -> None:
            self._timers.discard(timer)
            action()

        timer = asyncio.get_running_loop().call_later(delay_s, fire)
        self._timers.add(timer)


def _http_backoff(reconnect: Backoff | None) -> Backoff:
    """Return the retry policy of HTTP queries: as eager as reconnecting, but never endless."""
    if reconnect is None:
        return PATIENCE
    return Backoff(reconnect.first_s, min(reconnect.max_s, PATIENCE.max_s), PATIENCE.attempts_max)


@contextlib.asynccontextmanager
async def open_link(endpoints: Sequence[Endpoint], options: Options) -> AsyncIterator[Link]:
    """Keep a link connected while the block runs; yields it once it is connected.

    Raises:
        ConnectError: no server can be reached, or they refused the connection.
        ConnectionClosed: the server closed the first connection before its ``welcome``.
    """
    async with new_http() as http:
        link = Link(endpoints, options, http)
        names = ", ".join(endpoint.http for endpoint in endpoints)
        running = asyncio.create_task(link.run(), name=f"connection to {names}")
        try:
            await link.opened
            yield link
        finally:
            await _cancel(running)


async def _cancel(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end; a cancellation of the caller still propagates."""
    caller = asyncio.current_task()
    assert caller is not None
    before = caller.cancelling()
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        if caller.cancelling() > before:
            raise
