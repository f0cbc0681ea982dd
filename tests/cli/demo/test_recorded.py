"""The demo's recorded market: rounds, each a user of its own, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from fastbook_cli.demo.recorded import Recorded
from fastbook_cli.demo.replay_control import ReplayChange, ReplayControl
from fastbook_cli.demo.run import for_recording
from fastbook_cli.replay.recording import Recording
from fastbook_cli.replay.tape import AGAIN_ACTIONS
from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.gateway.session import Session
from fastbook_server.gateway.snapshots import Opening
from fastbook_server.store.memory import MemoryDatabase, MemoryStore
from fastbook_server.values.instruments import InstrumentSpec

RECORDED = InstrumentSpec.parse("BTC-USD:0.1:1e-8")
ROWS = """id,timestamp,price,volume,action,direction
1,1000,100.5,1,created,bid
2,1010,101.5,2,created,ask
3,1020,101.5,0.5,created,bid
4,1030,99.5,3,created,bid
4,1040,99.5,3,deleted,bid
"""


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 (nothing announces it)
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def playing(
    tmp_path: Path,
    *,
    once: bool,
    rows: str = ROWS,
    speed: float = 100.0,
    token: str | None = None,
) -> AsyncIterator[tuple[Server, asyncio.Task, ReplayControl]]:
    """A server on which a recording plays, three of whose orders stay."""
    file = tmp_path / "few.csv"
    file.write_text(rows)
    recorded = Recorded.of(Recording.open(file), speed=speed, once=once)
    config = Config(port=0, instruments=(RECORDED,), token=token)
    server = await Server.start(config, MemoryStore(MemoryDatabase()))
    task = asyncio.create_task(recorded.run(server.url, "BTC-USD", token))
    try:
        yield server, task, recorded.control
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await server.stop()


@pytest.mark.parametrize("token", [None, "a-token-of-20-signs!"])
async def test_once_plays_once_and_cancels_what_is_left(tmp_path: Path, token: str | None) -> None:
    async with playing(tmp_path, once=True, token=token) as (server, task, _):
        await task
        market = server.pipeline.exchange.markets["BTC-USD"]
        assert market.open == {}
        assert market.seq == 6  # four orders, a cancel, and one cancel of two orders


async def test_rounds_follow_each_other_until_the_end(tmp_path: Path) -> None:
    async with playing(tmp_path, once=False) as (server, task, _):
        market = server.pipeline.exchange.markets["BTC-USD"]
        async with asyncio.timeout(30):
            while market.seq < 15:  # noqa: ASYNC110 (nothing announces it)
                await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert market.open == {}


async def test_rounds_without_orders_do_not_race(tmp_path: Path) -> None:
    async with playing(
        tmp_path, once=False, rows=ROWS.splitlines()[0] + "\n4,1040,99.5,3,deleted,bid\n"
    ) as (server, task, _):
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
    assert for_recording(Config(instruments=given), RECORDED).instruments == expected


async def test_it_stands_still_jumps_and_changes_its_speed(tmp_path: Path) -> None:
    """Two orders an hour apart: only a jump gets from one to the other."""
    rows = ROWS.splitlines()[0] + "\n1,1000,100.5,1,created,bid\n2,3601000,101.5,2,created,ask\n"
    async with playing(tmp_path, once=False, rows=rows, speed=1.0) as (server, _, control):
        market = server.pipeline.exchange.markets["BTC-USD"]
        await until(lambda: len(market.open) == 1)
        control.apply(ReplayChange(running=False))
        stopped = control.state()
        assert (stopped.running, stopped.first, stopped.last) == (False, 1_000, 3_601_000)
        control.apply(ReplayChange(time=3_600_999))
        assert control.state().time == 3_600_999
        assert len(market.open) == 1
        control.apply(ReplayChange(running=True, speed=10_000))
        await until(lambda: control.state().time < 3_600_999 or len(market.open) == 2)
    with pytest.raises(ValueError, match=r"^time: expected 1000 to 3601000, got 999$"):
        control.apply(ReplayChange(time=999))
    with pytest.raises(ValueError, match=r"^speed: expected 0\.01 to 10000, got 0$"):
        control.apply(ReplayChange(speed=0))


async def test_a_jump_back_builds_the_market_again(tmp_path: Path) -> None:
    rows = ROWS.splitlines()[0] + "\n1,1000,100.5,1,created,bid\n2,3601000,101.5,2,created,ask\n"
    async with playing(tmp_path, once=True, rows=rows, speed=1.0) as (server, _, control):
        market = server.pipeline.exchange.markets["BTC-USD"]
        await until(lambda: len(market.open) == 1)
        seq = market.seq
        control.apply(ReplayChange(time=2_000_000))
        control.apply(ReplayChange(time=1_500))
        await until(lambda: market.seq == seq + 2)  # cancelled, and placed again
        assert len(market.open) == 1
        assert control.state().time < 60_000


async def test_a_jump_back_starts_from_a_checkpoint(tmp_path: Path) -> None:
    """The orders of the checkpoint are placed again, and those between it and the goal."""
    orders = [f"{n},{1_000 + n},{n / 2},1,created,bid" for n in range(1, 1_101)]
    late = ["1,3600000,0.5,1,deleted,bid", "2000,3601000,900.5,1,created,ask"]
    rows = "\n".join((ROWS.splitlines()[0], *orders, *late))
    async with playing(tmp_path, once=True, rows=rows, speed=1.0) as (server, _, control):
        market = server.pipeline.exchange.markets["BTC-USD"]

        def book() -> list[tuple[int, int]]:
            return list(market.book.depth()[0])

        await until(lambda: len(market.open) == 1_100)
        whole = book()
        control.apply(ReplayChange(time=3_600_500))
        await until(lambda: len(market.open) == 1_099)
        seq = market.seq
        control.apply(ReplayChange(time=5_000))
        await until(lambda: market.seq >= seq + 1_101 and len(market.open) == 1_100)
        assert book() == whole


async def test_a_jump_far_ahead_plays_little_of_what_lies_between(tmp_path: Path) -> None:
    """What has not been read is read, and the orders of a little before its goal are placed."""
    day = [
        f"{n},{1_000 + n},{100 + n % 2},1,{what},bid"
        for n in range(1, 5_001)
        for what in ("created", "deleted")
    ]
    late = ["9000,3600000,99.5,1,created,bid", "9001,7200000,98.5,1,created,bid"]
    rows = "\n".join((ROWS.splitlines()[0], *day, *late))
    async with playing(tmp_path, once=False, rows=rows, speed=0.01) as (server, _, control):
        market = server.pipeline.exchange.markets["BTC-USD"]
        await until(lambda: market.seq > 0)
        seq = market.seq
        control.apply(ReplayChange(time=5_000_000))
        assert control.state().time == 5_000_000
        await until(lambda: list(market.book.depth()[0]) == [(995, 100_000_000)])
        assert market.seq < seq + 2 * AGAIN_ACTIONS
        assert 5_000_000 <= control.state().time < 5_100_000


async def test_the_last_of_several_jumps_counts(tmp_path: Path) -> None:
    rows = ROWS.splitlines()[0] + "".join(
        f"\n{n},{1_000 * n},{n}.5,1,created,bid" for n in range(1, 3_001)
    )
    async with playing(tmp_path, once=False, rows=rows, speed=0.01) as (server, _, control):
        market = server.pipeline.exchange.markets["BTC-USD"]
        await until(lambda: market.seq > 0)
        for goal in (2_900_500, 500_500, 1_500_500):
            control.apply(ReplayChange(time=goal))
            await asyncio.sleep(0)
        await until(lambda: len(market.open) == 1_500)
        assert control.state().time < 1_600_000
        control.apply(ReplayChange(time=2_500))
        await until(lambda: len(market.open) == 2)
