"""The assembly: the only place where the order book server and the matching server meet."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import cast

import msgspec

import fastbook
from fastbook import reference
from fastbook_server.channels.channel import Channel
from fastbook_server.channels.order_channel import Matcher
from fastbook_server.channels.trade_channel import CommittedBatch
from fastbook_server.config import Config, ConfigError, Engine
from fastbook_server.dialects.binance.dialect import BinanceDialect, DialectSettings
from fastbook_server.gateway.admission import AdmissionOptions
from fastbook_server.gateway.door import Door, DoorOptions
from fastbook_server.gateway.http.history_queue import HistoryQueue, recent
from fastbook_server.gateway.leaderboard import Leaderboard
from fastbook_server.gateway.listener import SPARE_CONNECTIONS, Listener, url_of
from fastbook_server.gateway.market_views import Past
from fastbook_server.gateway.operator import Operator
from fastbook_server.gateway.order_book_server import GatewaySettings, OrderBookServer
from fastbook_server.gateway.per_address import PerAddress
from fastbook_server.gateway.session_limits import SessionLimits
from fastbook_server.gateway.upkeep import UpkeepWatch
from fastbook_server.matching.exchange import Exchange
from fastbook_server.matching.limits import ExchangeLimits
from fastbook_server.matching.pipeline import IDLE_CHECK_S, Pipeline
from fastbook_server.store import AccountBook, BatchStore, History, Store
from fastbook_server.values.clock import Clock, LoopClock
from fastbook_server.values.instruments import Instrument
from fastbook_server.values.persisted import Recovered

log = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 2.0
PAST_TIMEOUT_S = 900.0
"""For each query of a start: where candles are not aggregated yet, it may read a year of fills."""
BOOKS: dict[Engine, type[fastbook.OrderBook]] = {
    "cython": fastbook.OrderBook,
    "reference": cast("type[fastbook.OrderBook]", reference.OrderBook),  # the same calls and events
}
CLOCK_AHEAD_S = 5.0


class Server:
    """A running exchange; ``Server.start`` makes one."""

    def __init__(
        self,
        config: Config,
        store: Store,
        pipeline: Pipeline,
        batches: Channel[CommittedBatch],
        gateway: OrderBookServer,
        history: HistoryQueue,
        upkeep: UpkeepWatch,
        listener: Listener,
        port: int,
        dialect: BinanceDialect | None = None,
    ) -> None:
        self.host = config.host
        self.port = port
        self.pipeline = pipeline
        self.batches = batches
        self.gateway = gateway
        self._shutdown_s = config.shutdown_s
        self._tells_durable = config.durability == "commit"
        self._store = store
        self._history = history
        self._upkeep = upkeep
        self._listener = listener
        self.dialect = dialect
        self._committer = asyncio.create_task(pipeline.run(), name="committer")

    @classmethod
    async def start(
        cls,
        config: Config,
        store: Store,
        *,
        connections_max: int | None = None,
        clock: Clock | None = None,
        door: Callable[..., Door] = Door,
        operator: Callable[..., Operator] = Operator,
    ) -> Server:
        """Recover the past, listen, take orders; return the running server.

        `connections_max` bounds TCP connections, sessions and others. `clock` (None: the loop's),
        `door` and `operator` are for those who bring their own.

        Raises:
            StoreError: the database is away, or must not be served with these settings.
            ListenError: the address cannot be listened on.
        """
        clock = clock or LoopClock()
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(store.close)
            recovered = await _recover(config, store, clock)
            reader = store.history((*recovered.instruments, *recovered.unlisted))
            undo.push_async_callback(reader.close)
            upkeep = UpkeepWatch(reader, clock.time)
            undo.callback(upkeep.stop)
            await upkeep.look()
            past = await _past(config, store, recovered)
            history = _history(config, reader)
            batches: Channel[CommittedBatch] = Channel()
            pipeline = matching_server(config, recovered, store, batches, clock)
            leaderboard = await _leaderboard(config, recovered, reader)
            gateway = OrderBookServer(
                recovered,
                past,
                matcher=pipeline,
                history=history,
                clock=clock,
                settings=gateway_settings(config),
                door=door,
                operator=operator,
                leaderboard=leaderboard,
                upkeep=upkeep.latest,
            )
            batches.subscribe(gateway.on_batch, gateway.on_large_batch)
            if leaderboard is not None:
                batches.subscribe(leaderboard.on_batch, leaderboard.on_large_batch)
            accounts = store.account_book() if config.binance else None
            dialect = binance_dialect(config, recovered, past, pipeline, history, accounts, clock)
            if dialect is not None:
                batches.subscribe(dialect.on_batch, dialect.on_large_batch)
                undo.push_async_callback(dialect.stop)
                await dialect.start()
            entrance = listener(config, gateway, dialect, connections_max)
            port = await entrance.start(config.host, config.port)
            undo.pop_all()  # it runs: from here on `stop` ends it
        return cls(
            config, store, pipeline, batches, gateway, history, upkeep, entrance, port, dialect
        )

    @property
    def url(self) -> str:
        """``http://HOST:PORT`` of this server."""
        return url_of(self.host, self.port)

    async def failed(self) -> None:
        """Wait for the end of the committer.

        Raises:
            StoreError: the database was taken over, or refused a batch for good.
        """
        await asyncio.shield(self._committer)

    async def stop(self) -> bool:
        """Refuse orders, commit what was taken, close sockets; return whether nothing is lost.

        What could not be committed in time is lost only if clients were told of it: not if they see
        what is durable alone, and the committer has not failed.
        """
        self.gateway.door.refuse_new()
        self.pipeline.stop()
        done = await self._ended()
        committed = done and self._committer.exception() is None
        if not committed:
            left = self.pipeline.uncommitted_commands
            log.error("stopped with %d commands neither acknowledged nor stored", left)
        self._committer.cancel()
        await self.gateway.close(CLOSE_TIMEOUT_S)
        if self.dialect is not None:
            await self.dialect.stop()
        await self._listener.stop()
        self._upkeep.stop()
        await self._history.close()
        await self._store.close()
        return committed or (self._tells_durable and not done)

    async def _ended(self) -> bool:
        """Wait for the committer; return False once nothing has become durable for some time."""
        left = None
        while left != (left := self.pipeline.uncommitted_commands):
            done, _ = await asyncio.wait((self._committer,), timeout=self._shutdown_s)
            if done:
                return True
        return False


async def _recover(config: Config, store: Store, clock: Clock) -> Recovered:
    recovered = await store.open(
        config.instruments, config.last_trades, delist=config.delist, now_ms=clock.now_ms()
    )
    ahead_s = (recovered.time_ms - clock.now_ms()) / 1_000
    if ahead_s > CLOCK_AHEAD_S:
        log.warning("the last order is %.0f s ahead of the clock: time stands still", ahead_s)
    recovered = as_halted(recovered)
    if not recovered.time_ms:  # a new database: its empty books are as of now
        recovered = msgspec.structs.replace(recovered, time_ms=clock.now_ms())
    return recovered


def as_halted(recovered: Recovered) -> Recovered:
    """Return it with the instruments halted that the operator has halted."""
    halted = tuple(
        Instrument(i.number, i.security, i.tick, i.lot, "halted")
        if i.security in recovered.halted
        else i
        for i in recovered.instruments
    )
    return msgspec.structs.replace(recovered, instruments=halted)


async def _past(config: Config, store: Store, recovered: Recovered) -> Past:
    """Return the last candles and fills, however long it takes the database to make them."""
    patient = store.history(recovered.instruments, timeout_s=PAST_TIMEOUT_S)
    try:
        return await recent(
            patient,
            recovered.instruments,
            candles=config.last_candles,
            fills=config.last_trades,
        )
    finally:
        await patient.close()


async def _leaderboard(
    config: Config, recovered: Recovered, history: History
) -> Leaderboard | None:
    if not config.leaderboard:
        return None
    return Leaderboard(recovered.instruments, await history.holdings(), recovered.last_prices)


def _history(config: Config, reader: History) -> HistoryQueue:
    queries_max, waiting_max = config.history_queries_max, config.history_waiting_max
    return HistoryQueue(reader, queries_max=queries_max, waiting_max=waiting_max)


def binance_dialect(
    config: Config,
    recovered: Recovered,
    past: Past,
    matcher: Matcher,
    history: HistoryQueue,
    accounts: AccountBook | None,
    clock: Clock,
    *,
    shared: bool = False,
) -> BinanceDialect | None:
    """Return the dialect of these settings; None without accounts.

    `shared`: other gateways speak it too, over the same matcher.

    Raises:
        ConfigError: the instruments have no symbols that differ.
    """
    if accounts is None:
        return None
    try:
        return BinanceDialect(
            recovered,
            past,
            matcher=matcher,
            history=history,
            accounts=accounts,
            clock=clock,
            settings=DialectSettings(
                limited=config.binance_limits == "venue",
                trusted_proxies=config.trusted_proxies,
                shared=shared,
            ),
        )
    except ValueError as error:
        raise ConfigError(f"binance: {error}") from None


def listener(
    config: Config,
    gateway: OrderBookServer,
    dialect: BinanceDialect | None,
    connections_max: int | None,
) -> Listener:
    """Return what listens for the order book server, and for the dialect if there is one."""
    routes = [*gateway.routes(), *(dialect.routes() if dialect is not None else ())]
    connections_max = connections_max or config.sessions_max + SPARE_CONNECTIONS
    sessions_max = config.sessions_per_address_max
    per_address = PerAddress(
        gateway.proxies, sessions_max=sessions_max, connections_max=connections_max
    )
    directs = {} if dialect is None else dialect.directs()
    return Listener(routes, connections_max, per_address, directs)


def matching_server(
    config: Config,
    recovered: Recovered,
    store: BatchStore,
    batches: Channel[CommittedBatch],
    clock: Clock,
    *,
    idle_check_s: float = IDLE_CHECK_S,
) -> Pipeline:
    """Return the matcher of these settings, which makes batches durable in `store`."""
    limits = ExchangeLimits(
        open_orders_max=config.open_orders_max,
        open_orders_total_max=config.open_orders_total_max,
        client_order_ids_max=config.client_order_ids_max,
        client_order_ids_total_max=config.client_order_ids_total_max,
    )
    return Pipeline(
        Exchange(
            recovered,
            limits=limits,
            book_type=BOOKS[config.engine],
            accounts=config.binance,
            securities=[spec.security for spec in config.instruments],
        ),
        store,
        batches,
        batch_no=recovered.batch_no,
        time_ms=recovered.time_ms,
        clock=clock,
        durability=config.durability,
        batch_commands_max=config.batch_commands_max,
        inbox_commands_max=config.inbox_commands_max,
        uncommitted_events_max=config.uncommitted_events_max,
        idle_check_s=idle_check_s,
    )


def gateway_settings(config: Config) -> GatewaySettings:
    """Return what an order book server needs of the configuration."""
    return GatewaySettings(
        door=DoorOptions(
            limits=SessionLimits(
                commands_per_second_max=config.commands_per_second_max,
                cancels_per_second_reserve=config.cancels_per_second_reserve,
                refusals_per_second_max=config.refusals_per_second_max,
                subscriptions_max=config.subscriptions_max,
                outbox_bytes_soft=config.outbox_bytes_soft,
                outbox_bytes_max=config.outbox_bytes_max,
            ),
            admission=AdmissionOptions(
                host=config.host,
                allowed_origins=config.allowed_origins,
                token=config.token,
                sessions_max=config.sessions_max,
                sessions_per_address_max=config.sessions_per_address_max,
            ),
            throttle_ms=config.throttle_ms,
            frame_bytes_max=config.frame_bytes_max,
        ),
        depth=config.depth,
        last_trades=config.last_trades,
        last_candles=config.last_candles,
        resume_grace_s=config.resume_grace_s,
        withdraw_all=config.on_close == "cancel",
        cors_origins=config.cors_origins,
        trusted_proxies=config.trusted_proxies,
        admin_token=config.admin_token,
        in_memory=config.in_memory,
        binance=config.binance,
    )
