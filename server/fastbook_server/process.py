"""The life of a ``fastbook serve`` process, from the private database to the last closed socket."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.embedded.supervisor import EmbeddedPostgres, default_data_dir
from fastbook_server.gateway.door import Door
from fastbook_server.gateway.listener import SPARE_CONNECTIONS, check_address
from fastbook_server.gateway.operator import Operator
from fastbook_server.store import Store
from fastbook_server.store.memory import MemoryStore
from fastbook_server.store.postgres import PostgresStore
from fastbook_server.store.recent import RecentDatabase

log = logging.getLogger(__name__)

T = TypeVar("T")

OWN_FILES = 128
"""Open files other than connections: the database, logs, libraries."""
ECHO_S = 1.0
"""How long the echoes of a signal last: a terminal sends Ctrl-C to every process of a command, and
a parent such as make or the launcher of the one-file executable passes on its own."""


class StoppedError(Exception):
    """A signal arrived before the server was ready; ``code`` is the exit code it asks for."""

    def __init__(self, code: int) -> None:
        super().__init__(f"stopped with {code}")
        self.code = code


async def serve(
    config: Config,
    company: Callable[[Server], contextlib.AbstractAsyncContextManager[None]],
    *,
    door: Callable[..., Door] = Door,
    operator: Callable[..., Operator] = Operator,
) -> int:
    """Run a server until a signal or a failure; returns the exit code of the process.

    `company` is entered once the server is ready and its signal handlers are installed, and left
    before it stops; `door` and `operator` make those of the server. Exit codes: 0 after SIGTERM,
    130 after SIGINT, 1 if the database is lost for good or not everything could be committed. A
    second signal stops at once.
    """
    stop = _signals()
    await check_address(config.host, config.port)
    connections_max = _allow_connections(config.sessions_max)
    try:
        async with _store(config, stop) as (store, where):
            server = await _unless_stopped(
                stop,
                Server.start(
                    config, store, connections_max=connections_max, door=door, operator=operator
                ),
            )
            gc.collect()
            gc.freeze()  # no search for garbage looks at the recovered orders again
            try:
                if isinstance(store, PostgresStore):
                    log.info("data in %s: %s", store.database, where)
                else:
                    log.warning("data in memory: %s", where)
                async with company(server):
                    code = await _until_stopped(server, stop)
            finally:
                committed = await server.stop()
            return code if committed else 1
    except StoppedError as stopped:
        return stopped.code


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
        parts = urlsplit(config.database_url)  # whatever it says, no password
        where = f"{parts.hostname or 'local'}{parts.path}"
        yield _postgres_store(config, config.database_url), where
    else:
        folder = Path(config.data_dir) if config.data_dir is not None else default_data_dir()
        postgres = EmbeddedPostgres(folder)
        try:
            dsn = await _unless_stopped(stop, postgres.start())
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


def _signals() -> asyncio.Future[int]:
    """Return a future that the first signal resolves with the exit code it asks for.

    Each further signal, but for echoes, cancels whatever the process still waits for.
    """
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[int] = loop.create_future()
    life = asyncio.current_task()
    assert life is not None, "called from a coroutine"
    echoes_until = 0.0

    def on_signal(code: int) -> None:
        nonlocal echoes_until
        if not stop.done():
            stop.set_result(code)
            echoes_until = loop.time() + ECHO_S
        elif loop.time() > echoes_until:
            life.cancel()

    for number, code in ((signal.SIGTERM, 0), (signal.SIGINT, 130)):
        loop.add_signal_handler(number, on_signal, code)
    return stop


async def _unless_stopped(stop: asyncio.Future[int], step: Coroutine[Any, Any, T]) -> T:
    """Return the result of a start-up step.

    Raises:
        StoppedError: a signal arrived first; the step has been cancelled.
    """
    task = asyncio.ensure_future(step)
    try:
        await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
            raise StoppedError(stop.result())
        return task.result()
    finally:
        task.cancel()


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
