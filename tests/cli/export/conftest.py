"""A private PostgreSQL that has traded, for the whole run, and the command as a process."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from every_kind import EveryKind

from fastbook_server.embedded.supervisor import EmbeddedPostgres
from fastbook_server.matching.exchange import Exchange
from fastbook_server.store.postgres import PostgresStore
from fastbook_server.values.events import PublicEvent
from fastbook_server.values.instruments import InstrumentSpec
from fastbook_server.values.persisted import Batch
from fastbook_wire.commands import Add, ExchangeCommand, NewOrder

SPECS = tuple(
    InstrumentSpec.parse(text) for text in ("BTC-USD:0.01:0.0001", "GAME:1:1", "COIN:1:1")
)
T0 = 1_767_225_600_000
COMMANDS = 400
OF_EVERY_KIND = 700


class Traded(NamedTuple):
    """A folder with a private database that is not running, and what was committed to it."""

    data_dir: Path
    events: list[PublicEvent]


async def trade(data_dir: Path, step_ms: int = 700) -> list[PublicEvent]:
    """Make a new database and trade in it, a command each `step_ms`."""
    postgres = EmbeddedPostgres(data_dir)
    try:
        store = PostgresStore(await postgres.start())
        recovered = await store.open(SPECS, 0)
        exchange = Exchange(recovered)
        past: list[PublicEvent] = []
        every_kind = EveryKind(seed=7)

        async def execute(n: int, user_id: str, command: ExchangeCommand) -> None:
            events = exchange.apply(user_id, command, T0 + step_ms * n)
            public = tuple(e for e in events if isinstance(e, PublicEvent))
            await store.commit(store.prepare(Batch(n + 1, T0 + step_ms * n, public)))
            past.extend(public)

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
        for n in range(COMMANDS, COMMANDS + OF_EVERY_KIND):
            every_kind.now_ms = T0 + step_ms * n
            await execute(n, *every_kind.next())
        await store.close()
        return past
    finally:
        await postgres.stop()


@pytest.fixture(scope="session")
def traded() -> Iterator[Traded]:
    folder = Path(tempfile.mkdtemp(prefix="fastbook-test-", dir="/tmp"))
    folder.chmod(0o755)
    yield Traded(folder, asyncio.run(trade(folder)))
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def traded_for_days() -> Iterator[Traded]:
    """The same, over weeks: a command each three hours or so."""
    folder = Path(tempfile.mkdtemp(prefix="fastbook-test-", dir="/tmp"))
    folder.chmod(0o755)
    yield Traded(folder, asyncio.run(trade(folder, 10_000_019)))
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
