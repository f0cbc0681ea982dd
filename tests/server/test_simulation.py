"""The whole house, simulated by seeds: production's code, a store that fails and crashes."""

from __future__ import annotations

import asyncio

import pytest
from sim_house import House
from sim_story import SEEDS, all_told, told
from sim_trader import Trader
from trading import SPECS

from fastbook_server.matching.exchange import Exchange
from fastbook_server.store.memory import MemoryStore

STEPS = 120


async def story(seed: int) -> str:
    """Let a seed's story happen; return the trace of all frames."""
    house = House(seed)
    await house.open()
    draw, traders = house.draw, [Trader(house, name) for name in ("ann", "bob", "cat")]
    for _ in range(STEPS):
        what = draw.random()
        if what < 0.70:
            draw.choice(traders).act()
        elif what < 0.85:
            await asyncio.sleep(draw.choice((0.0, 0.001, 0.02, 0.5)))
        elif what < 0.90:
            gone = draw.choice(traders)
            if gone.is_connected:
                gone.wire.close()
        elif what < 0.94:
            house.store.sick = draw.choice((0.0, 0.0, 0.3, 1.0))
        elif what < 0.96:
            house.clock.stepped_ms += draw.choice((-3_000, 7_000))
        elif what < 0.98:
            await asyncio.sleep(draw.choice((3.0, 70.0)))
        else:
            await house.crash()
            await house.open()
        await asyncio.sleep(0)
        house.check()
    await end(house, traders)
    return house.trace.hexdigest()


async def end(house: House, traders: list[Trader]) -> None:
    """Let all become well; then everybody must agree."""
    house.store.sick = 0.0
    await asyncio.sleep(10.0)
    for trader in traders:
        if not trader.is_connected:
            trader.connect()
    await asyncio.sleep(10.0)
    house.check()
    assert house.pipeline.uncommitted_commands == 0
    market = house.pipeline.exchange.markets["COIN"]
    number = market.instrument
    for trader in traders:
        assert trader.unanswered == {}, f"{trader.name} was never answered: {trader.unanswered}"
        bids, asks = market.book.depth()
        for side, levels in (("bid", bids), ("ask", asks)):
            told = {number.price.number(p): number.amount.number(q) for p, q in levels}
            assert trader.depths["COIN"][side] == told, f"{trader.name} sees another book"
    again = Exchange(await MemoryStore(house.data).open(SPECS, 0))
    assert again.markets["COIN"].book.depth() == market.book.depth()
    await house.crash()


@pytest.mark.slow
@pytest.mark.timeout(120 + SEEDS)
def test_no_story_ends_badly(monkeypatch):
    all_told(story, monkeypatch)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_seed_tells_the_same_story_again(monkeypatch, seed):
    assert told(story, seed, monkeypatch) == told(story, seed, monkeypatch)
