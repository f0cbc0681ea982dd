"""The lives of a cluster's processes, each from its first connection to its last."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import TypeVar

from fastbook_server.cluster.gateway import GatewayServer, together
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
from fastbook_server.store import StoreRefused, StoreUnavailable
from fastbook_server.store.postgres import PostgresStore
from fastbook_server.values.clock import LoopClock
from fastbook_server.values.shards import Shards

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
    shards = _shards(config, settings)

    async def live(stop: asyncio.Future[int]) -> int:
        async with _joined(settings, "gateway", stop) as connection:
            line = NatsLine(connection)
            store = PostgresStore(_dsn(config), shards=shards)  # asked for its positions alone
            logs = {name: NatsLog(connection, name) for name in shards.names}
            starting = _patiently(lambda: _begin(config, shards, logs, line, store))
            server = await unless_stopped(stop, starting)

            def say(shard: str) -> Answer:
                reader = server.readers[shard]
                return Answer(
                    role="gateway",
                    state="ready" if reader.router.available else "unavailable",
                    read=reader.number,
                    epoch=reader.epoch,
                    waiting=reader.router.uncommitted_commands,
                    answered=reader.router.answered,
                    sessions=server.gateway.door.session_count,
                    url=server.url,
                    shard=shards.label(shard),
                )

            answered = False
            try:
                await unless_stopped(stop, _patiently(lambda: _answer_all(line, shards, say)))
                ready(server.url)
                code = await _until(stop, server.failed())
            finally:
                answered = await server.stop()
                await store.close()
            return code if answered else 1

    return live


def _matcher(config: Config, settings: ClusterSettings, ready: Ready) -> Life:
    shards = _shards(config, settings)
    shard = settings.shard
    if shard not in shards.names:
        raise ConfigError(f"shard: expected one of {', '.join(shards.names)}, got {shard}")

    async def live(stop: asyncio.Future[int]) -> int:
        async with _joined(settings, "matcher", stop) as connection:
            line = NatsLine(connection)
            store = PostgresStore(_dsn(config), shards=shards)
            accounts = store.account_book() if config.binance else None
            snapshot = await unless_stopped(
                stop, _patiently(lambda: read_snapshot(store, config, with_past=False))
            )
            matcher = ClusterMatcher(
                config,
                NatsLog(connection, shard),
                line,
                snapshot.parts[shard],
                LoopClock(),
                shard=shard,
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
                    shard=shards.label(shard),
                )

            health = Health(lambda: [say()], lambda: matcher.owns)
            port = await health.start(config.host, config.port)
            url = url_of(config.host, port)
            living = asyncio.ensure_future(matcher.run())
            try:
                await unless_stopped(stop, _patiently(lambda: answer(line, shard, say)))
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
    shards = _shards(config, settings)

    async def live(stop: asyncio.Future[int]) -> int:
        async with _joined(settings, "recorder", stop) as connection:
            line = NatsLine(connection)
            stores = {name: _record_store(config, shards, name) for name in shards.names}
            await unless_stopped(stop, _create(connection, stores, config, settings))
            recorders = {
                name: LogRecorder(NatsLog(connection, name), store, config.instruments, LoopClock())
                for name, store in stores.items()
            }

            def say(shard: str) -> Answer:
                recorder = recorders[shard]
                return Answer(
                    role="recorder",
                    state="ready" if recorder.ready else "behind",
                    read=recorder.position.batch_no,
                    epoch=recorder.position.epoch,
                    behind_s=round(recorder.behind_s, 3),
                    url=url,
                    shard=shards.label(shard),
                )

            every = recorders.values()
            health = Health(
                lambda: [say(name) for name in recorders],
                lambda: all(recorder.ready for recorder in every),
            )
            port = await health.start(config.host, config.port)
            url = url_of(config.host, port)
            try:
                await unless_stopped(stop, _patiently(lambda: _answer_all(line, shards, say)))
                ready(url)
                return await _until(
                    stop,
                    together([recorder.run() for recorder in every]),
                    lambda: together([each.finish(config.shutdown_s) for each in every]),
                )
            finally:
                await health.stop()
                for store in stores.values():
                    await store.close()

    return live


def _record_store(config: Config, shards: Shards, shard: str) -> PostgresStore:
    return PostgresStore(
        _dsn(config),
        checkpoint_every=config.store_checkpoint_every,
        compress_after_days=config.compress_after_days,
        retain_days=config.retain_days,
        shards=shards,
        shard=shard,
    )


# ---- steps of a life ----------------------------------------------------------------------------


async def _begin(
    config: Config,
    shards: Shards,
    logs: Mapping[str, NatsLog],
    line: NatsLine,
    store: PostgresStore,
) -> GatewayServer:
    """Return a gateway that has read the logs up to their ends, and listens."""
    snapshot = await read_snapshot(store, config)
    first = snapshot.parts[shards.first]
    instruments = (*first.instruments, *first.unlisted)  # those of other shards among them
    return await GatewayServer.start(
        config,
        logs,
        line,
        snapshot,
        lambda read: RecordedHistory(store.history(instruments), store.positions, read),
        LoopClock(),
        shards=shards,
        accounts=store.account_book() if config.binance else None,
    )


@contextlib.asynccontextmanager
async def _joined(
    settings: ClusterSettings, role: str, stop: asyncio.Future[int]
) -> AsyncIterator[NatsConnection]:
    """Lend a connection to the servers that keep the logs."""
    connection = await unless_stopped(
        stop, _patiently(lambda: connect(settings, f"fastbook {role}"))
    )
    try:
        yield connection
    finally:
        await connection.close()


async def _answer_all(line: NatsLine, shards: Shards, say: Callable[[str], Answer]) -> None:
    """Answer the roll call of each shard."""
    for name in shards.names:
        await answer(line, name, partial(say, name))


async def _create(
    connection: NatsConnection,
    stores: Mapping[str, PostgresStore],
    config: Config,
    settings: ClusterSettings,
) -> None:
    """Prepare the database, and the logs that go on where it ends.

    Raises:
        StoreRefused: it is divided otherwise, or there is a log of another division.
    """

    async def created() -> None:
        first = next(iter(stores.values()))
        for former in await first.former_shards():
            await _check_gone(NatsLog(connection, former))
        for store in stores.values():
            await store.open_to_record(config.instruments)
        for name, store in stores.items():
            await NatsLog(connection, name).create_stream(
                first_sequence=(await store.position()).batch_no + 1,
                replicas=settings.replicas,
                bytes_max=settings.log_bytes_max,
            )

    await _patiently(created)


async def _check_gone(former: NatsLog) -> None:
    """Check that nobody can write to the log of another division of the market any more.

    Raises:
        StoreRefused: it is there.
    """
    if await former.exists():
        raise StoreRefused(
            f"the log {former.stream} is there, of a market that was divided otherwise: stop its "
            f"matchers, then delete it (nats stream rm {former.stream})"
        )


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


def _shards(config: Config, settings: ClusterSettings) -> Shards:
    """Return how the market is divided.

    Raises:
        ConfigError: the settings do not say how, or it cannot be.
    """
    shards = settings.divided([spec.security for spec in config.instruments])
    if config.binance and len(shards) > 1:
        raise ConfigError(
            "binance: what an account may spend is for one matcher to know, got shards "
            f"{', '.join(shards.names)}: use one shard"
        )
    return shards


def _dsn(config: Config) -> str:
    if config.database_url is None:
        raise ConfigError("database_url: expected that of the database which all share, got none")
    return config.database_url
