"""The demo's recorded market: rounds, each a user of its own, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fastbook_cli.demo.recorded import Recorded
from fastbook_cli.demo.run import RECORDED, for_recordings
from fastbook_cli.replay.recording import read
from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.gateway.session import Session
from fastbook_server.gateway.snapshots import Opening
from fastbook_server.store.memory import MemoryDatabase, MemoryStore
from fastbook_server.values.instruments import InstrumentSpec

ROWS = """id,timestamp,price,volume,action,direction
1,1000,100.5,1,created,bid
2,1010,101.5,2,created,ask
3,1020,101.5,0.5,created,bid
4,1030,99.5,3,created,bid
4,1040,99.5,3,deleted,bid
"""


@contextlib.asynccontextmanager
async def playing(
    tmp_path: Path, *, once: bool, rows: str = ROWS
) -> AsyncIterator[tuple[Server, asyncio.Task]]:
    """A server on which a recording plays, three of whose orders stay."""
    file = tmp_path / "few.csv"
    file.write_text(rows)
    recorded = Recorded(file=file, actions=read(file), speed=100.0, once=once)
    config = Config(port=0, instruments=(RECORDED,))
    server = await Server.start(config, MemoryStore(MemoryDatabase()))
    task = asyncio.create_task(recorded.run(server.url, "BTC-USD"))
    try:
        yield server, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await server.stop()


async def test_once_plays_once_and_cancels_what_is_left(tmp_path: Path) -> None:
    async with playing(tmp_path, once=True) as (server, task):
        await task
        market = server.pipeline.exchange.markets["BTC-USD"]
        assert market.open == {}
        assert market.seq == 6  # four orders, a cancel, and one cancel of two orders


async def test_rounds_follow_each_other_until_the_end(tmp_path: Path) -> None:
    async with playing(tmp_path, once=False) as (server, task):
        market = server.pipeline.exchange.markets["BTC-USD"]
        async with asyncio.timeout(30):
            while market.seq < 15:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert market.open == {}


async def test_rounds_without_orders_do_not_race(tmp_path: Path) -> None:
    async with playing(tmp_path, once=False, rows=ROWS.partition("\n")[0]) as (server, task):
        users: set[str] = set()

        class Seen(Session):
            def open(self, user_id: str, welcome: bytes, opening: Opening | None) -> None:
                users.add(user_id)
                super().open(user_id, welcome, opening)

        server.gateway.door.session_type = Seen
        await asyncio.wait((task,), timeout=0.5)
        assert not task.done()
        assert len(users) <= 1


@pytest.mark.parametrize("given", [Config().instruments, (InstrumentSpec.parse("X:1:1"),)])
def test_the_recordings_instrument_unless_others_are_named(given) -> None:
    expected = (RECORDED,) if given == Config().instruments else given
    assert for_recordings(Config(instruments=given)).instruments == expected
