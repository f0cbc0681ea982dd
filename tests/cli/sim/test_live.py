"""The simulated market as clients of a server: it trades, obeys, comes back and goes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from fastbook_cli.sim.control import Change, Control
from fastbook_cli.sim.live import Live, SimError
from fastbook_cli.sim.settings import SimSettings
from fastbook_server.app import Server
from fastbook_server.matching.exchange import Exchange
from fastbook_server.store.memory import MemoryDatabase

PATIENCE_S = 60.0
BUSY = SimSettings(rate=1_000.0, noise=3, makers=2, trend=1)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def orders_in(exchange: Exchange) -> int:
    return sum(len(market.open) for market in exchange.markets.values())


def seq(server: Server, security: str = "BTC-USD") -> int:
    return server.pipeline.exchange.markets[security].seq


@contextlib.asynccontextmanager
async def trading(live: Live) -> AsyncIterator[asyncio.Task[None]]:
    started = asyncio.Event()
    task = asyncio.create_task(live.run(started.set))
    waiting = asyncio.create_task(started.wait())
    try:
        await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        yield task
    finally:
        waiting.cancel()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_it_makes_a_market_and_leaves_none_of_its_orders(serve) -> None:
    server = await serve()
    live = Live(server.url, BUSY, Control(BUSY))
    async with trading(live):
        await until(lambda: seq(server) > 500)
        book = server.pipeline.exchange.markets["BTC-USD"].book
        assert book.best_bid is not None
        assert book.best_ask is not None
        assert orders_in(server.pipeline.exchange) > 20
    assert orders_in(server.pipeline.exchange) == 0
    assert live.commands >= 500
    assert live.refused < live.commands / 20


async def test_each_security_has_a_market_unless_told_which(serve) -> None:
    server = await serve("A:1:1", "B:0.01:0.0001", "C:5:1e-8")
    async with trading(Live(server.url, BUSY, Control(BUSY), ["A", "C"])):
        await until(lambda: min(seq(server, "A"), seq(server, "C")) > 100)
    assert seq(server, "B") == 0
    async with trading(Live(server.url, BUSY, Control(BUSY))):
        await until(lambda: seq(server, "B") > 100)


async def test_it_goes_on_from_where_the_market_was(serve) -> None:
    database = MemoryDatabase()
    server = await serve("COIN:1:1", database=database)
    settings = SimSettings(rate=500.0, seed=2)
    async with trading(Live(server.url, settings, Control(settings))):
        await until(lambda: seq(server, "COIN") > 300)
        before = server.pipeline.exchange.markets["COIN"].book.best_bid
    assert before is not None
    async with trading(Live(server.url, settings, Control(settings))):
        await until(lambda: orders_in(server.pipeline.exchange) > 20)
        after = server.pipeline.exchange.markets["COIN"].book.best_bid
    assert after is not None
    assert after[0] == pytest.approx(before[0], rel=0.01)


async def test_a_pause_holds_everything_and_a_change_of_rate_is_felt_at_once(serve) -> None:
    server = await serve()
    slow = SimSettings(rate=0.1)
    control = Control(slow)
    live = Live(server.url, slow, control)
    async with trading(live):
        await until(lambda: live.commands > 50)  # the opening
        quiet = live.commands
        control.apply(Change(rate=2_000.0))
        await until(lambda: live.commands > quiet + 500)
        control.apply(Change(running=False))
        await until(lambda: not control.changed.is_set())
        held = live.commands
        for _ in range(100):
            await asyncio.sleep(0)
        assert live.commands == held
        assert orders_in(server.pipeline.exchange) > 0
        control.apply(Change(running=True))
        await until(lambda: live.commands > held)


async def test_it_survives_a_restart_of_the_server(serve) -> None:
    database = MemoryDatabase()
    server = await serve(database=database)
    live = Live(server.url, BUSY, Control(BUSY))
    async with trading(live):
        await until(lambda: seq(server) > 200)
        await server.stop()
        again = await serve(database=database, port=server.port)
        before = seq(again)
        await until(lambda: seq(again) > before + 200)
        best = again.pipeline.exchange.markets["BTC-USD"].book
        assert best.best_bid is not None
        assert best.best_ask is not None
    assert orders_in(again.pipeline.exchange) == 0


async def test_a_server_that_allows_little_is_not_pressed(serve) -> None:
    server = await serve(commands_per_second_max=40, open_orders_max=12)
    settings = SimSettings(rate=300.0, noise=2, makers=2, trend=0, large=0)
    live = Live(server.url, settings, Control(settings))
    async with trading(live):
        await until(lambda: live.refused > 0 and seq(server) > 100)
        best = server.pipeline.exchange.markets["BTC-USD"].book
        assert best.best_bid is not None or best.best_ask is not None
    assert live.refused < live.commands


@pytest.mark.parametrize(
    ("instruments", "securities", "message"),
    [
        (("A:1:1",), ["NONE"], "security: expected one of A, got 'NONE'"),
    ],
)
async def test_what_cannot_be_traded_is_named(serve, instruments, securities, message) -> None:
    server = await serve(*instruments)
    with pytest.raises(SimError, match=message):
        async with trading(Live(server.url, BUSY, Control(BUSY), securities)):
            pass
