"""The life of a ``fastbook serve`` process, from the private database to the last closed socket."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from fastbook_server import __version__, from_source, metrics
from fastbook_server.app import Server
from fastbook_server.config import Config, ConfigError
from fastbook_server.embedded.supervisor import EmbeddedPostgres, default_data_dir
from fastbook_server.garbage import looked_at_once
from fastbook_server.gateway.door import Door
from fastbook_server.gateway.listener import SPARE_CONNECTIONS, check_address
from fastbook_server.gateway.operator import Operator
from fastbook_server.gateway.origins import is_loopback
from fastbook_server.gateway.proxies import Proxies
from fastbook_server.loop_lag import LoopLag
from fastbook_server.service_manager import ServiceManager
from fastbook_server.stop_signals import StoppedError, stop_signal, unless_stopped
from fastbook_server.store import TAKEN_OVER, Store, StoreFenced
from fastbook_server.store.connection import place_of
from fastbook_server.store.leadership import Leadership
from fastbook_server.store.memory import MemoryStore
from fastbook_server.store.postgres import PostgresStore
from fastbook_server.store.recent import RecentDatabase

log = logging.getLogger(__name__)

OWN_FILES = 128
"""Open files other than connections: the database, logs, libraries."""


async def serve(
    config: Config,
    company: Callable[[Server], contextlib.AbstractAsyncContextManager[None]],
    *,
    door: Callable[..., Door] = Door,
    operator: Callable[..., Operator] = Operator,
    before: Callable[[Store], Coroutine[Any, Any, None]] | None = None,
) -> int:
    """Run a server until a signal or a failure; returns the exit code of the process.

    `before` is called with the store before the server recovers from it. `company` is entered once
    the server is ready and its signal handlers are installed, and left before it stops; `door` and
    `operator` make those of the server. Exit codes: 0 after SIGTERM, 130 after SIGINT, 3 if another
    server has taken over the database, 1 if it is lost for good or not everything could be
    committed. A second signal stops at once.

    Raises:
        ConfigError: a trusted proxy is no address.
    """
    if nonsense := Proxies(config.trusted_proxies).nonsense:
        expected = "expected an address or a network such as 10.0.0.0/8"
        raise ConfigError(f"trusted_proxies: {expected}, got {nonsense[0]!r}")
    manager = ServiceManager.of(os.environ)
    stop = stop_signal()
    await check_address(config.host, config.port)
    connections_max = _allow_connections(config.sessions_max)
    try:
        async with _store(config, stop) as (store, where), _led(config, stop, manager):
            if before is not None:
                await unless_stopped(stop, before(store))
            server = await unless_stopped(
                stop,
                Server.start(
                    config, store, connections_max=connections_max, door=door, operator=operator
                ),
            )
            lag = LoopLag()
            metrics.describe_build(__version__, compiled=not from_source.is_wanted())
            try:
                if isinstance(store, PostgresStore):
                    log.info("data in %s: %s", store.database, where)
                else:
                    log.warning("data in memory: %s", where)
                _say_who_may_trade(config, server.port)
                with looked_at_once():
                    async with company(server):
                        manager.ready(f"serving at {server.url}")
                        code = await _until_stopped(server, stop)
            finally:
                manager.stopping()
                lag.stop()
                committed = await server.stop()
            return code if committed or code == TAKEN_OVER else 1
    except StoppedError as stopped:
        return stopped.code


@contextlib.asynccontextmanager
async def _led(
    config: Config, stop: asyncio.Future[int], manager: ServiceManager
) -> AsyncIterator[None]:
    """Hold the lock that says that a server lives on this database; a standby waits for it first.

    Raises:
        StoppedError: a signal arrived before the lock was free.
    """
    if config.database_url is None:  # the folder of a private one has a lock of its own
        yield
        return
    async with Leadership(config.database_url) as leadership:
        if config.standby:
            manager.ready("standing by")
            await unless_stopped(stop, leadership.stand_by())
        leadership.keep()
        yield


def _say_who_may_trade(config: Config, port: int) -> None:
    """Log one line if others than this machine reach the server, and no token keeps them out."""
    if config.token is None and not is_loopback(config.host):
        log.warning(
            "listening on %s: whoever reaches port %d may trade; --token, a firewall or "
            "--host 127.0.0.1 behind a proxy keeps strangers out",
            *(config.host, port),
        )


@contextlib.asynccontextmanager
async def _store(config: Config, stop: asyncio.Future[int]) -> AsyncIterator[tuple[Store, str]]:
    """Yield the store that the settings name, and how its data can be reached.

    A private PostgreSQL runs as long as it is used.

    Raises:
        StoppedError: a signal arrived before the private PostgreSQL was up.
        EmbeddedError: it cannot be started.
    """
    if config.in_memory:
        yield (
            MemoryStore(RecentDatabase(config.in_memory_events_max)),
            "nothing is kept, every order and trade is lost when the server stops",
        )
    elif config.database_url is not None:
        where = place_of(config.database_url)
        yield _postgres_store(config, config.database_url), where
    else:
        folder = Path(config.data_dir) if config.data_dir is not None else default_data_dir()
        postgres = EmbeddedPostgres(folder)
        try:
            dsn = await unless_stopped(stop, postgres.start())
            socket_folder = unquote(dsn.partition("host=")[2])
            yield _postgres_store(config, dsn), f"psql -h {socket_folder} -U postgres postgres"
        finally:
            await postgres.stop()


def _postgres_store(config: Config, dsn: str) -> PostgresStore:
    return PostgresStore(
        dsn,
        checkpoint_every=config.store_checkpoint_every,
        compress_after_days=config.compress_after_days,
        retain_days=config.retain_days,
    )


async def _until_stopped(server: Server, stop: asyncio.Future[int]) -> int:
    failed = asyncio.ensure_future(server.failed())
    await asyncio.wait((failed, stop), return_when=asyncio.FIRST_COMPLETED)
    if stop.done():
        failed.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await failed
        return stop.result()
    error = failed.exception()
    log.critical("stopping: %s", error)
    return TAKEN_OVER if isinstance(error, StoreFenced) else 1


def _allow_connections(sessions_max: int) -> int:
    """Raise the limit of open files as far as needed; return how many connections it allows."""
    wanted = sessions_max + SPARE_CONNECTIONS
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted + OWN_FILES:
        room = wanted + OWN_FILES
        soft = room if hard == resource.RLIM_INFINITY else min(room, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted + OWN_FILES:
        return wanted
    allowed = max(1, soft - OWN_FILES)
    log.warning(
        "this system allows %d open files (ulimit -n): at most %d connections, "
        "fewer than sessions_max %d",
        *(soft, allowed, sessions_max),
    )
    return allowed
