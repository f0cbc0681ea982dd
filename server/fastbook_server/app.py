"""The assembly: the only place where the parts of the server meet.

``Server`` puts one together on any store; ``serve`` is the whole life of the ``fastbook serve``
process, from the private database to the last closed socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
from aiohttp import web

from fastbook_server import clock
from fastbook_server.channels import Channels
from fastbook_server.config import Config
from fastbook_server.embedded.supervisor import EmbeddedPostgres, default_data_dir
from fastbook_server.exchange import Exchange, ExchangeLimits, Withdraw
from fastbook_server.feeds import Feeds
from fastbook_server.market_data import MarketData
from fastbook_server.pipeline import Pipeline, Unavailable
from fastbook_server.routes import Gateway, GatewayOptions
from fastbook_server.session import SessionLimits
from fastbook_server.snapshots import Snapshots
from fastbook_server.store import Store
from fastbook_server.store.postgres import PostgresStore
from fastbook_server.users import TokenMaker, Users

log = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 2.0


class PortTakenError(OSError):
    """Somebody else listens where this server should; the message says what to do."""


class Server:
    """A running exchange on a given store; `now_ms` stamps, for tests that own the time."""

    def __init__(
        self, config: Config, store: Store, *, now_ms: Callable[[], int] = clock.time_ms
    ) -> None:
        self._config = config
        self._store = store
        self._now_ms = now_ms
        self._serving = False
        self._runner: web.AppRunner | None = None
        self._committer: asyncio.Task[None] | None = None
        self.host = config.host
        self.port = config.port

    async def start(self) -> None:
        """Recover, listen and take orders.

        Raises:
            StoreError: the database is away or must not be served with these settings.
            OSError: the address cannot be listened on.
        """
        config = self._config
        timers = asyncio.get_running_loop()
        recovered = await self._store.open(config.instruments, config.last_trades)
        if not recovered.time_ms:  # a new database: its empty books are of now
            recovered = msgspec.structs.replace(recovered, time_ms=self._now_ms())
        self.exchange = exchange = Exchange(
            recovered,
            limits=ExchangeLimits(
                open_orders_max=config.open_orders_max,
                open_orders_total_max=config.open_orders_total_max,
                client_order_ids_max=config.client_order_ids_max,
                client_order_ids_total_max=config.client_order_ids_total_max,
            ),
        )
        self.market_data = market_data = MarketData(
            recovered, rows_max=config.depth, trades_max=config.last_trades
        )
        channels = Channels()
        self.pipeline = Pipeline(
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
        self.snapshots = Snapshots(market_data, interval_s)
        channels.orders.subscribe(self.users.deliver)
        self._feeds = Feeds(market_data, self.snapshots, channels, timers, interval_s)
        self._gateway = Gateway(
            instruments=recovered.instruments,
            epoch=recovered.epoch,
            pipeline=self.pipeline,
            feeds=self._feeds,
            users=self.users,
            options=_gateway_options(config),
            is_ready=lambda: self._serving and self.pipeline.available,
            now_ms=self._now_ms,
        )
        self._committer = asyncio.create_task(self.pipeline.run(), name="committer")
        await self._listen()
        self._serving = True

    async def _listen(self) -> None:
        app = web.Application()
        app.add_routes(self._gateway.routes())
        runner = self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        host, port = self._config.host, self._config.port
        try:
            await web.TCPSite(runner, host, port, backlog=1024).start()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise PortTakenError(
                f"port {port} of {host} is taken: name another with --port, "
                "or let the system choose with --port 0"
            ) from None
        self.port = runner.addresses[0][1]

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
        if self._runner is not None:
            await self._runner.cleanup()
        await self._store.close()
        return committed

    def _withdraw(self, user_id: str) -> bool:
        try:
            self.pipeline.submit(user_id, Withdraw())
        except Unavailable:
            return False
        return True


def _gateway_options(config: Config) -> GatewayOptions:
    return GatewayOptions(
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


def data_dir(config: Config) -> Path:
    """Return the folder of the private PostgreSQL."""
    return Path(config.data_dir) if config.data_dir is not None else default_data_dir()


async def serve(
    config: Config, company: Callable[[Server], contextlib.AbstractAsyncContextManager[None]]
) -> int:
    """Run a server until a signal or a failure; returns the exit code of the process.

    `company` is entered once it serves and the signal handlers are in, and left before it stops.
    0: stopped by SIGTERM, 130: by SIGINT, 1: the database is lost for good or not all could be
    committed.
    """
    stop = _signals()
    postgres: EmbeddedPostgres | None = None
    dsn = config.database_url
    try:
        if dsn is None:
            postgres = EmbeddedPostgres(data_dir(config))
            dsn = await postgres.start()
        server = Server(config, PostgresStore(dsn, checkpoint_every=config.store_checkpoint_every))
        try:
            await server.start()
            async with company(server):
                code = await _until_stopped(server, stop)
        finally:
            committed = await server.stop()
        return code if committed else 1
    finally:
        if postgres is not None:
            await postgres.stop()


def _signals() -> asyncio.Future[int]:
    """Return a future that a signal resolves with the exit code it asks for."""
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[int] = loop.create_future()

    def on_signal(code: int) -> None:
        if not stop.done():
            stop.set_result(code)

    for number, code in ((signal.SIGTERM, 0), (signal.SIGINT, 130)):
        loop.add_signal_handler(number, on_signal, code)
    return stop


async def _until_stopped(server: Server, stop: asyncio.Future[int]) -> int:
    failed = asyncio.ensure_future(server.failed())
    await asyncio.wait((failed, stop), return_when=asyncio.FIRST_COMPLETED)
    if stop.done():
        failed.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await failed
        return stop.result()
    log.critical("stopping: %s", failed.exception())
    return 1
