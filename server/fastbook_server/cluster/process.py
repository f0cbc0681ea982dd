"""The lives of a cluster's processes, each from its first connection to its last."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TypeVar

from fastbook_server.cluster.gateway import GatewayServer
from fastbook_server.cluster.health import Health
from fastbook_server.cluster.history import RecordedHistory, read_snapshot
from fastbook_server.cluster.log import LogUnavailable
from fastbook_server.cluster.matcher import ClusterMatcher
from fastbook_server.cluster.nats.connection import NatsConnection, tls_context
from fastbook_server.cluster.nats.line import NatsLine
from fastbook_server.cluster.nats.stream import NatsLog
from fastbook_server.cluster.recorder import LogRecorder
from fastbook_server.cluster.roll_call import Answer, answer
from fastbook_server.cluster.settings import ClusterSettings
from fastbook_server.config import Config, ConfigError
from fastbook_server.gateway.listener import url_of
from fastbook_server.service_manager import ServiceManager
from fastbook_server.stop_signals import StoppedError, stop_signal, unless_stopped
from fastbook_server.store import StoreUnavailable
from fastbook_server.store.postgres import PostgresStore
from fastbook_server.values.clock import LoopClock

log = logging.getLogger(__name__)

T = TypeVar("T")

Ready = Callable[[str], None]
"""Called with the URL of a process once it serves."""

NOT_HERE = {
    "durability": "in a cluster, what clients are told is always durable",
    "delist": "stop the cluster, delist with fastbook serve, and start it again",
    "standby": "every matcher stands by until the owner is gone",
}
RETRY_S = 0.5
SAY_EVERY_S = 10.0


async def run_gateway(config: Config, settings: ClusterSettings, ready: Ready) -> int:
    """Run a gateway until a signal or a failure; return the exit code of the process.

    Raises:
        ConfigError: a setting has no meaning in a cluster.
    """
    _check(config)
    return await _live(partial(_gateway, config, settings), ready)


async def run_matcher(config: Config, settings: ClusterSettings, ready: Ready) -> int:
    """Run a matcher, which stands by until it owns the market; return the exit code.

    Raises:
        StoreFenced: another has taken over; start again as standby.
        ConfigError: a setting has no meaning in a cluster.
    """
    _check(config)
    return await _live(partial(_matcher, config, settings), ready)


async def run_recorder(config: Config, settings: ClusterSettings, ready: Ready) -> int:
    """Run a recorder until a signal or a failure; return the exit code of the process.

    Raises:
        ConfigError: a setting has no meaning in a cluster.
    """
    _check(config)
    return await _live(partial(_recorder, config, settings), ready)


async def connect(settings: ClusterSettings, name: str) -> NatsConnection:
    """Return a connection to the servers that keep the log.

    Raises:
        LogUnavailable: none of them answers.
        ConfigError: a certificate cannot be read.
    """
    tls = None
    if settings.nats_authorities is not None:
        try:
            tls = tls_context(
                settings.nats_authorities, settings.nats_certificate, settings.nats_key
            )
        except OSError as error:
            raise ConfigError(f"the certificates of NATS: {error}") from None
    return await NatsConnection.connect(
        settings.log_urls,
        name=name,
        user=settings.nats_user,
        password=settings.nats_password,
        tls=tls,
    )


Life = Callable[[asyncio.Future[int]], Awaitable[int]]


async def _live(life: Callable[[Ready], Life], ready: Ready) -> int:
    manager = ServiceManager.of(os.environ)

    def serves(url: str) -> None:
        ready(url)
        manager.ready(f"serving at {url}")

    try:
        return await life(serves)(stop_signal())
    except StoppedError as stopped:
        return stopped.code
    finally:
        manager.stopping()


def _gateway(config: Config, settings: ClusterSettings, ready: Ready) -> Life:
    async def live(stop: asyncio.Future[int]) -> int:
        async with _joined(settings, "gateway", stop) as (log_, line):
            store = PostgresStore(_dsn(config))  # asked for nothing but its position
            starting = _patiently(lambda: _begin(config, settings, log_, line, store))
            server = await unless_stopped(stop, starting)

            def say() -> Answer:
                reader, router = server.reader, server.router
                return Answer(
                    role="gateway",
                    state="ready" if router.available else "unavailable",
                    read=reader.number,
                    epoch=reader.epoch,
                    waiting=router.uncommitted_commands,
                    answered=router.answered,
                    sessions=server.gateway.door.session_count,
                    url=server.url,
                )

            answered = False
            try:
                await unless_stopped(stop, _patiently(lambda: answer(line, settings.shard, say)))
                ready(server.url)
                code = await _until(stop, server.failed())
            finally:
                answered = await server.stop()
                await store.close()
            return code if answered else 1

    return live


def _matcher(config: Config, settings: ClusterSettings, ready: Ready) -> Life:
    async def live(stop: asyncio.Future[int]) -> int:
        async with _joined(settings, "matcher", stop) as (log_, line):
            store = PostgresStore(_dsn(config))
            accounts = store.account_book() if config.binance else None
            snapshot = await unless_stopped(
                stop, _patiently(lambda: read_snapshot(store, config, with_past=False))
            )
            matcher = ClusterMatcher(
                config,
                log_,
                line,
                snapshot.recovered,
                LoopClock(),
                shard=settings.shard,
                takeover_s=settings.takeover_s,
                accounts=accounts,
            )

            def say() -> Answer:
                return Answer(
                    role="matcher",
                    state=matcher.state,
                    read=matcher.read,
                    epoch=matcher.epoch,
                    waiting=matcher.uncommitted_commands,
                    url=url,
                )

            health = Health(say, lambda: matcher.owns)
            port = await health.start(config.host, config.port)
            url = url_of(config.host, port)
            living = asyncio.ensure_future(matcher.run())
            try:
                await unless_stopped(stop, _patiently(lambda: answer(line, settings.shard, say)))
                ready(url)
                await asyncio.wait((living, stop), return_when=asyncio.FIRST_COMPLETED)
                matcher.stop()
                await living
                return stop.result() if stop.done() else 0
            finally:
                living.cancel()
                await health.stop()
                if accounts is not None:
                    await accounts.close()

    return live


def _recorder(config: Config, settings: ClusterSettings, ready: Ready) -> Life:
    async def live(stop: asyncio.Future[int]) -> int:
        async with _joined(settings, "recorder", stop) as (log_, line):
            store = PostgresStore(
                _dsn(config),
                checkpoint_every=config.store_checkpoint_every,
                compress_after_days=config.compress_after_days,
                retain_days=config.retain_days,
            )
            await unless_stopped(stop, _create(log_, store, config, settings))
            recorder = LogRecorder(log_, store, config.instruments, LoopClock())

            def say() -> Answer:
                position = recorder.position
                return Answer(
                    role="recorder",
                    state="ready" if recorder.ready else "behind",
                    read=position.batch_no,
                    epoch=position.epoch,
                    behind_s=round(recorder.behind_s, 3),
                    url=url,
                )

            health = Health(say, lambda: recorder.ready)
            port = await health.start(config.host, config.port)
            url = url_of(config.host, port)
            try:
                await unless_stopped(stop, _patiently(lambda: answer(line, settings.shard, say)))
                ready(url)
                return await _until(
                    stop, recorder.run(), lambda: recorder.finish(config.shutdown_s)
                )
            finally:
                await health.stop()
                await store.close()

    return live


# ---- steps of a life ----------------------------------------------------------------------------


async def _begin(
    config: Config, settings: ClusterSettings, log_: NatsLog, line: NatsLine, store: PostgresStore
) -> GatewayServer:
    """Return a gateway that has read the log up to its end, and listens."""
    snapshot = await read_snapshot(store, config)
    instruments = (*snapshot.recovered.instruments, *snapshot.recovered.unlisted)
    return await GatewayServer.start(
        config,
        log_,
        line,
        snapshot,
        lambda read: RecordedHistory(store.history(instruments), store.position, read),
        LoopClock(),
        shard=settings.shard,
        accounts=store.account_book() if config.binance else None,
    )


@contextlib.asynccontextmanager
async def _joined(
    settings: ClusterSettings, role: str, stop: asyncio.Future[int]
) -> AsyncIterator[tuple[NatsLog, NatsLine]]:
    """Lend the log and the line."""
    connection = await unless_stopped(
        stop, _patiently(lambda: connect(settings, f"fastbook {role}"))
    )
    try:
        yield NatsLog(connection, settings.shard), NatsLine(connection)
    finally:
        await connection.close()


async def _create(
    log_: NatsLog, store: PostgresStore, config: Config, settings: ClusterSettings
) -> None:
    """Prepare the database, and the log that goes on where it ends."""

    async def created() -> None:
        await store.open_to_record(config.instruments)
        position = await store.position()
        await log_.create_stream(
            first_sequence=position.batch_no + 1,
            replicas=settings.replicas,
            bytes_max=settings.log_bytes_max,
        )

    await _patiently(created)


async def _patiently(step: Callable[[], Awaitable[T]]) -> T:
    """Take a step as soon as log and database let us, and say now and then what is wrong."""
    said_s = -SAY_EVERY_S
    loop = asyncio.get_running_loop()
    while True:
        try:
            return await step()
        except (LogUnavailable, StoreUnavailable) as error:
            if loop.time() - said_s >= SAY_EVERY_S:
                said_s = loop.time()
                log.warning("waiting: %s", error)
            await asyncio.sleep(RETRY_S)


async def _until(
    stop: asyncio.Future[int],
    working: Awaitable[None],
    at_last: Callable[[], Awaitable[object]] | None = None,
) -> int:
    """Work until a signal, and until all is done `at_last`; return the signal's code.

    Raises:
        Exception: the work has failed.
    """
    work = asyncio.ensure_future(working)
    await asyncio.wait((work, stop), return_when=asyncio.FIRST_COMPLETED)
    if stop.done():
        if at_last is not None and not work.done():
            await at_last()
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        return stop.result()
    work.result()
    return 0


def _check(config: Config) -> None:
    """Refuse settings that would be passed over in silence.

    Raises:
        ConfigError: one of them is set.
    """
    _dsn(config)
    for name, why in NOT_HERE.items():
        if getattr(config, name) != getattr(Config(), name):
            raise ConfigError(f"{name}: {why}")


def _dsn(config: Config) -> str:
    if config.database_url is None:
        raise ConfigError("database_url: expected that of the database which all share, got none")
    return config.database_url
