"""The public interface of the client library: `connect` and the `Market` that it opens."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Self, Unpack

from fastbook_client import arguments
from fastbook_client.api import Api
from fastbook_client.arguments import AnySide, Number
from fastbook_client.book import Book
from fastbook_client.endpoint import Endpoint
from fastbook_client.errors import ConnectionClosed, FastbookError, Rejected
from fastbook_client.events import Event, OrderState
from fastbook_client.history import MarketHistory
from fastbook_client.link import Link, open_link
from fastbook_client.options import ConnectOptions, Options
from fastbook_client.order_entry import OrderEntry
from fastbook_client.order_names import named
from fastbook_wire.commands import (
    CancelAfter,
    Delete,
    DeleteAll,
    GetFills,
    GetOrder,
    NewOrder,
    OrderCommand,
    Orders,
    Ping,
)
from fastbook_wire.frames import (
    CancelAfterSet,
    InstrumentView,
    OrderFrame,
    OrderView,
    OwnFills,
    Welcome,
)
from fastbook_wire.words import Channel, Code, ExecType, SelfTradeName, TimeInForceName


def connect(url: str, **options: Unpack[ConnectOptions]) -> Market:
    """Return a `Market` to open with ``async with``.

    `url` is ``http://HOST:PORT``, ``ws://HOST:PORT/ws`` or ``HOST:PORT``. The options, each with
    its default:

    `security` (the server's first instrument) is the default of every method that takes one. With
    `feed` (True) its books and trades arrive as events. `channels` (none) lists further
    subscriptions, each a channel of `security` or a pair (channel, security).

    `resume` (None) is the ``resume_token`` of an earlier connection, whose user is resumed. With
    `cancel_on_disconnect` (False) the server cancels this user's orders as soon as the connection
    ends or, if it is a number, unless the client has reconnected within so many seconds; otherwise
    they stay open. The server notices within 45 s that a network has gone silent; see
    `Market.cancel_after`.

    `reconnect` (True): after a loss the client reconnects, as the same user if the server still
    knows it. A `Backoff` sets the delays and the number of attempts. With False the first loss is
    final.

    `queue_max` (10,000) bounds the unread trades and order events. When it is reached, the
    connection is closed, and iteration raises TooSlow after the last queued event. Books, tickers,
    candles and depth changes do not count, because only their newest state is kept. A program that
    never iterates passes 0: no events are kept.

    `checksums_missed_max` (3): the server sends a checksum of each local book every second. After
    so many missed ones the book is emptied, and fetched again as soon as the line is back. 0:
    never.

    Entering the market raises ConnectError (Refused if the server refused the connection) or
    ConnectionClosed, and Rejected or Unanswered if a channel could not be subscribed.

    Raises:
        TypeError: an option is unknown or has a wrong type.
        ValueError: `url` has none of these forms, or an option a value that it cannot have.
    """
    return Market(Endpoint.parse(url), Options.of(options))


class Market(MarketHistory):
    """A market opened for one user by ``async with connect(...) as market``.

    Several tasks may send commands concurrently; each call returns the reply to its own command. A
    command raises Rejected if the server refused it, NotConnected if it was not sent because the
    client is reconnecting, Unanswered if the connection was lost before the reply, and
    ConnectionClosed if the connection has ended for good. No command is ever sent twice.

    ``async for event in market`` yields everything else, one `fastbook_client.Event` at a time.
    """

    def __init__(self, endpoint: Endpoint, options: Options) -> None:
        self._endpoint = endpoint
        self._options = options
        self._stack = contextlib.AsyncExitStack()
        self._opened: Link | None = None
        self._entry = OrderEntry()

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            opening = open_link(self._endpoint, self._options)
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

    # ---- orders -------------------------------------------------------------------------------

    async def limit(
        self,
        side: AnySide,
        price: Number,
        amount: Number,
        *,
        time_in_force: TimeInForceName | None = None,
        post_only: bool = False,
        client_order_id: str | None = None,
        self_trade: SelfTradeName | None = None,
        security: str | None = None,
    ) -> OrderState:
        """Place a limit order; return its state after immediate matching.

        `side` is ``bid`` (or ``buy``) or ``ask`` (or ``sell``). `price` and `amount` must be
        multiples of the instrument's tick and lot size; a Decimal or Fraction is sent as the
        nearest double. Defaults:
        `time_in_force` ``gtc``, `self_trade` ``allow``. Every order carries a client order id,
        generated if none is given, with which `outcome` finds the order after Unanswered.

        Raises:
            Rejected: the server refused the order, which had no effect.
            Unanswered: the connection was lost before the reply; see `outcome`.
            NotConnected: the client is reconnecting; the order was not sent.
            ConnectionClosed: the connection has ended for good; the order was not sent.
            TypeError, ValueError: an argument has a wrong type or cannot be sent; nothing was.
        """
        order = self._new_order("limit", side, amount, client_order_id, self_trade, security)
        order.price = arguments.number("price", price)
        order.post_only = arguments.flag("post_only", post_only)
        if time_in_force is not None:
            order.time_in_force = arguments.word("time_in_force", time_in_force, TimeInForceName)
        return await self._entry.place(self._link, order)

    async def market(
        self,
        side: AnySide,
        amount: Number,
        *,
        client_order_id: str | None = None,
        self_trade: SelfTradeName | None = None,
        security: str | None = None,
    ) -> OrderState:
        """Place a market order; any unfilled remainder is cancelled.

        Arguments, result and exceptions are those of `limit`.
        """
        order = self._new_order("market", side, amount, client_order_id, self_trade, security)
        return await self._entry.place(self._link, order)

    async def cancel(
        self,
        order: OrderView | OrderFrame | str | None = None,
        *,
        client_order_id: str | None = None,
    ) -> OrderState:
        """Cancel an open order; return its final state.

        `order` is an order that a command returned or an event reported, or an id: a UUID is the
        server's id, any other string a client order id. Pass `client_order_id` instead of `order`
        for a client order id that is itself a UUID.

        Raises:
            Rejected: with ``unknown_order``, if this user has no such open order.
            Unanswered: the connection was lost before the reply; repeating the call is safe.
            NotConnected: the client is reconnecting; nothing was sent.
            ConnectionClosed: the connection has ended for good; nothing was sent.
            TypeError: both or neither of `order` and `client_order_id` were given.
        """
        order_id, client_order_id = named(order, client_order_id)
        command = Delete(id=order_id, client_order_id=client_order_id)
        reply = await self._link.request(command)
        return OrderState.of(reply)

    async def cancel_all(self, security: str | None = None, *, side: AnySide | None = None) -> int:
        """Cancel all open orders, or only those of `security`, of `side`; return how many."""
        command = DeleteAll(
            security=None if security is None else arguments.text("security", security),
            type=None if side is None else arguments.side_of(side),
        )
        count: int = (await self._link.request(command)).count
        return count

    async def cancel_after(self, seconds: Number) -> CancelAfterSet:
        """Have all open orders cancelled in `seconds`, unless it is called again; 0: never.

        A dead man's switch: each call starts the time over, up to 86,400 s. The server keeps it
        through lost connections and its own restarts. The result has the server's ``time`` and the
        ``trigger_time`` (None: never), both in Unix milliseconds.
        """
        given = arguments.number("seconds", seconds)
        command = CancelAfter(ms=math.ceil(given * 1_000))  # so that only 0 becomes 0
        reply: CancelAfterSet = await self._link.request(command)
        return reply

    async def orders(self) -> tuple[OrderView, ...]:
        """Return the open orders of all securities, oldest first."""
        orders: tuple[OrderView, ...] = (await self._link.request(Orders())).orders
        return orders

    async def fills(
        self,
        security: str | None = None,
        *,
        since: int | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> OwnFills:
        """Return a page of this user's own fills, oldest first, from all its connections.

        With `since` these are the first `limit` fills with a larger ``fill_id``; without it the
        last ones, or the last before `before`. ``more`` tells whether there are others in that
        direction. Each fill also arrives as a `Fill` event, unless the connection was down.
        """
        command = GetFills(
            security=self._named(security),
            since=None if since is None else arguments.integer("since", since),
            before=None if before is None else arguments.integer("before", before),
            limit=arguments.integer("limit", limit),
        )
        page: OwnFills = await self._link.request(command)
        return page

    async def ping(self) -> int:
        """Check that the server is alive; return its time in Unix milliseconds."""
        time_ms: int = (await self._link.request(Ping())).time
        return time_ms

    async def order(
        self,
        order: OrderView | OrderFrame | str | None = None,
        *,
        client_order_id: str | None = None,
    ) -> OrderState:
        """Return the state of an order, open or ended.

        The order is named as in `cancel`. An ended order is known by its client order id for 24
        hours, and by the server's id for ever.

        Raises:
            Rejected: ``unknown_order``: the user has placed no such order.
            Unanswered, NotConnected, ConnectionClosed: as for every command.
        """
        order_id, client_order_id = named(order, client_order_id)
        command = GetOrder(id=order_id, client_order_id=client_order_id)
        return OrderState.of(await self._link.request(command))

    async def outcome(self, client_order_id: str) -> OrderState | None:
        """Return the state of an order that raised Unanswered, or None if it never arrived.

        Asking changes nothing. After None the order can no longer take effect: once a user has
        resumed, the server no longer reads from the connection before.

        Raises:
            FastbookError: the server has forgotten the user who placed it.
            Rejected: the server could not answer now (``rate_limited``, for one); try again later.
            Unanswered, NotConnected: the connection is lost or down; try again after `Resynced`.
            ConnectionClosed: the connection has ended for good.
        """
        self._entry.unsettled.check(
            arguments.text("client_order_id", client_order_id), self.user_id
        )
        try:
            state = await self.order(client_order_id=client_order_id)
        except Rejected as rejected:
            if rejected.code != Code.UNKNOWN_ORDER:
                raise
            return None
        self._entry.unsettled.answered(client_order_id)
        return state

    async def submit(
        self, commands: Iterable[NewOrder | OrderCommand]
    ) -> list[OrderState | int | FastbookError]:
        """Send 1 to 100 commands in one frame: nobody else's are executed between them.

        A NewOrder is placed; Add, Delete, DeleteAll and GetOrder are sent as they are. Returns for
        each command, in order, what the method for it would return or raise: the OrderState, the
        count of a DeleteAll, or Rejected or Unanswered. One that is refused does not keep the
        others from being executed.

        Raises:
            ValueError: no command, or more than 100; nothing was sent.
            NotConnected: the client is reconnecting; nothing was sent.
            ConnectionClosed: the connection has ended for good; nothing was sent.
        """
        return await self._entry.submit(self._link, commands)

    def _new_order(
        self,
        exec_type: ExecType,
        side: AnySide,
        amount: Number,
        client_order_id: str | None,
        self_trade: SelfTradeName | None,
        security: str | None,
    ) -> NewOrder:
        if client_order_id is not None:
            arguments.text("client_order_id", client_order_id)
        if self_trade is None:
            self_trade = "allow"
        return NewOrder(
            type=arguments.side_of(side),
            exec_type=exec_type,
            amount=arguments.number("amount", amount),
            security=self._named(security),
            client_order_id=client_order_id,
            self_trade=arguments.word("self_trade", self_trade, SelfTradeName),
        )

    @property
    def api(self) -> Api:
        """The server's HTTP interface, to which the queries of the history are shortcuts."""
        return self._link.api
