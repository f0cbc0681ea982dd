"""What outlives a connection: who we are, what we follow, which commands wait for an answer.

`Link.run` keeps a connection, hands each frame to whom it concerns, and comes back after a loss.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
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
    Refused,
    Rejected,
    TooSlow,
    Unanswered,
)
from fastbook_client.events import Disconnected, Resynced
from fastbook_client.mailbox import Mailbox
from fastbook_client.subscriptions import Subscriptions
from fastbook_wire.commands import Add, Orders, Subscribe, Unsubscribe
from fastbook_wire.frames import (
    FRAMES,
    Error,
    OrderFrame,
    OrdersFrame,
    PrivateFrame,
    ServerFrame,
    Subscribed,
    Unsubscribed,
    Welcome,
)
from fastbook_wire.words import Channel

RESUMED_ELSEWHERE = 4001
BAD_FRAME = 1002
BOOK_PATIENCE = Backoff()
RETRY_MS_MIN = 10
FRAMES_PER_TURN = 64
"""Frames that are taken before the user's own tasks get a turn."""

_PRIVATE = PrivateFrame.__args__
_EVENTS = {frame.__struct_config__.tag for frame in FRAMES}

_encode = msgspec.json.Encoder().encode
_decode: Callable[[bytes], ServerFrame] = msgspec.json.Decoder(ServerFrame).decode

Follow = tuple[Channel, str]
OnAnswer = Callable[[PrivateFrame | None], None]
"""Called with the reply to a command; None: the connection went before it."""


class _OnlyEvent(Struct):
    event: str


class Options(Struct, frozen=True, kw_only=True):
    """How to connect, the first time and again."""

    security: str | None
    resume: str | None
    cancel_on_disconnect: bool
    feed: bool
    reconnect: Backoff | None
    queue_max: int


class Link:
    """One user's dealings with a server, over as many connections as it takes."""

    def __init__(self, endpoint: Endpoint, options: Options, http: aiohttp.ClientSession) -> None:
        self.api = Api(http, endpoint.http, _patience(options.reconnect))
        self.mailbox = Mailbox(options.queue_max)
        # Feeds have a patience of their own: as long as there is a connection.
        history = Api(http, endpoint.http, Backoff(attempts_max=0))
        self.feeds = Subscriptions(self.mailbox, history, self._mend_book, self._give_up)
        self.welcome: Welcome | None = None
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the first connection is there, or cannot be had."""
        self.follows: dict[Follow, None] = {}
        self._endpoint = endpoint
        self._options = options
        self._http = http
        self._connection: Connection | None = None
        self._ended: FastbookError | None = None
        self._pending: dict[int, OnAnswer] = {}
        self._refs = itertools.count(1)
        self._timers: set[asyncio.TimerHandle] = set()
        self._was_listed = False  # an orders frame came unasked: the user was resumed
        self._failure: Exception | None = None

    # ---- commands -----------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether commands can be sent."""
        return self._connection is not None and self._connection.is_open

    async def ask(self, command: Any) -> Any:
        """Send a command; return its reply.

        Raises:
            Rejected, Unanswered, NotConnected, ConnectionClosed: see there.
        """
        future: asyncio.Future[PrivateFrame] = asyncio.get_running_loop().create_future()

        def on_answer(frame: PrivateFrame | None) -> None:
            if future.done():
                return
            if frame is not None:
                future.set_result(frame)
                return
            order_id = command.order.client_order_id if isinstance(command, Add) else None
            future.set_exception(Unanswered(command, order_id))

        if self._ended is not None:
            raise self._ended
        if not self.is_connected:
            raise NotConnected
        ref = self._send(command, on_answer)
        try:
            answer = await future
        finally:
            self._pending.pop(ref, None)
        match answer:
            case OrderFrame(status="rejected") | Error():
                raise Rejected(answer.code or "", answer.message or "", answer.retry_after_ms)
        return answer

    def _send(self, command: Any, on_answer: OnAnswer) -> int:
        assert self._connection is not None
        ref = command.ref = next(self._refs)
        self._pending[ref] = on_answer
        self._connection.send_many((_encode(command),))  # a loss is told by its reader
        return ref

    async def follow(self, channel: Channel, security: str) -> None:
        """Subscribe, now and after every loss, until `unfollow`."""
        command = Subscribe(channel=channel, security=security)
        await self.ask(command)
        if channel == "depth":
            await self.feeds.until_synced(security)
            book = self.feeds.books.get(security)
            if book is None or not book.is_synced:
                raise Unanswered(command)

    async def unfollow(self, channel: Channel, security: str) -> None:
        """Unsubscribe."""
        await self.ask(Unsubscribe(channel=channel, security=security))

    # ---- the connection -----------------------------------------------------------------------

    async def run(self) -> None:
        """Stay connected until cancelled, or until it makes no sense any more."""
        loop = asyncio.get_running_loop()
        failures, opened_s = 0, 0.0
        try:
            while True:
                try:
                    async with self._dial() as connection:
                        opened_s = loop.time()
                        self._open(connection)
                        await self._read(connection)
                except (ConnectError, ConnectionClosed) as error:
                    lived_s = loop.time() - opened_s if self._connection is not None else 0.0
                    failures = self._lost(failures if lived_s < 1.0 else 0, error)
                    delay_s = self._delay_s(error, failures)
                    if delay_s is None:
                        self._end(error)
                        return
                    self.mailbox.put(Disconnected(str(error), delay_s))
                    await asyncio.sleep(delay_s)
        except FastbookError as error:  # too slow even for what the connection does
            self._end(error)
        except Exception as error:  # our own fault: it must not look like an end
            self._end(FastbookError(f"the client failed: {error!r}"))
            raise
        finally:
            self._end(None)

    def _dial(self) -> contextlib.AbstractAsyncContextManager[Connection]:
        options, welcome = self._options, self.welcome
        default = None if welcome is None else ("book", welcome.security)
        return dial(
            self._endpoint.ws,
            security=options.security,
            resume=options.resume if welcome is None else welcome.resume_token,
            feed=options.feed if default is None else default in self.follows,
            cancel_on_disconnect=options.cancel_on_disconnect,
            http=self._http,
        )

    def _open(self, connection: Connection) -> None:
        before, self.welcome = self.welcome, connection.welcome
        self._connection = connection
        self._was_listed = False
        self.feeds.meet(connection.welcome.instruments)
        default: Follow = ("book", connection.welcome.security)
        if before is None and self._options.feed:
            self.follows[default] = None
        for follow in self.follows:
            if follow != default:
                self._follow_again(follow)
        if before is not None or self._options.resume is not None:
            self._resync(None if before is None else before.user_id)
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
                self._misunderstood(payload, error)
                continue
            self._take(frame)
            number += 1
            if number % FRAMES_PER_TURN == 0:
                await asyncio.sleep(0)

    def _take(self, frame: ServerFrame) -> None:
        if not isinstance(frame, _PRIVATE):
            if not isinstance(frame, Welcome):
                self.feeds.take(frame)  # type: ignore[arg-type]
            return
        if isinstance(frame, Subscribed):
            self.follows[frame.channel, frame.security] = None
            self.feeds.starts(frame.channel, frame.security)
        elif isinstance(frame, Unsubscribed):
            self.follows.pop((frame.channel, frame.security), None)
            self.feeds.ends(frame.channel, frame.security)
        on_answer = self._pending.pop(frame.ref, None) if isinstance(frame.ref, int) else None
        if on_answer is not None:
            on_answer(frame)
        elif isinstance(frame, OrdersFrame) and frame.ref is None:
            self._was_listed = True
        else:
            self.mailbox.put(frame)

    def _misunderstood(self, payload: bytes, error: Exception) -> None:
        """Pass over a frame of a kind that a newer server may have; others end the connection."""
        with contextlib.suppress(msgspec.MsgspecError):
            if msgspec.json.decode(payload, type=_OnlyEvent).event not in _EVENTS:
                return
        raise ConnectionClosed(BAD_FRAME, f"the server sent a malformed frame: {error}")

    # ---- after a loss -------------------------------------------------------------------------

    def _lost(self, failures: int, error: FastbookError) -> int:
        """Tell everybody who waits; return how many failures in a row this makes."""
        self._connection = None
        self.feeds.lost()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        waiting, self._pending = self._pending, {}
        for on_answer in waiting.values():
            on_answer(None)
        if not self.opened.done():
            self.opened.set_exception(error)
            self.opened.exception()  # whoever waits is told; nobody need
        return failures + 1

    def _delay_s(self, error: FastbookError, failures: int) -> float | None:
        """Return when to try again; None: never."""
        if self._options.reconnect is None or self.welcome is None or isinstance(error, TooSlow):
            return None
        if isinstance(error, ConnectionClosed) and error.code == RESUMED_ELSEWHERE:
            return None  # or both would cut each other off for ever
        if isinstance(error, Refused) and 400 <= error.status < 500 and error.status != 429:
            return None
        return self._options.reconnect.delay_s(failures)

    def _end(self, error: FastbookError | None) -> None:
        if self._ended is None:
            self._lost(0, error or ConnectionClosed(1000, "closed"))
            if isinstance(error, ConnectError):
                error = ConnectionClosed(1006, str(error))
            self._ended = error or ConnectionClosed(1000, "closed by this side")
            self.mailbox.end(error)

    def _give_up(self, error: Exception) -> None:
        """End because of what went wrong beside the reading of frames."""
        self._failure = error
        if self._connection is not None:
            closing = asyncio.ensure_future(self._connection.close())
            closing.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _resync(self, old_user_id: str | None) -> None:
        """Ask for the open orders, and tell the user when they are here."""

        def on_answer(frame: PrivateFrame | None) -> None:
            assert self.welcome is not None
            if isinstance(frame, OrdersFrame):
                user_id = self.welcome.user_id
                same = self._was_listed if old_user_id is None else user_id == old_user_id
                self.mailbox.put(Resynced(user_id, same, frame.orders))
            elif isinstance(frame, Error):  # the database is away, or so
                self._later(_patient(frame), lambda: self._resync(old_user_id))

        self._send(Orders(), on_answer)

    def _follow_again(self, follow: Follow) -> None:
        channel, security = follow

        def on_answer(frame: PrivateFrame | None) -> None:
            if isinstance(frame, Error) and follow in self.follows:
                if frame.retry_after_ms is None:
                    del self.follows[follow]
                    self.mailbox.put(frame)
                else:
                    self._later(_patient(frame), lambda: self._follow_again(follow))

        if follow in self.follows and self._connection is not None:
            self._send(Subscribe(channel=channel, security=security), on_answer)

    def _mend_book(self, security: str, times: int) -> None:
        """Get a book anew: at once, and ever later if that has not helped."""
        delay_s = 0.0 if times == 1 else BOOK_PATIENCE.delay_s(times - 1) or 0.0
        self._later(delay_s, lambda: self._follow_again(("depth", security)))

    def _later(self, delay_s: float, again: Callable[[], None]) -> None:
        def fire() -> None:
            self._timers.discard(timer)
            again()

        timer = asyncio.get_running_loop().call_later(delay_s, fire)
        self._timers.add(timer)


def _patient(frame: Error) -> float:
    """Return in how many seconds it makes sense to try again, as the server has said."""
    return max(frame.retry_after_ms or 1_000, RETRY_MS_MIN) / 1_000


def _patience(reconnect: Backoff | None) -> Backoff:
    """Return how to repeat questions by HTTP: as eagerly as connecting, but not for ever."""
    if reconnect is None:
        return PATIENCE
    return Backoff(reconnect.first_s, min(reconnect.max_s, PATIENCE.max_s), PATIENCE.attempts_max)


@contextlib.asynccontextmanager
async def open_session(endpoint: Endpoint, options: Options) -> AsyncIterator[Link]:
    """Keep a session connected while the block runs.

    Raises:
        ConnectError, ConnectionClosed: the first connection cannot be had.
    """
    async with new_http() as http:
        session = Link(endpoint, options, http)
        living = asyncio.create_task(session.run(), name=f"connection to {endpoint.http}")
        try:
            await session.opened
            yield session
        finally:
            await _cancel(living)


async def _cancel(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end; a cancellation of who waits is not swallowed."""
    waiting = asyncio.current_task()
    assert waiting is not None
    before = waiting.cancelling()
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        if waiting.cancelling() > before:
            raise
