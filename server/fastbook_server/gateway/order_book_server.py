"""The order book server: everything between the sockets and the channels, over one matcher."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from aiohttp import web

from fastbook_server.channels.order_channel import Matcher
from fastbook_server.channels.trade_channel import CommittedBatch
from fastbook_server.gateway.dead_man_switches import DeadManSwitches
from fastbook_server.gateway.door import Door, DoorOptions
from fastbook_server.gateway.feeds import Feeds, Pace
from fastbook_server.gateway.http.api import HttpApi
from fastbook_server.gateway.http.documents import handlers as documents
from fastbook_server.gateway.http.history_queue import HistoryQueue
from fastbook_server.gateway.market_views import MarketViews, Past
from fastbook_server.gateway.open_order_counts import OpenOrderCounts
from fastbook_server.gateway.operator import Operator
from fastbook_server.gateway.snapshots import Snapshots
from fastbook_server.gateway.users import TokenMaker, Users
from fastbook_server.values.clock import Clock
from fastbook_server.values.persisted import Recovered


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the order book server needs of the configuration."""

    door: DoorOptions
    depth: int
    last_trades: int
    last_candles: int
    resume_grace_s: float
    withdraw_all: bool  # when their connection ends, whether they ask for it or not
    cors_origins: tuple[str, ...]
    in_memory: bool  # no database keeps what happens


class OrderBookServer:
    """Users, views, feeds, the HTTP API, the door and the operator, assembled over one matcher.

    All it knows of the market is `recovered`, the candles of the `past`, and the batches it is
    given; `on_batch` must be called with every batch that follows `recovered`.
    """

    def __init__(
        self,
        recovered: Recovered,
        past: Past,
        *,
        matcher: Matcher,
        history: HistoryQueue,
        clock: Clock,
        settings: GatewaySettings,
        door: Callable[..., Door] = Door,
        operator: Callable[..., Operator] = Operator,
    ) -> None:
        interval_s = settings.door.throttle_ms / 1_000
        self.views = MarketViews(
            recovered,
            past,
            rows_max=settings.depth,
            trades_max=settings.last_trades,
            candles_max=settings.last_candles,
        )
        tokens = TokenMaker(recovered.token_key)
        self.users = Users(
            tokens,
            clock,
            grace_s=settings.resume_grace_s,
            submit=matcher.submit,
            open_orders=OpenOrderCounts(recovered.open_orders),
            switches=DeadManSwitches(clock, matcher.submit, recovered.cancel_rules),
            recovered=recovered.cancel_rules,
            withdraw_all=settings.withdraw_all,
        )
        self.snapshots = Snapshots(self.views, interval_s)
        self.feeds = Feeds(
            self.views, self.snapshots, Pace(clock, interval_s), candles_max=settings.last_candles
        )
        self._api = HttpApi(
            instruments=recovered.instruments,
            views=self.views,
            history=history,
            tokens=tokens,
            interval_s=interval_s,
            cors_origins=settings.cors_origins,
        )
        self.door = door(
            instruments=recovered.instruments,
            epoch=recovered.epoch,
            matcher=matcher,
            feeds=self.feeds,
            users=self.users,
            history=history,
            options=settings.door,
            clock=clock,
        )
        self._operator = operator(
            instruments=recovered.instruments,
            epoch=recovered.epoch,
            matcher=matcher,
            sessions=lambda: self.door.session_count,
            in_memory=settings.in_memory,
        )

    def on_batch(self, batch: CommittedBatch) -> None:
        """Deliver a batch: each user's reports first, then trades, books and the rest."""
        self.users.on_batch(batch)
        self.feeds.on_batch(batch)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of every path."""
        return [
            *self.door.routes(),
            *self._operator.routes(),
            *self._api.routes(),
            *documents.routes(),
        ]

    async def close(self, timeout_s: float) -> None:
        """Close every session and cancel every timer."""
        await self.door.close_all(timeout_s)
        self.feeds.stop()
        self.users.stop()
