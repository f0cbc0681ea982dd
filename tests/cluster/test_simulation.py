"""The cluster, simulated by seeds: production's code over a log and a line that fail."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from sim_cluster import ONE, TWO, City, Town
from sim_story import SEEDS, all_told, told
from sim_trader import Trader

from fastbook_server.values.shards import Shards

STEPS = 100
SHARDS = pytest.mark.parametrize("shards", [ONE, TWO], ids=["one shard", "two shards"])


async def story(shards: Shards, seed: int) -> str:
    """Let a seed's story happen; return the trace of all frames."""
    city = City(seed, shards)
    await city.open()
    securities = ("COIN",) if shards is ONE else ("COIN", "FINE")
    names = ("ann", "bob", "cat")
    draw, traders = city.draw, [Trader(city, name, securities) for name in names]
    for _ in range(STEPS):
        what = draw.random()
        if what < 0.65:
            draw.choice(traders).act()
        elif what < 0.83:
            await asyncio.sleep(draw.choice((0.0, 0.001, 0.02, 0.5)))
        elif what < 0.88:
            gone = draw.choice(traders)
            if gone.is_connected:
                gone.wire.close()
        elif what < 0.92:
            change_the_weather(city)
        elif what < 0.93:
            city.clock.stepped_ms += draw.choice((-3_000, 7_000))
        elif what < 0.95:
            await asyncio.sleep(draw.choice((3.0, 12.0)))
        else:
            await strike(city)
        await asyncio.sleep(0)
        city.check()
    await end(city, traders)
    return city.trace.hexdigest()


def change_the_weather(city: City) -> None:
    set_weather(city, city.draw.choice((0.0, 0.0, 0.05, 0.2)))


def set_weather(city: City, bad: float) -> None:
    """Let each fault of log and line happen with about this probability."""
    for name in ("append_lost", "answer_lost", "append_late"):
        setattr(city.weather, name, bad)
    for name in ("line_lost", "line_doubled", "line_late"):
        setattr(city.weather, name, bad)
    for name in ("append_overdue", "follower_late"):
        setattr(city.weather, name, bad / 2)


async def strike(city: City) -> None:
    """Let one part of the cluster die, sleep, wake or go away."""
    draw = city.draw
    match draw.randrange(7):
        case 0:
            city.replace(draw.randrange(len(city.matchers)))
        case 1:
            draw.choice(city.matchers).cable.sleep()
        case 2:
            for process in city.matchers:
                process.cable.wake()
        case 3:
            n = draw.randrange(2)
            await city.towns[n].close()
            city.towns[n] = Town(city)
            await city.towns[n].open()
        case 4:
            town = draw.choice(city.towns)
            town.cable.sleep()
            await asyncio.sleep(draw.choice((0.1, 2.0)))
            town.cable.wake()
        case 5:
            log = draw.choice([*city.logs.values()])
            log.go_away()
            await asyncio.sleep(draw.choice((0.1, 4.0)))
            log.come_back()
        case _:
            city.cable.sleep()
            await asyncio.sleep(draw.choice((0.1, 4.0)))
            city.cable.wake()


async def end(city: City, traders: list[Trader]) -> None:
    """Let all become well; then everybody must agree."""
    set_weather(city, 0.0)
    for process in city.matchers:
        process.cable.wake()
    await asyncio.sleep(15.0)
    city.check()
    for trader in traders:
        if not trader.is_connected:
            trader.connect()
    await asyncio.sleep(15.0)
    city.check()
    assert sorted(city.owners()) == sorted(city.shards.names), "one owner of each shard"
    assert city.data.open_orders == city.truth.open_orders, "SQL is not what the log says"
    assert city.data.trades == city.truth.trades
    for trader in traders:
        assert trader.unanswered == {}, f"{trader.name} was never answered: {trader.unanswered}"
        for security, depth in trader.depths.items():
            assert depth == depth_of(city, security), f"{trader.name} sees another book"
    await city.close()


def depth_of(city: City, security: str) -> dict[str, dict[float, float]]:
    """Return the visible book of a security that the log adds up to."""
    depth: dict[str, dict[float, float]] = {"bid": {}, "ask": {}}
    instrument = city.truth.instruments[security]
    for left in city.truth.open_orders.values():
        if left.order.instrument.security == security and not left.held:
            price = instrument.price.number(left.order.price)
            levels = depth[left.order.side]
            levels[price] = levels.get(price, 0) + instrument.amount.number(left.visible)
    return depth


@SHARDS
@pytest.mark.slow
@pytest.mark.timeout(120 + SEEDS)
def test_no_story_ends_badly(monkeypatch, shards):
    all_told(partial(story, shards), monkeypatch)


@SHARDS
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_seed_tells_the_same_story_again(monkeypatch, seed, shards):
    of_shards = partial(story, shards)
    assert told(of_shards, seed, monkeypatch) == told(of_shards, seed, monkeypatch)
