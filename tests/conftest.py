"""Helpers of these tests are plain modules in ``support``; pytest's importlib mode needs the path.

Fixtures here start what needs to be stopped again. Everything runs on uvloop, as the server does.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

if TYPE_CHECKING:
    from fastbook_cli.replay.actions import Action

sys.path.insert(0, str(Path(__file__).parent / "support"))

CACHE = Path(__file__).parents[1] / ".cache" / "recordings"
PACKAGE = "ob-analytics==0.1.0"


def pytest_configure(config: pytest.Config) -> None:
    """Leave the slow tests out unless they are asked for, and say what else was left out."""
    from left_out import LeftOut

    config.pluginmanager.register(LeftOut(config))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Against a gateway, run what starts a server, and skip what only one process can do."""
    if os.environ.get("FASTBOOK_TEST_AGAINST") != "gateway":
        return
    from over_a_log import SHARDS, starts_a_server

    others = [item for item in items if not starts_a_server(item)]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if starts_a_server(item)]
    for item in items:
        if (mark := item.get_closest_marker("one_process")) is not None:
            item.add_marker(pytest.mark.skip(reason=f"against a gateway: {mark.args[0]}"))
        if SHARDS > 1 and (mark := item.get_closest_marker("one_shard")) is not None:
            item.add_marker(pytest.mark.skip(reason=f"over {SHARDS} shards: {mark.args[0]}"))


# Time is no property of what is tested, and a busy machine no failure.
hypothesis.settings.register_profile(
    "fastbook", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("fastbook")


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Name the loop that the product runs on."""
    try:
        import uvloop
    except ImportError:
        return {"asyncio": asyncio.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Any]]:
    """A function that starts a server on a store in memory; settings are its keywords.

    Its clock stands at T0 and it sends every book, so that whole lists of frames can be foretold.
    """
    from fakes import StampClock
    from over_a_log import start_server
    from trading import SPECS, T0

    from fastbook_server.config import Config
    from fastbook_server.store.memory import MemoryStore

    servers: list[Any] = []

    async def start(store: Any = None, **settings: Any) -> Any:
        given = {"port": 0, "throttle_ms": 0, "instruments": SPECS} | settings
        clock = StampClock(lambda: T0)
        server = await start_server(Config(**given), store or MemoryStore(), clock)
        servers.append(server)
        return server

    yield start
    for server in servers:
        await server.stop()


@pytest.fixture
async def join() -> AsyncIterator[Callable[..., Any]]:
    """A function that connects a client to a server; the keywords are its query."""
    import aiohttp

    from peers import Peer

    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:

        async def connect(server: Any, **query: str) -> Peer:
            ws = await http.ws_connect(
                f"{server.url}/ws", params=query, compress=0, max_msg_size=0, autoping=True
            )
            return await Peer.greeted(ws)

        yield connect


@pytest.fixture
async def raw() -> AsyncIterator[Callable[..., Any]]:
    """A function that opens a socket which speaks WebSocket byte by byte."""
    from peers import RawPeer

    peers: list[RawPeer] = []

    async def connect(server: Any, path: str = "/ws", **options: Any) -> RawPeer:
        peers.append(await RawPeer.open(server.port, path, **options))
        return peers[-1]

    yield connect
    for peer in peers:
        peer.writer.close()


@contextlib.contextmanager
def _open_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="fastbook-test-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A temporary folder that the account of PostgreSQL may enter (pytest's own are closed)."""
    with _open_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def empty_cluster() -> Iterator[Path]:
    """A folder with a cluster of PostgreSQL that nobody has used: initdb takes a second or more."""
    from fastbook_server.embedded.supervisor import EmbeddedPostgres

    async def make(folder: Path) -> None:
        postgres = EmbeddedPostgres(folder)
        await postgres.start()
        await postgres.stop()

    with _open_folder() as folder, ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, make(folder)).result()
        yield folder


@pytest.fixture
def cluster_folder(open_folder: Path, empty_cluster: Path) -> Path:
    """An open folder with a copy of that cluster."""
    subprocess.run(["cp", "-a", empty_cluster / "pgdata", open_folder], check=True)
    return open_folder


@pytest.fixture(scope="session")
def capture() -> Path:
    """The recording of Bitstamp: ``FASTBOOK_BITSTAMP`` names it, or it is downloaded once."""
    named = os.environ.get("FASTBOOK_BITSTAMP")
    if named:
        return Path(named)
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:  # workers of one run share the download
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (found := _wheel()):
            said = _download()
            if not (found := _wheel()):
                pytest.skip(f"{PACKAGE} cannot be downloaded: {said}")
    return found


def _wheel() -> Path | None:
    return next(CACHE.glob("ob_analytics-0.1.0-*.whl"), None)


def _download() -> str:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", PACKAGE]
    try:
        done = subprocess.run(
            [*command, "--dest", str(CACHE)], capture_output=True, text=True, timeout=60
        )
    except subprocess.TimeoutExpired:
        return "no answer in 60 s"
    return done.stderr.strip()[-300:]


@pytest.fixture(scope="session")
def captured(capture: Path) -> list[Action]:
    """The actions of that recording."""
    from fastbook_cli.replay.recording import Recording

    return list(Recording.open(capture).actions())


@pytest.fixture(params=["at once", "in steps"])
def told_either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are told as small ones are, and again as very large ones: clients hear the same."""
    from fastbook_server.channels import trade_channel
    from fastbook_server.matching import pipeline

    if request.param == "in steps":
        monkeypatch.setattr(pipeline, "LARGE_EVENTS", 0)
        monkeypatch.setattr(trade_channel, "PORTION", 2)
