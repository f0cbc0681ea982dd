"""The order book server: everything between the sockets and the channels, over one matcher."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec
from aiohttp import web

from fastbook_server.channels.order_channel import Matcher
from fastbook_server.channels.trade_channel import CommittedBatch
from fastbook_server.gateway.admin import Admin
from fastbook_server.gateway.dead_man_switches import DeadManSwitches
from fastbook_server.gateway.door import Door, DoorOptions
from fastbook_server.gateway.feeds import Feeds, Pace
from fastbook_server.gateway.http.api import HttpApi
from fastbook_server.gateway.http.documents.handlers import Documents
from fastbook_server.gateway.http.history_queue import HistoryQueue
from fastbook_server.gateway.leaderboard import Leaderboard
from fastbook_server.gateway.market_views import MarketPart, MarketViews, Past
from fastbook_server.gateway.open_order_counts import OpenOrderCounts
from fastbook_server.gateway.operator import Operator
from fastbook_server.gateway.proxies import Proxies
from fastbook_server.gateway.snapshots import Snapshots
from fastbook_server.gateway.users import Hold, TokenMaker, Users
from fastbook_server.store import Upkeep
from fastbook_server.values.clock import Clock
from fastbook_server.values.events import OperatorActed
from fastbook_server.values.instruments import Instrument
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
    trusted_proxies: tuple[str, ...]
    admin_token: str | None
    in_memory: bool  # no database keeps what happens
    binance: bool = False  # there are accounts, for bots


STATUS_AFTER: dict[str, Literal["open", "halted"]] = {
    "halt": "halted",
    "delist": "halted",
    "resume": "open",
}


class OrderBookServer:
    """Users, views, feeds, the HTTP API, the door and the operator, assembled over one matcher.

    All it knows of the market is `recovered`, the candles of the `past`, and the batches it is
    given; `on_batch` must be called with every batch that follows `recovered`. The `leaderboard`
    that it shows, if any, follows them by itself. Where a market is divided, the `parts` are its
    shards. With `hold` there are other gateways over the same matcher; see `Users`.
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
        leaderboard: Leaderboard | None = None,
        upkeep: Callable[[], Upkeep] = Upkeep,
        parts: Mapping[str, MarketPart] | None = None,
        hold: Hold | None = None,
    ) -> None:
        self._instruments = recovered.instruments
        interval_s = settings.door.throttle_ms / 1_000
        self.proxies = Proxies(settings.trusted_proxies)
        self.views = _market_views(recovered, past, settings, parts)
        tokens = TokenMaker(recovered.token_key)
        open_orders = OpenOrderCounts(recovered.open_orders)
        self.users = _users(tokens, recovered, matcher, clock, settings, open_orders, hold)
        self.snapshots = Snapshots(self.views, interval_s)
        pace = Pace(clock, interval_s)
        self.feeds = Feeds(self.views, self.snapshots, pace, candles_max=settings.last_candles)
        self._api = _api(recovered, self.views, history, tokens, settings, leaderboard)
        self.door = door(
            instruments=recovered.instruments,
            epoch=recovered.epoch,
            matcher=matcher,
            feeds=self.feeds,
            users=self.users,
            history=history,
            options=settings.door,
            proxies=self.proxies,
            clock=clock,
        )
        self._admin = _admin(settings, matcher, self.door, recovered)
        self._operator = operator(
            instruments=recovered.instruments,
            epoch=recovered.epoch,
            matcher=matcher,
            sessions=lambda: self.door.session_count,
            open_orders=open_orders.total,
            unsent=lambda: self.door.unsent_bytes,
            proxies=self.proxies,
            in_memory=settings.in_memory,
            binance=settings.binance,
            leaderboard=leaderboard is not None,
            needs_token=settings.door.admission.token is not None,
            draining=lambda: self._admin is not None and self._admin.draining,
            upkeep=upkeep,
        )

    def on_batch(self, batch: CommittedBatch) -> None:
        """Deliver a batch: each user's reports first, then trades, books and the rest."""
        if batch.operator_actions:
            self._follow_operator(batch.operator_actions)
        self.users.on_batch(batch)
        self.feeds.on_batch(batch)

    def on_large_batch(self, batch: CommittedBatch) -> Iterator[None]:
        """Do the same in steps; until the last one books and trades are as they were before."""
        if batch.operator_actions:
            self._follow_operator(batch.operator_actions)
        yield from self.users.on_large_batch(batch)
        yield from self.feeds.on_large_batch(batch)

    def _follow_operator(self, actions: Sequence[OperatorActed]) -> None:
        """Tell clients from now on which securities are halted, and the operator what is done."""
        status = {a.security: STATUS_AFTER[a.action] for a in actions if a.action in STATUS_AFTER}
        self._instruments = tuple(
            Instrument(i.number, i.security, i.tick, i.lot, status.get(i.security, i.status))
            for i in self._instruments
        )
        self.door.quote(self._instruments)
        self._api.quote(self._instruments)
        if self._admin is not None:
            self._admin.on_actions(actions)

    def claimed(self, epoch: int) -> None:
        """Tell clients of another epoch from now on: another matcher has taken over."""
        self.door.claimed(epoch)
        self._operator.claimed(epoch)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of every path."""
        return [
            *self.door.routes(),
            *self._operator.routes(),
            *self._api.routes(),
            *(self._admin.routes() if self._admin is not None else ()),
            *Documents(self.proxies).routes(),
        ]

    async def close(self, timeout_s: float) -> None:
        """Close every session and cancel every timer."""
        await self.door.close_all(timeout_s)
        self.feeds.stop()
        self.users.stop()


def _market_views(
    recovered: Recovered,
    past: Past,
    settings: GatewaySettings,
    parts: Mapping[str, MarketPart] | None,
) -> MarketViews:
    return MarketViews(
        recovered,
        past,
        parts=parts,
        rows_max=settings.depth,
        trades_max=settings.last_trades,
        candles_max=settings.last_candles,
    )


def _api(
    recovered: Recovered,
    views: MarketViews,
    history: HistoryQueue,
    tokens: TokenMaker,
    settings: GatewaySettings,
    leaderboard: Leaderboard | None,
) -> HttpApi:
    return HttpApi(
        instruments=recovered.instruments,
        views=views,
        history=history,
        tokens=tokens,
        interval_s=settings.door.throttle_ms / 1_000,
        cors_origins=settings.cors_origins,
        leaderboard=leaderboard,
    )


def _users(
    tokens: TokenMaker,
    recovered: Recovered,
    matcher: Matcher,
    clock: Clock,
    settings: GatewaySettings,
    open_orders: OpenOrderCounts,
    hold: Hold | None,
) -> Users:
    return Users(
        tokens,
        clock,
        grace_s=settings.resume_grace_s,
        submit=matcher.submit,
        open_orders=open_orders,
        switches=DeadManSwitches(clock, matcher.submit, recovered.cancel_rules),
        recovered=recovered.cancel_rules,
        withdraw_all=settings.withdraw_all,
        hold=hold,
    )


def _admin(
    settings: GatewaySettings, matcher: Matcher, door: Door, recovered: Recovered
) -> Admin | None:
    if settings.admin_token is None:
        return None
    securities = [i.security for i in recovered.instruments]
    return Admin(settings.admin_token, matcher=matcher, door=door, securities=securities)
