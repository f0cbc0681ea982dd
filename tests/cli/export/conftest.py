"""Private databases that have traded, for the whole run, and the command as a process."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from databases import embedded_dsn, make_database, sql_of
from every_kind import EveryKind

from fastbook_server.embedded.supervisor import EmbeddedPostgres
from fastbook_server.matching.exchange import Exchange
from fastbook_server.store.postgres import PostgresStore
from fastbook_server.values.events import PublicEvent
from fastbook_server.values.instruments import InstrumentSpec
from fastbook_server.values.persisted import Batch
from fastbook_wire.commands import Add, ExchangeCommand, NewOrder

__all__ = ["embedded_dsn", "make_database", "sql_of"]  # fixtures

SPECS = tuple(
    InstrumentSpec.parse(text) for text in ("BTC-USD:0.01:0.0001", "GAME:1:1", "COIN:1:1")
)
T0 = 1_767_225_600_000
COMMANDS = 400
BATCH_COMMANDS = 10
OF_EVERY_KIND = 700
STEP_OF_DAYS_MS = 10_000_019


class Traded(NamedTuple):
    """A folder with a private database, what was committed to it, and where it is if it runs."""

    data_dir: Path
    events: list[PublicEvent]
    dsn: str = ""


async def trade(dsn: str, step_ms: int, of_every_kind: int) -> list[PublicEvent]:
    """Trade in a new database, a command each `step_ms`; several are committed at once."""
    store = PostgresStore(dsn)
    exchange = Exchange(await store.open(SPECS, 0))
    past: list[PublicEvent] = []
    batch: list[PublicEvent] = []
    batches = 0

    async def execute(n: int, user_id: str, command: ExchangeCommand) -> None:
        nonlocal batches
        time_ms = T0 + step_ms * n
        events = exchange.apply(user_id, command, time_ms)
        batch.extend(e for e in events if isinstance(e, PublicEvent))
        if n % BATCH_COMMANDS == BATCH_COMMANDS - 1:
            batches += 1
            await store.commit(store.prepare(Batch(batches, time_ms, tuple(batch))))
            past.extend(batch)
            batch.clear()

    for n in range(COMMANDS):
        security = ("BTC-USD", "GAME")[n % 3 == 0]
        price = 100 + n % 5 if security == "GAME" else 100 + n % 7 / 100
        order = NewOrder(
            type=("bid", "ask")[n % 2], exec_type="limit", price=price,
            amount=1 + n % 4 if security == "GAME" else 0.1 * (1 + n % 3),
            security=security, client_order_id=f'a "quoted", {n}' if n % 10 == 0 else None,
        )  # fmt: skip
        order.amount = round(order.amount, 4)
        await execute(n, f"user#{n % 3}", Add(order=order))
    every_kind = EveryKind(seed=7)
    for n in range(COMMANDS, COMMANDS + of_every_kind):
        every_kind.now_ms = T0 + step_ms * n
        await execute(n, *every_kind.next())
    await store.close()
    return past


@pytest.fixture(scope="session")
def traded() -> Iterator[Traded]:
    """It runs as long as the tests do, as under a server."""
    with _folder() as folder, asyncio.Runner() as runner:
        postgres = EmbeddedPostgres(folder)
        dsn = runner.run(postgres.start())
        yield Traded(folder, runner.run(trade(dsn, 700, OF_EVERY_KIND)), dsn)
        runner.run(postgres.stop())


@pytest.fixture(scope="session")
def traded_for_days() -> Iterator[Traded]:
    """Another, over weeks: a command each three hours or so. It does not run."""

    async def make(folder: Path) -> list[PublicEvent]:
        postgres = EmbeddedPostgres(folder)
        try:
            return await trade(await postgres.start(), STEP_OF_DAYS_MS, 0)
        finally:
            await postgres.stop()

    with _folder() as folder:
        yield Traded(folder, asyncio.run(make(folder)))


@pytest.fixture
def trade_for_days() -> Callable[[str], Awaitable[list[PublicEvent]]]:
    """Return a function that trades like that in any new database."""
    return partial(trade, step_ms=STEP_OF_DAYS_MS, of_every_kind=0)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="fastbook-test-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


Export = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def export(traded: Traded) -> Export:
    """Return a function that runs the command on that database until it ends."""

    def run(*arguments: object, data_dir: Path | None = traded.data_dir) -> object:
        where = () if data_dir is None else ("--data-dir", data_dir)
        command = [sys.executable, "-m", "fastbook_cli", "export", *arguments, *where]
        return subprocess.run(
            [str(part) for part in command], capture_output=True, text=True, timeout=100
        )

    return run
