"""The public interface of the client library: `connect` and the `Market` that it opens."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Self, Unpack

from fastbook_client import arguments
from fastbook_client.api import Api
from fastbook_client.book import Book
from fastbook_client.endpoint import Endpoint
from fastbook_client.errors import ConnectionClosed, FastbookError
from fastbook_client.events import Event
from fastbook_client.history import MarketHistory
from fastbook_client.link import Link, open_link
from fastbook_client.options import ConnectOptions, Options
from fastbook_client.trading import Trading
from fastbook_wire.commands import Ping
from fastbook_wire.frames import InstrumentView, Welcome
from fastbook_wire.words import Channel


def connect(url: str | Sequence[str], **options: Unpack[ConnectOptions]) -> Market:
    """Return a `Market` to open with ``async with``.

    `url` is ``http://HOST:PORT``, ``ws://HOST:PORT/ws`` or ``HOST:PORT``; or several of them, in a
    list or with commas between them: those of the gateways of one market. Each client goes round
    them on a way of its own, drawn at the start. It takes the first that lets it in and, when it
    loses that one, the next, as the same user. The options, each with its default:

    `security` (the server's first instrument) is the default of every method that takes one. With
    `feed` (True) its books and trades arrive as events. `channels` (none) lists further
    subscriptions, each a channel of `security` or a pair (channel, security).

    `resume` (None) is the ``resume_token`` of an earlier connection, whose user is resumed. Then
    `fills_since` (None) may tell the last fill that the program has dealt with, by security, as a
    pair (``fill_id``, ``role``): the user's fills since then arrive as events, from the first fill
    where none is given. Of a self-trade, the maker's fill follows the taker's; an id without a role
    stands for both. With `cancel_on_disconnect` (False) the server cancels this user's orders as
    soon as the connection ends or, if it is a number, unless the client has reconnected within so
    many seconds; otherwise they stay open. The server notices within 40 s that a network has gone
    silent; see `Market.cancel_after`. `token` (None) is the server's, if it wants one for commands.

    `reconnect` (True): after a loss the client reconnects, as the same user if the server still
    knows it, and tells what was missed of the user's fills and orders. A `Backoff` sets the delays
    and the number of attempts. With False the first loss is final.

    `queue_max` (10,000) bounds the unread trades and order events. When it is reached, the
    connection is closed, and iteration raises TooSlow after the last queued event. Books, tickers,
    candles and depth changes do not count, because only their newest state is kept. A program that
    never iterates passes 0: no events are kept.

    `checksums_missed_max` (3): the server sends a checksum of each local book every second. After
    so many missed ones the book is emptied, and fetched again as soon as the line is back. 0:
    never. With 2 or more, seconds in which the server's clock stands do not count.

    Entering the market raises ConnectError (Refused if the server refused the connection) or
    ConnectionClosed, and Rejected or Unanswered if a channel could not be subscribed. With several
    addresses each is tried once before, and the error says what became of each.

    Raises:
        TypeError: an option is unknown or has a wrong type.
        ValueError: `url` has none of these forms, or an option a value that it cannot have.
    """
    return Market(Endpoint.parse_all(url), Options.of(options))


class Market(MarketHistory, Trading):
    """A market opened for one user by ``async with connect(...) as market``.

    Several tasks may send commands concurrently; each call returns the reply to its own command. A
    command raises Rejected if the server refused it, NotConnected if it was not sent because the
    client is reconnecting, Unanswered if the connection was lost before the reply, and
    ConnectionClosed if the connection has ended for good. No command is ever sent twice.

    ``async for event in market`` yields everything else, one `fastbook_client.Event` at a time.
    """

    def __init__(self, endpoints: Sequence[Endpoint], options: Options) -> None:
        super().__init__()
        self._endpoints = endpoints
        self._options = options
        self._stack = contextlib.AsyncExitStack()
        self._opened: Link | None = None

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            opening = open_link(self._endpoints, self._options)
            self._opened = await stack.enter_async_context(opening)
            for channel, security in self._options.channels:
                await self.subscribe(channel, security)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    @property
    def _link(self) -> Link:
        if self._opened is None:
            raise FastbookError("not open: use `async with connect(...) as market`")
        return self._opened

    # ---- identity -----------------------------------------------------------------------------

    @property
    def welcome(self) -> Welcome:
        """The ``welcome`` frame of the current or latest connection."""
        welcome = self._link.welcome
        assert welcome is not None, "open_link() waits for it"
        return welcome

    @property
    def url(self) -> str:
        """The server in use, ``http://HOST:PORT``; without a connection, the latest."""
        return self._link.endpoint.http

    @property
    def user_id(self) -> str:
        """The id of this user; changes only if the server could not resume it (see `Resynced`)."""
        return self.welcome.user_id

    @property
    def resume_token(self) -> str:
        """The secret that lets another `connect` resume this user."""
        return self.welcome.resume_token

    @property
    def security(self) -> str:
        """The security that methods use unless they are given another."""
        return self.welcome.security

    @property
    def instruments(self) -> dict[str, InstrumentView]:
        """All instruments, by the name of their security."""
        return {i.security: i for i in self.welcome.instruments}

    @property
    def is_connected(self) -> bool:
        """Whether a command can be sent now."""
        return self._link.is_connected

    async def ping(self) -> int:
        """Check that the server is alive; return its time in Unix milliseconds."""
        time_ms: int = (await self._link.request(Ping())).time
        return time_ms

    # ---- events -------------------------------------------------------------------------------

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """Return the next event.

        Raises:
            ConnectionClosed: the connection has ended for good.
            TooSlow: it was closed because too many events were unread.
            StopAsyncIteration: the market has been closed by leaving its block.
        """
        return await self._link.mailbox.get()

    async def next(self, timeout_s: float | None = None) -> Event:
        """Return the next event.

        Raises:
            TimeoutError: no event arrived within `timeout_s` seconds; no event is lost.
            ConnectionClosed: the connection has ended for good, or the market was left.
        """
        try:
            async with asyncio.timeout(arguments.timeout(timeout_s)):
                return await anext(self)
        except StopAsyncIteration:
            raise ConnectionClosed(1000, "closed by the client") from None

    async def events(self, timeout_s: float | None = None) -> AsyncIterator[Event]:
        """Iterate over the events; ends when none arrives within `timeout_s` seconds.

        Without `timeout_s` it is the same as iterating over the market, and raises the same.
        """
        seconds = arguments.timeout(timeout_s)
        while True:
            try:
                async with asyncio.timeout(seconds):
                    event = await anext(self)
            except (TimeoutError, StopAsyncIteration):
                return
            yield event

    async def subscribe(self, channel: Channel, security: str | None = None) -> None:
        """Subscribe to a channel of a security; the subscription survives reconnects.

        For ``depth`` it returns once the whole book has arrived, so that `book` is filled.

        Raises:
            Rejected: the security is unknown, or the server is overloaded.
            Unanswered: the connection was lost before the reply, or before the whole book.
            NotConnected: the client is reconnecting; nothing was sent.
            ConnectionClosed: the connection has ended for good.
        """
        await self._link.follow(arguments.word("channel", channel, Channel), self._named(security))

    async def unsubscribe(self, channel: Channel, security: str | None = None) -> None:
        """Unsubscribe from a channel of a security; raises what `subscribe` raises."""
        arguments.word("channel", channel, Channel)
        await self._link.unfollow(channel, self._named(security))

    def book(self, security: str | None = None) -> Book:
        """Return the local book, which the ``depth`` channel keeps up to date.

        Every call returns the same object. It is empty, with ``is_synced`` False, while
        disconnected and while a book that failed verification is being fetched again.

        Raises:
            FastbookError: the ``depth`` channel of the security is not subscribed.
        """
        name = self._named(security)
        if ("depth", name) not in self._link.follows:
            raise FastbookError(f"no local book of {name}: subscribe to its depth channel first")
        return self._link.feeds.book(name)

    @property
    def api(self) -> Api:
        """The server's HTTP interface, to which the queries of the history are shortcuts."""
        return self._link.api
