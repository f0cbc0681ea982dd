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
from fastbook_server.channels.trade_channel import CommittedBatch
from fastbook_server.config import Config, Engine
from fastbook_server.gateway.door import Door, DoorOptions
from fastbook_server.gateway.http.history_queue import HistoryQueue, recent
from fastbook_server.gateway.listener import SPARE_CONNECTIONS, Listener
from fastbook_server.gateway.operator import Operator
from fastbook_server.gateway.order_book_server import GatewaySettings, OrderBookServer
from fastbook_server.gateway.session import SessionLimits
from fastbook_server.matching.exchange import Exchange
from fastbook_server.matching.limits import ExchangeLimits
from fastbook_server.matching.pipeline import Pipeline
from fastbook_server.store import Store
from fastbook_server.values.clock import Clock, LoopClock
from fastbook_server.values.persisted import Recovered

log = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 2.0
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
        listener: Listener,
        port: int,
    ) -> None:
        self.host = config.host
        self.port = port
        self.pipeline = pipeline
        self.batches = batches
        self.gateway = gateway
        self._shutdown_s = config.shutdown_s
        self._store = store
        self._history = history
        self._listener = listener
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
            past = await recent(
                reader,
                recovered.instruments,
                candles=config.last_candles,
                fills=config.last_trades,
            )
            history = HistoryQueue(
                reader,
                queries_max=config.history_queries_max,
                waiting_max=config.history_waiting_max,
            )
            batches: Channel[CommittedBatch] = Channel()
            pipeline = _matching_server(config, recovered, store, batches, clock)
            settings = gateway_settings(config)
            gateway = OrderBookServer(
                recovered,
                past,
                matcher=pipeline,
                history=history,
                clock=clock,
                settings=settings,
                door=door,
                operator=operator,
            )
            batches.subscribe(gateway.on_batch)
            listener = Listener(
                gateway.routes(), connections_max or config.sessions_max + SPARE_CONNECTIONS
            )
            port = await listener.start(config.host, config.port)
            undo.pop_all()  # it runs: from here on `stop` ends it
        return cls(config, store, pipeline, batches, gateway, history, listener, port)

    @property
    def url(self) -> str:
        """``http://HOST:PORT`` of this server."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def failed(self) -> None:
        """Wait for the end of the committer.

        Raises:
            StoreError: the database was taken over, or refused a batch for good.
        """
        await asyncio.shield(self._committer)

    async def stop(self) -> bool:
        """Refuse orders, commit what was taken, close sockets; return whether all is committed."""
        self.gateway.door.refuse_new()
        self.pipeline.stop()
        done, _ = await asyncio.wait((self._committer,), timeout=self._shutdown_s)
        committed = bool(done) and self._committer.exception() is None
        if not committed:
            left = self.pipeline.uncommitted_commands
            log.error("stopped with %d commands neither acknowledged nor stored", left)
        self._committer.cancel()
        await self.gateway.close(CLOSE_TIMEOUT_S)
        await self._listener.stop()
        await self._history.close()
        await self._store.close()
        return committed


async def _recover(config: Config, store: Store, clock: Clock) -> Recovered:
    recovered = await store.open(
        config.instruments, config.last_trades, delist=config.delist, now_ms=clock.now_ms()
    )
    ahead_s = (recovered.time_ms - clock.now_ms()) / 1_000
    if ahead_s > CLOCK_AHEAD_S:
        log.warning("the last order is %.0f s ahead of the clock: time stands still", ahead_s)
    if not recovered.time_ms:  # a new database: its empty books are as of now
        recovered = msgspec.structs.replace(recovered, time_ms=clock.now_ms())
    return recovered


def _matching_server(
    config: Config,
    recovered: Recovered,
    store: Store,
    batches: Channel[CommittedBatch],
    clock: Clock,
) -> Pipeline:
    limits = ExchangeLimits(
        open_orders_max=config.open_orders_max,
        open_orders_total_max=config.open_orders_total_max,
        client_order_ids_max=config.client_order_ids_max,
        client_order_ids_total_max=config.client_order_ids_total_max,
    )
    return Pipeline(
        Exchange(recovered, limits=limits, book_type=BOOKS[config.engine]),
        store,
        batches,
        batch_no=recovered.batch_no,
        time_ms=recovered.time_ms,
        clock=clock,
        durability=config.durability,
        batch_commands_max=config.batch_commands_max,
        inbox_commands_max=config.inbox_commands_max,
        uncommitted_events_max=config.uncommitted_events_max,
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
            host=config.host,
            throttle_ms=config.throttle_ms,
            frame_bytes_max=config.frame_bytes_max,
            sessions_max=config.sessions_max,
            sessions_per_address_max=config.sessions_per_address_max,
            allowed_origins=config.allowed_origins,
        ),
        depth=config.depth,
        last_trades=config.last_trades,
        last_candles=config.last_candles,
        resume_grace_s=config.resume_grace_s,
        withdraw_all=config.on_close == "cancel",
        cors_origins=config.cors_origins,
        in_memory=config.in_memory,
    )
