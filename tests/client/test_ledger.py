"""The ledger of docs/client.md, while lines are cut and servers killed: in the end SQL agrees."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from client_servers import Line, until

import fastbook_client
from fastbook_client import Backoff, FastbookError, Fill, Market, OrderState, Resynced, connect
from fastbook_server.cluster.free_ports import free_ports
from fastbook_server.embedded.supervisor import EmbeddedPostgres

PAGE = Path(__file__).parents[2] / "docs" / "client.md"
INSTRUMENTS = ("A:1:1", "B:0.5:0.1")
FAST = Backoff(first_s=0.005, max_s=0.05)
SEED = 20261130


def documented_ledger() -> Any:
    """Return an instance of the class that the page shows."""
    (block,) = (part for part in PAGE.read_text().split("```python\n") if "class Ledger:" in part)
    module = ast.parse(block.partition("```")[0].split("\nledger = ")[0])
    names = {name: getattr(fastbook_client, name) for name in fastbook_client.__all__}
    exec(compile(module, str(PAGE), "exec"), names)
    return names["Ledger"]()


class ServerProcess:
    """``fastbook serve`` on a database, always on the same port."""

    def __init__(self, dsn: str, durability: str) -> None:
        self._options = ("--database-url", dsn, "--durability", durability, "--throttle-ms", "0")
        self._process: asyncio.subprocess.Process | None = None
        self.url = f"http://127.0.0.1:{free_ports(1)[0]}"

    async def start(self) -> None:
        port = self.url.rpartition(":")[2]
        instruments = [part for spec in INSTRUMENTS for part in ("--instrument", spec)]
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fastbook_cli", "serve", "--port", port),
            *(*self._options, *instruments),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={k: v for k, v in os.environ.items() if not k.startswith("FASTBOOK_")},
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(60):
            line = (await self._process.stdout.readline()).decode()
        assert line.startswith("ready http://"), line
        self.url = line.removeprefix("ready ").strip()

    async def end(self, number: int) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(number)
        async with asyncio.timeout(60):
            await self._process.wait()


class Trader:
    """Places, changes and cancels orders at random, of every kind."""

    def __init__(self, market: Market, seed: int) -> None:
        self.market = market
        self._chance = random.Random(seed)
        self._ids: list[str] = []

    async def act(self) -> OrderState | None:
        """Send one command; return the state of its order. Whatever may fail does nothing."""
        chance, market = self._chance, self.market
        terms: dict[str, Any] = {
            "security": chance.choice("AB"),
            "self_trade": chance.choice(("allow", "allow", "cancelOldest", "decrement")),
        }
        side: Any = chance.choice(("bid", "ask"))
        price, amount = chance.randint(96, 104), chance.randint(1, 9)
        named = chance.choice(self._ids[-20:]) if self._ids else "none"
        try:
            match chance.randrange(12):
                case 0 | 1 | 2 | 3:
                    state = await market.limit(side, price, amount, **terms)
                case 4:
                    state = await market.limit(side, price, 9, display=2, **terms)
                case 5:
                    ends = market.welcome.time + chance.randint(1_000, 20_000)
                    state = await market.limit(side, price, amount, expire_time=ends, **terms)
                case 6 | 7:
                    state = await market.market(side, amount, **terms)
                case 8:
                    state = await market.stop(side, price, amount, **terms)
                case 9:
                    state = await market.amend(named, price=price)
                case 10:
                    state = await market.amend(named, amount=amount)
                case _:
                    state = await market.cancel(named)
        except FastbookError:
            await asyncio.sleep(0.001)
            return None
        self._ids.append(state.id)
        return state

    async def trade(self) -> None:
        while True:
            await self.act()
            await asyncio.sleep(self._chance.random() * 0.01)


class Bot:
    """A trader that knows what it holds from its events alone."""

    def __init__(self, url: str, seed: int) -> None:
        self._url = url
        self._seed = seed
        self.ledger = documented_ledger()
        self.fills: list[tuple[str, int, str]] = []
        self.lists = 0
        self.acts = True
        self.token: str | None = None
        self.user_id = ""
        self.market: Market | None = None

    @property
    def is_connected(self) -> bool:
        return self.market is not None and self.market.is_connected

    async def run(self) -> None:
        """Trade and read until it is cancelled; started again, it goes on where it was."""
        past = (
            {} if self.token is None else {"resume": self.token, "fills_since": self.ledger.since}
        )
        self.ledger.open, self.ledger.ended = set(), set()
        async with connect(self._url, feed=False, reconnect=FAST, **past) as self.market:
            self.token, self.user_id = self.market.resume_token, self.market.user_id
            trader = Trader(self.market, self._seed)
            while True:
                if self.acts and (state := await trader.act()) is not None:
                    self.ledger.note(state)
                async for event in self.market.events(timeout_s=0.002):
                    self.read(event)

    def read(self, event: Any) -> None:
        self.ledger.read(event)
        if isinstance(event, Fill):
            self.fills.append((event.security, event.fill_id, event.role))
        elif isinstance(event, Resynced):
            assert event.same_user
            self.lists += 1


class Truth:
    """What SQL says of a user."""

    def __init__(self, sql: asyncpg.Connection) -> None:
        self._sql = sql

    async def position(self, user_id: str) -> dict[str, Decimal]:
        rows = await self._sql.fetch(
            "SELECT security, sum(quantity_lots * CASE f.type WHEN 'bid' THEN 1 ELSE -1 END"
            " * ((taker_user_id = $1)::int - (maker_user_id = $1)::int)) * lot_size AS amount"
            " FROM fills AS f JOIN instruments USING (security)"
            " WHERE $1 IN (taker_user_id, maker_user_id) GROUP BY security, lot_size",
            user_id,
        )
        return {row["security"]: row["amount"] for row in rows}

    async def fills(self, user_id: str) -> list[tuple[str, int, str]]:
        rows = await self._sql.fetch(
            "SELECT security, fill_id, 'taker' FROM fills WHERE taker_user_id = $1"
            " UNION ALL SELECT security, fill_id, 'maker' FROM fills WHERE maker_user_id = $1",
            user_id,
        )
        return sorted(tuple(row) for row in rows)

    async def open(self, user_id: str) -> set[str]:
        rows = await self._sql.fetch("SELECT id FROM open_orders WHERE user_id = $1", user_id)
        return {str(row["id"]) for row in rows}

    @contextlib.asynccontextmanager
    async def commits_held(self) -> AsyncIterator[None]:
        """Keep the server from committing while the block runs."""
        async with self._sql.transaction():
            await self._sql.execute("SELECT * FROM engine_state FOR UPDATE")
            yield


class Stage:
    """A server on a database, a bot on a line that can be cut, and those it trades with."""

    def __init__(self, server: ServerProcess, line: Line, truth: Truth, seed: int) -> None:
        self.server = server
        self.line = line
        self.truth = truth
        self.cuts = 0
        self._chance = random.Random(seed)

    async def disturb(self, bot: Bot) -> None:
        """Cut the bot's line in the middle of something, as a bad network would."""
        seen = len(bot.fills)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await until(lambda: len(bot.fills) > seen and bot.is_connected)
        match self._chance.randrange(4):
            case 0:  # commands arrive, and no answer does
                self.line.mute = True
            case 1:
                self.line.deaf = True
            case 2:
                async with self.truth.commits_held():
                    await asyncio.sleep(0.05)
                    await self.cut(bot)
        await asyncio.sleep(self._chance.random() * 0.02)
        await self.cut(bot)

    async def cut(self, bot: Bot) -> None:
        self.cuts += bot.is_connected
        self.line.cut()
        self.line.mute, self.line.deaf = False, False
        await asyncio.sleep(0)

    async def agrees(self, bot: Bot) -> bool:
        return (
            bot.is_connected
            and bot.ledger.position == await self.truth.position(bot.user_id)
            and bot.ledger.open == await self.truth.open(bot.user_id)
        )


@contextlib.asynccontextmanager
async def staged(folder: Path, durability: str, seed: int) -> AsyncIterator[Stage]:
    postgres = EmbeddedPostgres(folder)
    dsn = await postgres.start()
    server = ServerProcess(dsn, durability)
    await server.start()
    sql = await asyncpg.connect(dsn, server_settings={"search_path": "fastbook, public"})
    try:
        yield Stage(server, Line(server.url), Truth(sql), seed)
    finally:
        await server.end(signal.SIGTERM)
        await sql.close()
        await postgres.stop()


async def play(
    stage: Stage,
    cuts: int,
    every: dict[int, Callable[[], Any]],
    restarts: int = 0,
) -> Bot:
    """Trade while the line is cut; do the things of `every` so many cuts, each in its turn."""
    async with stage.line.open() as through, contextlib.AsyncExitStack() as stack:
        url = stage.server.url
        tasks = []
        for n in range(2):
            market = await stack.enter_async_context(
                connect(url, feed=False, queue_max=0, reconnect=FAST)
            )
            tasks.append(asyncio.create_task(Trader(market, SEED + n).trade()))
        bot = Bot(through, SEED)
        running = asyncio.create_task(bot.run())
        rounds = 0
        while stage.cuts < cuts:
            await stage.disturb(bot)
            rounds += 1
            assert not running.done(), running.result()
            for period, act in every.items():
                if rounds % period == period - 1:
                    await act()
            if restarts and rounds % restarts == 0:
                await cancelled(running)
                running = asyncio.create_task(bot.run())
        bot.acts = False
        for task in tasks:
            await cancelled(task)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(20):
                while not await stage.agrees(bot):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        await cancelled(running)
    assert bot.ledger.position == await stage.truth.position(bot.user_id)
    assert bot.ledger.open == await stage.truth.open(bot.user_id)
    assert sorted(bot.fills) == await stage.truth.fills(bot.user_id)
    return bot


async def cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_ledger_agrees_with_sql_after_cuts_and_a_kill(open_folder: Path) -> None:
    async with staged(open_folder, "commit", SEED) as stage:

        async def kill() -> None:
            await stage.server.end(signal.SIGKILL)
            await stage.server.start()

        bot = await play(stage, 12, {6: kill}, restarts=4)
        assert len(bot.fills) > 20
        assert bot.lists > 5


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("durability", ["commit", "relaxed"])
async def test_a_ledger_agrees_with_sql_after_a_hundred_cuts(
    open_folder: Path, durability: str
) -> None:
    async with staged(open_folder, durability, SEED) as stage:

        async def restart(number: int = signal.SIGTERM) -> None:
            await stage.server.end(number)
            await stage.server.start()

        every: dict[int, Callable[[], Any]] = {20: restart}
        if durability == "commit":  # the other may forget what it has told
            every[25] = lambda: restart(signal.SIGKILL)
            bot = await play(stage, 110, every, restarts=15)
        else:
            bot = await play(stage, 110, every)
        print(f"\n{stage.cuts} cuts, {len(bot.fills):,} fills once each, {bot.lists} lists")
        assert len(bot.fills) > 200
