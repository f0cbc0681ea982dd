"""The checks of ``fastbook doctor``: each looks at one thing and changes nothing that lasts."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from fastbook_cli import installation
from fastbook_cli.doctor.observation import Observation
from fastbook_client.api import Api
from fastbook_client.backoff import Backoff
from fastbook_client.connection import new_http
from fastbook_client.errors import ConnectError
from fastbook_server import __version__
from fastbook_server.config import Config
from fastbook_server.embedded import bundle
from fastbook_server.embedded.binaries import (
    EmbeddedError,
    choose_account,
    closed_to,
    find_binaries,
    version_of,
)
from fastbook_server.embedded.supervisor import SOCKET_PATH_MAX, default_data_dir
from fastbook_server.gateway import aiohttp_seam
from fastbook_server.gateway.listener import SPARE_CONNECTIONS, ListenError, check_address
from fastbook_server.process import OWN_FILES
from fastbook_server.store import StoreError
from fastbook_server.store.connection import look

GIGABYTE = 2**30
FREE_BYTES_MIN = 2 * GIGABYTE
"""Less on the disk of a database is soon too little: its write-ahead log alone takes as much."""
BYTES_PER_ORDER = 1_000
"""About what an open order takes, in the book and in what knows of it."""
CLOCK_MS_MIN = 1_700_000_000_000


def machine() -> Iterator[Observation]:
    """Yield the system, Python, cores and memory."""
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    cores, memory = os.cpu_count() or 1, _memory_bytes()
    room = f", {memory / GIGABYTE:.0f} GB of memory" if memory else ""
    found = f"{system}, Python {platform.python_version()}, {cores} cores{room}"
    if unsupported := installation.unsupported_system():
        yield Observation("machine", "failed", found, unsupported)
    elif cores < 2:
        cure = "server and database share one core: expect half the speed"
        yield Observation("machine", "note", found, cure)
    else:
        yield Observation("machine", "ok", found)


def program() -> Iterator[Observation]:
    """Yield the version, whether it is compiled, and what it needs of aiohttp."""
    kind = "the one file" if bundle.is_one_file() else str(Path(sys.executable))
    yield Observation("program", "ok", f"fastbook {__version__}, {kind}")
    if wrong := aiohttp_seam.complaint():
        yield Observation("aiohttp", "failed", wrong)


def names() -> Iterator[Observation]:
    """Yield whether another project's package bears the name of ours."""
    if bundle.is_one_file():
        return
    if overwritten := installation.overwritten_engine():
        yield Observation("names", "failed", "import fastbook finds another package", overwritten)
    elif foreign := installation.foreign_package():
        yield Observation("names", "warning", "two packages share the name fastbook", foreign)
    else:
        yield Observation("names", "ok", "the package fastbook is ours")


async def address(config: Config) -> list[Observation]:
    """Return whether the server could listen, or who does."""
    where = f"{config.host}:{config.port}"
    try:
        await check_address(config.host, config.port)
    except ListenError as error:
        version = await _server_at(config)
        if version is None:
            return [Observation("address", "failed", f"{where} cannot be used", str(error))]
        running = f"a fastbook server {version} is running at {where}"
        return [Observation("address", "note", running, "choose another --port for a second one")]
    if config.port == 0:
        return [Observation("address", "ok", f"{config.host}, a free port")]
    findings = [Observation("address", "ok", f"{where} is free")]
    if config.host not in ("127.0.0.1", "localhost", "::1"):
        cure = "anybody who reaches it can trade: put a proxy with TLS before it"
        findings.append(
            Observation("address", "note", f"{config.host} is open to other machines", cure)
        )
    return findings


def folder(config: Config) -> Iterator[Observation]:
    """Yield whether the private database's folder can be used, and how much room there is."""
    path = Path(config.data_dir) if config.data_dir is not None else default_data_dir()
    there = next(p for p in (path, *path.absolute().parents) if p.exists())
    if not there.is_dir():
        cure = "choose another with --data-dir"
        yield Observation("folder", "failed", f"{there} is not a folder", cure)
        return
    if not _can_write(there):
        cure = "choose another with --data-dir, or start as a user who may"
        yield Observation("folder", "failed", f"{there} cannot be written", cure)
        return
    free = shutil.disk_usage(there).free
    what = f"{path}, {free / GIGABYTE:.1f} GB free" + ("" if path.exists() else ", not made yet")
    if free < FREE_BYTES_MIN:
        yield Observation("folder", "warning", what, "the database needs more room soon")
    else:
        yield Observation("folder", "ok", what)
    if len(os.fsencode(path.absolute() / "run/.s.PGSQL.5432")) > SOCKET_PATH_MAX:
        found = (
            "its path is too long for a socket; the socket goes to the folder for temporary files"
        )
        yield Observation("folder", "note", found)


def private_postgresql(config: Config) -> Iterator[Observation]:
    """Yield which PostgreSQL the server would start, and as whom."""
    path = Path(config.data_dir) if config.data_dir is not None else default_data_dir()
    try:
        account = choose_account(path / "pgdata") if os.geteuid() == 0 else None
        if account is not None and path.exists() and (closed := closed_to(account, path)):
            raise EmbeddedError(
                f"user {account.name!r}, who runs PostgreSQL for root, cannot enter {closed}: run "
                "chmod o+x on it, or choose another data folder"
            )
        version = "its own" if bundle.archive() is not None else version_of(find_binaries())
    except EmbeddedError as error:
        yield Observation("postgresql", "failed", "no private database can be started", str(error))
        return
    whom = f", run as user {account.name}" if account is not None else ""
    yield Observation("postgresql", "ok", f"private, {version}{whom}")


async def database(url: str) -> list[Observation]:
    """Return what the database at `url` is, and whether it keeps what it acknowledges."""
    try:
        seen = await look(url)
    except StoreError as error:
        cure = "check --database-url, and that the database runs and lets this user in"
        return [Observation("database", "failed", str(error), cure)]
    extension = f", TimescaleDB {seen.timescale}" if seen.timescale else ", without TimescaleDB"
    findings = [Observation("database", "ok", f"PostgreSQL {seen.version}{extension}")]
    for name, value in seen.unsafe.items():
        cure = f"what was acknowledged may be lost in a crash: ALTER SYSTEM SET {name} = on"
        findings.append(Observation("database", "warning", f"{name} is {value}", cure))
    if not seen.may_create:
        cure = "GRANT CREATE ON DATABASE … TO …, or let an administrator make the schema fastbook"
        findings.append(Observation("database", "failed", "this user cannot make a schema", cure))
    return findings


def limits(config: Config) -> Iterator[Observation]:
    """Yield whether the system allows as many files and as much memory as the settings may use."""
    import resource

    wanted = config.sessions_max + SPARE_CONNECTIONS + OWN_FILES
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = "any number of" if hard == resource.RLIM_INFINITY else f"{hard:,}"
    found = f"{allowed} open files, {wanted:,} for {config.sessions_max:,} connections"
    if hard != resource.RLIM_INFINITY and hard < wanted:
        cure = "raise ulimit -n (LimitNOFILE= in systemd), or lower --sessions-max"
        yield Observation("limits", "warning", found, cure)
    else:
        yield Observation("limits", "ok", found)
    memory, orders = _memory_bytes(), config.open_orders_total_max * BYTES_PER_ORDER
    if memory and orders > memory / 2:
        found = (
            f"{config.open_orders_total_max:,} open orders would take {orders / GIGABYTE:.1f} GB"
        )
        yield Observation("limits", "warning", found, "lower --open-orders-total-max")


def clock() -> Iterator[Observation]:
    """Yield whether the clock can be right; the server's time never goes back."""
    import time

    now_ms = time.time_ns() // 1_000_000
    if now_ms < CLOCK_MS_MIN:
        found = time.strftime("the clock says %Y-%m-%d", time.gmtime(now_ms // 1_000))
        yield Observation("clock", "failed", found, "set the clock before the first order")
    else:
        yield Observation("clock", "ok", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()))


async def examine(config: Config) -> list[Observation]:
    """Return what all checks find that concern a server with these settings."""
    findings = [*machine(), *program(), *names(), *await address(config)]
    if config.in_memory:
        findings.append(Observation("database", "note", "none: --in-memory keeps nothing"))
    elif config.database_url is not None:
        findings += await database(config.database_url)
    else:
        findings += [*folder(config), *await asyncio.to_thread(list, private_postgresql(config))]
    return [*findings, *limits(config), *clock()]


async def _server_at(config: Config) -> str | None:
    """Return the version of the fastbook server that listens there already, if it is one."""
    host = "127.0.0.1" if config.host in ("0.0.0.0", "::", "") else config.host
    base = f"http://{f'[{host}]' if ':' in host else host}:{config.port}"
    try:
        async with new_http() as http, asyncio.timeout(2):
            await Api(http, base, Backoff(attempts_max=1)).instruments()
            async with http.get(f"{base}/version") as answer:
                found = msgspec.json.decode(await answer.read())
    except (ConnectError, TimeoutError, OSError, msgspec.MsgspecError):
        return None
    return str(found.get("version"))


def _can_write(there: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=there):
            return True
    except OSError:
        return False


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):  # not every system says
        return 0
