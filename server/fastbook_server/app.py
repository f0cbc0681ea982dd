"""The assembly: the only place where the parts of the server meet."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec

from fastbook_server.channels.channel import Channels
from fastbook_server.channels.matcher import Unavailable, Withdraw
from fastbook_server.config import Config
from fastbook_server.gateway.door import Door, DoorOptions
from fastbook_server.gateway.feeds import Feeds, Pace
from fastbook_server.gateway.http.api import HttpApi
from fastbook_server.gateway.http.documents import routes as documents
from fastbook_server.gateway.http.history import HistoryQueue, recent
from fastbook_server.gateway.listener import SPARE_CONNECTIONS, Listener
from fastbook_server.gateway.session import SessionLimits
from fastbook_server.gateway.snapshots import Snapshots
from fastbook_server.gateway.users import TokenMaker, Users
from fastbook_server.gateway.views import MarketData
from fastbook_server.matching.exchange import Exchange, ExchangeLimits
from fastbook_server.matching.pipeline import Pipeline
from fastbook_server.store import Store
from fastbook_server.values import clock
from fastbook_server.values.clock import Timers
from fastbook_server.values.persisted import Recovered

log = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 2.0
CLOCK_AHEAD_S = 5.0


class Server:
    """A running exchange on a given store.

    `connections_max` bounds TCP connections, sessions and others. `now_ms` stamps and `timers` let
    things happen later (None: the loop's), for tests that own the time; `gateway` makes the door.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        *,
        connections_max: int | None = None,
        now_ms: Callable[[], int] = clock.time_ms,
        timers: Timers | None = None,
        gateway: Callable[..., Door] = Door,
    ) -> None:
        self._connections_max = connections_max or config.sessions_max + SPARE_CONNECTIONS
        self._config = config
        self._store = store
        self._now_ms = now_ms
        self._timers = timers
        self._new_gateway = gateway
        self._serving = False
        self._past: HistoryQueue | None = None
        self._listener: Listener | None = None
        self._committer: asyncio.Task[None] | None = None
        self.host = config.host
        self.port = config.port

    async def start(self) -> None:
        """Recover, listen and take orders.

        Raises:
            StoreError: the database is away or must not be served with these settings.
            OSError: the address cannot be listened on.
        """
        recovered = await self._recover()
        config = self._config
        history = self._store.history(recovered.instruments)
        self._past = past = HistoryQueue(
            history,
            queries_max=config.history_queries_max,
            waiting_max=config.history_waiting_max,
        )
        self.market_data = MarketData(
            recovered,
            await recent(history, recovered.instruments, config.last_candles),
            rows_max=config.depth,
            trades_max=config.last_trades,
            candles_max=config.last_candles,
        )
        self._assemble(recovered, past, self._timers or asyncio.get_running_loop())
        self._committer = asyncio.create_task(self.pipeline.run(), name="committer")
        routes = [*self._gateway.routes(), *self._api.routes(), *documents.routes()]
        self._listener = Listener(routes, self._connections_max)
        self.port = await self._listener.start(config.host, config.port)
        self._serving = True

    async def _recover(self) -> Recovered:
        config = self._config
        recovered = await self._store.open(config.instruments, config.last_trades)
        ahead_s = (recovered.time_ms - self._now_ms()) / 1_000
        if ahead_s > CLOCK_AHEAD_S:
            log.warning(
                "the last order is %.0f s ahead of the clock: time stands still",
                ahead_s,
            )
        if not recovered.time_ms:  # a new database: its empty books are of now
            recovered = msgspec.structs.replace(recovered, time_ms=self._now_ms())
        return recovered

    def _assemble(self, recovered: Recovered, past: HistoryQueue, timers: Timers) -> None:
        config = self._config
        self.exchange = exchange = Exchange(recovered, limits=_exchange_limits(config))
        self.channels = channels = Channels()
        self.pipeline = pipeline = Pipeline(
            exchange,
            self._store,
            channels,
            batch_no=recovered.batch_no,
            time_ms=recovered.time_ms,
            timers=timers,
            durability=config.durability,
            batch_commands_max=config.batch_commands_max,
            inbox_commands_max=config.inbox_commands_max,
            uncommitted_events_max=config.uncommitted_events_max,
            now_ms=self._now_ms,
        )
        self.users = Users(
            TokenMaker(recovered.token_key),
            timers,
            grace_s=config.resume_grace_s,
            withdraw=self._withdraw,
            has_open_orders=exchange.has_open_orders,
            recovered=exchange.users_with_open_orders(),
            withdraw_all=config.on_close == "cancel",
        )
        interval_s = config.throttle_ms / 1_000
        self.snapshots = Snapshots(self.market_data, interval_s)
        channels.orders.subscribe(self.users.deliver)
        self._feeds = Feeds(
            self.market_data,
            self.snapshots,
            channels,
            Pace(timers, interval_s, pipeline.published_until_ms),
            candles_max=config.last_candles,
        )
        self._api = HttpApi(
            instruments=recovered.instruments,
            market_data=self.market_data,
            past=past,
            interval_s=interval_s,
            settled_ms=pipeline.committed_until_ms,
            now_ms=pipeline.published_until_ms,
            cors_origins=config.cors_origins,
        )
        self._gateway = self._new_gateway(
            instruments=recovered.instruments,
            epoch=recovered.epoch,
            matcher=pipeline,
            feeds=self._feeds,
            users=self.users,
            options=_gateway_options(config),
            is_ready=lambda: self._serving and pipeline.available,
            now_ms=self._now_ms,
        )

    @property
    def url(self) -> str:
        """``http://HOST:PORT`` of this server."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def failed(self) -> None:
        """Wait for the committer's end.

        Raises:
            StoreError: the database was taken over, or refused a batch for good.
        """
        assert self._committer is not None, "not started"
        await asyncio.shield(self._committer)

    async def stop(self) -> bool:
        """Refuse orders, commit what was taken, close sockets; return whether all is committed."""
        self._serving = False
        committed = True
        if self._committer is not None:
            self._gateway.refuse_new()
            self.pipeline.stop()
            done, _ = await asyncio.wait((self._committer,), timeout=self._config.shutdown_s)
            committed = bool(done) and self._committer.exception() is None
            if not committed:
                left = self.pipeline.uncommitted_commands
                log.error("stopped with %d commands neither acknowledged nor stored", left)
            self._committer.cancel()
            await self._gateway.close_all(CLOSE_TIMEOUT_S)
            self._feeds.stop()
            self.users.stop()
        if self._listener is not None:
            await self._listener.stop()
        if self._past is not None:
            await self._past.close()
        await self._store.close()
        return committed

    def _withdraw(self, user_id: str) -> bool:
        try:
            self.pipeline.submit(user_id, Withdraw())
        except Unavailable:
            return False
        return True


def _exchange_limits(config: Config) -> ExchangeLimits:
    return ExchangeLimits(
        open_orders_max=config.open_orders_max,
        open_orders_total_max=config.open_orders_total_max,
        client_order_ids_max=config.client_order_ids_max,
        client_order_ids_total_max=config.client_order_ids_total_max,
    )


def _gateway_options(config: Config) -> DoorOptions:
    return DoorOptions(
        limits=SessionLimits(
            commands_per_second_max=config.commands_per_second_max,
            subscriptions_max=config.subscriptions_max,
            outbox_bytes_soft=config.outbox_bytes_soft,
            outbox_bytes_max=config.outbox_bytes_max,
        ),
        host=config.host,
        throttle_ms=config.throttle_ms,
        frame_bytes_max=config.frame_bytes_max,
        sessions_max=config.sessions_max,
        sessions_per_address_max=config.sessions_per_address_max,
        allowed_origins=config.allowed_origins,
        withdraw_on_close=config.on_close == "cancel",
    )
