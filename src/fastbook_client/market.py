"""The client library's public face: `connect` and the `Market` that it opens."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Any, Self

from fastbook_client.api import Api
from fastbook_client.backoff import Backoff
from fastbook_client.book import Book
from fastbook_client.endpoint import Endpoint
from fastbook_client.errors import FastbookError, Unanswered
from fastbook_client.events import Event, OrderState
from fastbook_client.link import Link, Options, open_session
from fastbook_client.outcomes import Outcomes
from fastbook_client.tables import Library, table_of
from fastbook_wire.commands import Add, Delete, DeleteAll, NewOrder, Orders, Ping
from fastbook_wire.frames import (
    CandleView,
    InstrumentView,
    OrderFrame,
    OrderView,
    TickerView,
    TradeView,
    Welcome,
)
from fastbook_wire.words import (
    Channel,
    Interval,
    SelfTradeName,
    SideName,
    TimeInForceName,
)

QUEUE_MAX = 10_000

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def connect(
    url: str,
    *,
    security: str | None = None,
    cancel_on_disconnect: bool = False,
    resume: str | None = None,
    feed: bool = True,
    channels: Iterable[Channel | tuple[Channel, str]] = (),
    reconnect: bool | Backoff = True,
    queue_max: int = QUEUE_MAX,
) -> Market:
    """Return a market to open with ``async with``.

    `url` is ``http://HOST:PORT``, ``ws://HOST:PORT/ws`` or ``HOST:PORT``. `security` is the
    default of every method that takes one (default: the server's first instrument). With `feed`
    its books and trades come as events; `channels` are followed besides, each a name, or a name
    and a security. `resume` is the ``resume_token`` of an earlier connection, to be its user again.
    With `cancel_on_disconnect` the server withdraws this user's orders when the connection is lost
    and not resumed in time.

    `reconnect`: come back after a loss, as the same user if the server still knows it; a `Backoff`
    says at which intervals and how often. False: a loss ends everything.

    `queue_max` bounds the trades and order events that wait to be iterated over. When it is
    reached the connection is closed, and iteration ends with TooSlow after the last of them; what
    only its newest state matters of (books, tickers, candles, depth) does not count. 0: there will
    be no iteration, keep no events.

    Opening raises ConnectError (Refused, if the server said no) or Rejected (of a channel).
    """
    names = tuple(name if isinstance(name, tuple) else (name, None) for name in channels)
    backoff = reconnect if isinstance(reconnect, Backoff) else Backoff() if reconnect else None
    options = Options(
        security=security,
        resume=resume,
        cancel_on_disconnect=cancel_on_disconnect,
        feed=feed,
        reconnect=backoff,
        queue_max=queue_max,
    )
    return Market(Endpoint.parse(url), options, names)


class Market:
    """A market that one user trades in. Opened by ``async with connect(...) as market``.

    Commands may be given from many tasks at once; each returns its own reply or raises Rejected
    (the server said no), NotConnected (nothing was sent) or Unanswered (it was sent, and the
    connection went first). No command is ever sent twice.

    ``async for event in market`` gives everything else that is said: see ``events.ExchangeEvent``.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        options: Options,
        channels: tuple[tuple[Channel, str | None], ...] = (),
    ) -> None:
        self._endpoint = endpoint
        self._options = options
        self._channels = channels
        self._stack = contextlib.AsyncExitStack()
        self._opened: Link | None = None
        self._prefix = secrets.token_hex(5)
        self._orders_named = 0

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            opening = open_session(self._endpoint, self._options)
            self._opened = await stack.enter_async_context(opening)
            self._outcomes = Outcomes(self._opened)
            for channel, security in self._channels:
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
    def _session(self) -> Link:
        if self._opened is None:
            raise FastbookError("not open: use `async with connect(...) as market`")
        return self._opened

    # ---- who and what -------------------------------------------------------------------------

    @property
    def welcome(self) -> Welcome:
        """What the server said first on the newest connection."""
        welcome = self._session.welcome
        assert welcome is not None, "open() has waited for it"
        return welcome

    @property
    def user_id(self) -> str:
        """Who we are; changes only if a resume was refused (see ``Resynced``)."""
        return self.welcome.user_id

    @property
    def resume_token(self) -> str:
        """The secret with which another `connect` can be this user."""
        return self.welcome.resume_token

    @property
    def security(self) -> str:
        """The default of every method that takes a security."""
        return self.welcome.security

    @property
    def instruments(self) -> dict[str, InstrumentView]:
        """All that is traded, by name."""
        return {i.security: i for i in self.welcome.instruments}

    @property
    def is_connected(self) -> bool:
        """Whether a command would be sent now."""
        return self._session.is_connected

    # ---- events -------------------------------------------------------------------------------

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """Return the next event.

        Raises:
            ConnectionClosed: there is no connection any more, and there will be none.
        """
        return await self._session.mailbox.get()

    async def subscribe(self, channel: Channel, security: str | None = None) -> None:
        """Follow a channel of a security, after reconnects too, until `unsubscribe`.

        With ``depth`` it returns when the whole book has come, so that `book` is filled.
        """
        await self._session.follow(channel, security or self.security)

    async def unsubscribe(self, channel: Channel, security: str | None = None) -> None:
        """Follow a channel no more."""
        await self._session.unfollow(channel, security or self.security)

    def book(self, security: str | None = None) -> Book:
        """Return the local book that the ``depth`` channel keeps up to date.

        It is the same object from call to call, and empty (``is_synced`` False) while there is no
        connection, or a wrong book is being fetched anew.

        Raises:
            FastbookError: the channel ``depth`` of the security is not followed.
        """
        name = security or self.security
        if ("depth", name) not in self._session.follows:
            raise FastbookError(f"no book of {name}: subscribe to its channel depth first")
        return self._session.feeds.book(name)

    # ---- orders -------------------------------------------------------------------------------

    async def limit(
        self,
        side: SideName,
        price: float,
        amount: float,
        *,
        time_in_force: TimeInForceName | None = None,
        post_only: bool = False,
        client_order_id: str | None = None,
        self_trade: SelfTradeName | None = None,
        security: str | None = None,
    ) -> OrderState:
        """Bring a limit order; return its state after all it did at once.

        Every order bears a client order id, made up if none is given: after Unanswered, `outcome`
        asks with it what became of the order.

        Raises:
            Rejected: a rule of the market forbids it; nothing has changed.
            Unanswered: the connection went before the answer.
            NotConnected, ConnectionClosed: it was not sent.
        """
        order = NewOrder(
            type=side,
            exec_type="limit",
            price=float(price),
            amount=float(amount),
            security=security or self.security,
            time_in_force=time_in_force,
            post_only=post_only,
            client_order_id=client_order_id or self._new_order_id(),
            self_trade=self_trade or "allow",
        )
        return await self._add(order)

    async def market(
        self,
        side: SideName,
        amount: float,
        *,
        client_order_id: str | None = None,
        self_trade: SelfTradeName | None = None,
        security: str | None = None,
    ) -> OrderState:
        """Bring a market order; what finds nobody is cancelled. Otherwise as `limit`."""
        order = NewOrder(
            type=side,
            exec_type="market",
            amount=float(amount),
            security=security or self.security,
            client_order_id=client_order_id or self._new_order_id(),
            self_trade=self_trade or "allow",
        )
        return await self._add(order)

    async def cancel(
        self,
        order: OrderView | OrderFrame | str | None = None,
        *,
        client_order_id: str | None = None,
    ) -> OrderState:
        """Withdraw an order: one that was returned or told of, or the one with this id.

        A text that looks like a server's id (a UUID) is taken for one, any other for a client
        order id; `client_order_id` says that it is the latter.

        Raises:
            Rejected: ``unknown_order``: it has ended, or there never was one.
            Unanswered, NotConnected, ConnectionClosed: as of every command.
        """
        if isinstance(order, OrderFrame):
            order = order.order
        if isinstance(order, OrderView):
            order = order.id
        if (order is None) == (client_order_id is None):
            raise TypeError("expected an order, or a client_order_id")
        if order is not None and not _UUID.fullmatch(order):
            order, client_order_id = None, order
        reply = await self._session.ask(Delete(id=order, client_order_id=client_order_id))
        return OrderState.of(reply)

    async def cancel_all(self, security: str | None = None) -> int:
        """Withdraw all open orders, or those of one security; return how many there were."""
        count: int = (await self._session.ask(DeleteAll(security=security))).count
        return count

    async def orders(self) -> tuple[OrderView, ...]:
        """Return the open orders of all securities, oldest first."""
        orders: tuple[OrderView, ...] = (await self._session.ask(Orders())).orders
        return orders

    async def ping(self) -> int:
        """Return the server's time in Unix milliseconds: a sign of life."""
        time_ms: int = (await self._session.ask(Ping())).time
        return time_ms

    async def outcome(self, client_order_id: str) -> OrderState | None:
        """Return what became of an order that was Unanswered; None: it never arrived.

        Asking executes nothing, and after None the order cannot come into effect any more: see
        ``outcomes`` for how that is made sure.

        Raises:
            FastbookError: no order of that id is unanswered, or the user that sent it is gone.
            Rejected, Unanswered, NotConnected, ConnectionClosed: ask again later.
        """
        return await self._outcomes.ask(client_order_id)

    async def _add(self, order: NewOrder) -> OrderState:
        user_id = self.user_id
        try:
            return OrderState.of(await self._session.ask(Add(order=order)))
        except Unanswered:
            self._outcomes.note(user_id, order)
            raise

    def _new_order_id(self) -> str:
        self._orders_named += 1
        return f"{self._prefix}-{self._orders_named}"

    # ---- the past -----------------------------------------------------------------------------

    @property
    def api(self) -> Api:
        """The server's HTTP interface; the methods below are the parts of it that most use."""
        return self._session.api

    async def ticker(self, security: str | None = None) -> TickerView:
        """Return the last 24 hours and the best prices."""
        return await self.api.ticker(security or self.security)

    async def candles(
        self,
        security: str | None = None,
        interval: Interval = "1m",
        start: int | None = None,
        end: int | None = None,
    ) -> list[CandleView]:
        """Return the candles of ``[start, end)`` in Unix ms; see `Api.candles`."""
        return await self.api.candles(security or self.security, interval, start, end)

    def trades_history(
        self, security: str | None = None, before: int | None = None
    ) -> AsyncIterator[TradeView]:
        """Iterate over the past trades, newest first, page by page, to the very first."""
        return self.api.trades_back(security or self.security, before)

    async def candles_table(
        self,
        security: str | None = None,
        interval: Interval = "1m",
        start: int | None = None,
        end: int | None = None,
        *,
        library: Library | None = None,
    ) -> Any:
        """Return `candles` as a DataFrame of pandas or polars, ``time`` being a UTC datetime.

        Raises:
            ImportError: `library` is not installed; without `library`: neither is.
        """
        found = await self.candles(security, interval, start, end)
        return table_of(CandleView, found, library)

    async def trades_table(
        self,
        security: str | None = None,
        before: int | None = None,
        count: int = 1_000,
        *,
        library: Library | None = None,
    ) -> Any:
        """Return the newest `count` trades before `before` as a DataFrame, oldest first."""
        found: list[TradeView] = []
        if count > 0:
            async for trade in self.trades_history(security, before):
                found.append(trade)
                if len(found) == count:
                    break
        return table_of(TradeView, found[::-1], library)
