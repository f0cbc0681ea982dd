"""The dialect: its view of the market and of accounts, and everything that is built on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from aiohttp import web

from fastbook_server.channels.order_channel import Matcher
from fastbook_server.channels.trade_channel import CommittedBatch, portions
from fastbook_server.dialects.binance.account_keys import AccountKeys
from fastbook_server.dialects.binance.balances import Balances
from fastbook_server.dialects.binance.cancel_replace import CancelReplace
from fastbook_server.dialects.binance.keep_priority import KeepPriority
from fastbook_server.dialects.binance.limits import AS_AT_THE_VENUE, Limits, VenueBounds
from fastbook_server.dialects.binance.market import MarketFunctions
from fastbook_server.dialects.binance.order_history import OrderHistory
from fastbook_server.dialects.binance.orders import AccountOrders
from fastbook_server.dialects.binance.own_account import AccountFunctions
from fastbook_server.dialects.binance.public_market import PublicMarket
from fastbook_server.dialects.binance.replies import Replies
from fastbook_server.dialects.binance.rest import MOUNT, RestApi
from fastbook_server.dialects.binance.socket_api import SocketApi
from fastbook_server.dialects.binance.sockets import SocketLimits, Sockets
from fastbook_server.dialects.binance.symbols import Symbols
from fastbook_server.dialects.binance.trading import TradingFunctions
from fastbook_server.dialects.binance.user_data import UserData
from fastbook_server.gateway.http.direct import Direct
from fastbook_server.gateway.http.history_queue import HistoryQueue
from fastbook_server.gateway.market_views import MarketViews, Past
from fastbook_server.gateway.proxies import Proxies
from fastbook_server.store import AccountBook
from fastbook_server.values.accounts import Account
from fastbook_server.values.clock import Clock
from fastbook_server.values.events import BalanceChanged, OrderEvent
from fastbook_server.values.persisted import Recovered

CLOSE_TIMEOUT_S = 3.0


class DialectSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the dialect needs of the configuration; without ``limited`` bots may ask at will.

    ``shared``: there are other gateways over the same matcher.
    """

    limited: bool
    trusted_proxies: Sequence[str] = ()
    shared: bool = False

    @property
    def bounds(self) -> VenueBounds:
        """Return what an address may ask and an account place."""
        return AS_AT_THE_VENUE if self.limited else VenueBounds()

    @property
    def sockets(self) -> SocketLimits:
        """Return the bounds of a connection."""
        return SocketLimits() if self.limited else SocketLimits(messages_per_second_max=0)


class BinanceDialect:
    """A gateway of its own: it knows what it recovered, and the batches that follow.

    Raises:
        ValueError: an instrument has no symbol, or two have the same.
    """

    def __init__(
        self,
        recovered: Recovered,
        past: Past,
        *,
        matcher: Matcher,
        history: HistoryQueue,
        accounts: AccountBook,
        clock: Clock,
        settings: DialectSettings,
    ) -> None:
        symbols = Symbols(recovered.instruments)
        self._views = MarketViews(recovered, past)
        self._keys = AccountKeys(accounts, matcher, shared=settings.shared)
        self._public = PublicMarket(symbols, self._views, history, clock)
        shared = self._keys if settings.shared else None
        self._user_data = UserData(self._public.topics, clock.now_ms, shared)
        self._orders = AccountOrders(symbols, recovered, self._user_data.is_heard)
        self._balances = Balances(symbols, recovered)
        self._replies = Replies(matcher)
        limits, proxies = Limits(settings.bounds, clock.now_ms), Proxies(settings.trusted_proxies)
        market = MarketFunctions(symbols, self._views, history, limits)
        trading = TradingFunctions(symbols, self._orders, self._replies, self._public.last_price)
        replacing = CancelReplace(symbols, self._orders, self._replies, trading)
        own = AccountFunctions(symbols, self._balances, history, limits)
        past_orders = OrderHistory(symbols, self._orders, trading, history)
        reducing = KeepPriority(symbols, self._replies, trading, past_orders)
        self._sockets = Sockets(clock, settings.sockets)
        rooms = (
            market,
            self._public,
            trading,
            replacing,
            past_orders,
            reducing,
            own,
            self._user_data,
        )
        entries = [entry for room in rooms for entry in room.entries()]
        self._rest = RestApi(entries, self._keys, limits, proxies)
        self._socket_api = SocketApi(
            *(entries, self._keys, self._user_data, self._sockets, limits, proxies)
        )

    async def start(self) -> None:
        """Let accounts in.

        Raises:
            StoreUnavailable: the database is away.
        """
        await self._public.start()
        await self._keys.start()

    async def look(self) -> None:
        """Look for new accounts and deposits now. Raises like `start`."""
        await self._keys.look()

    async def provide(self, name: str, balances: Mapping[str, str]) -> Account:
        """Return an account of this name, as `AccountKeys.provide` does, which also raises."""
        return await self._keys.provide(name, balances)

    async def stop(self) -> None:
        """Let nobody in any more, and close the sockets."""
        await self._sockets.close_all(CLOSE_TIMEOUT_S)
        self._public.stop()
        await self._keys.stop()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes below the mount."""
        streams = self._public.routes(MOUNT, self._sockets, self._user_data.is_listen_key)
        return [*streams, *self._socket_api.routes(MOUNT), *self._rest.routes()]

    def directs(self) -> dict[bytes, Direct]:
        """Return who answers plain requests directly, by method and path."""
        return self._rest.directs()

    def on_batch(self, batch: CommittedBatch) -> None:
        """Follow a batch: books first, then accounts, then those who wait for a reply."""
        self._take_in(batch.orders)
        self._show(batch)
        self._tell_accounts(batch.orders, batch.balances)
        self.answer(batch)

    def on_large_batch(self, batch: CommittedBatch) -> Iterator[None]:
        """Do the same in steps; what is public changes at once."""
        for orders in portions(batch.orders):
            self._take_in(orders)
            yield
        yield from self._public.tell_fills()
        self._show(batch)
        yield
        for orders in portions(batch.orders):
            self._tell_accounts(orders, ())
            yield
        for balances in portions(batch.balances):
            self._tell_accounts((), balances)
            yield
        for reports in portions(batch.reports):
            self._replies.on_reports(reports)
            yield

    def _take_in(self, orders: Sequence[OrderEvent]) -> None:
        self._views.take_in(orders)
        self._public.take_in(orders)

    def _show(self, batch: CommittedBatch) -> None:
        marks = self._views.watermarks[""]
        marks.settled_ms, marks.stored_ms = batch.settled_ms, batch.stored_ms
        self._public.on_batch(batch, self._views.show())

    def _tell_accounts(
        self, orders: Sequence[OrderEvent], balances: Sequence[BalanceChanged]
    ) -> None:
        changes = self._balances.follow(balances, self._user_data.is_heard)
        self._user_data.on_batch(self._orders.follow(orders), changes)

    def answer(self, batch: CommittedBatch) -> None:
        """Answer those who wait for what a batch says, and no more."""
        self._replies.on_reports(batch.reports)
