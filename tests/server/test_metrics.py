"""What a scrape tells of a server: waits, lag, orders, bytes, build and process."""

from __future__ import annotations

import asyncio
import re
import time

import pytest

from fastbook_server import __version__, metrics
from fastbook_server.app import Server
from fastbook_server.loop_lag import LoopLag
from peers import get, order, until


async def figures(server: Server) -> dict[str, float]:
    _, text = await get(server, "/metrics")
    found = re.findall(r"^([a-z_]+(?:\{[^}]*\})?) ([0-9.e+-]+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in found}


def value(name: str) -> float:
    found = metrics.REGISTRY.get_sample_value(name)
    assert found is not None
    return found


RELAXED = pytest.mark.one_process("relaxed durability: a cluster has none")


@pytest.mark.parametrize("durability", ["commit", pytest.param("relaxed", marks=RELAXED)])
async def test_waits_are_counted_per_batch_and_orders_at_a_scrape(serve, join, durability) -> None:
    server = await serve(durability=durability)
    ann = await join(server, feed="none")
    before = value("fastbook_answer_seconds_count")
    for n in (1, 2):
        await ann.ask(order("bid", 10, n, str(n)))
    told = await figures(server)
    assert told["fastbook_answer_seconds_count"] >= before + 2
    assert (told["fastbook_open_orders"], told["fastbook_ready"]) == (2, 1)
    assert told["fastbook_outbox_bytes"] == told["fastbook_outbox_bytes_largest"] == 0
    assert told["process_resident_memory_bytes"] > 10**6
    await ann.ask({"op": "deleteAll", "ref": "d"})
    assert (await figures(server))["fastbook_open_orders"] == 0


async def test_many_commands_at_once_are_few_waits(serve, join) -> None:
    """Nothing is observed per order: only what a batch costs."""
    server = await serve()
    ann = await join(server, feed="none")
    await ann.sync()
    before = value("fastbook_answer_seconds_count")
    await ann.send([order("bid", 10, 1, str(n)) for n in range(100)])
    await ann.sync()
    assert value("fastbook_answer_seconds_count") - before < 10


async def test_the_loop_s_lag_is_what_its_turns_are_late() -> None:
    count, total = value("fastbook_loop_lag_seconds_count"), value("fastbook_loop_lag_seconds_sum")
    lag = LoopLag()
    await until(lambda: value("fastbook_loop_lag_seconds_count") > count)
    time.sleep(0.5)  # noqa: ASYNC251 (the loop is kept from its turn)
    await until(lambda: value("fastbook_loop_lag_seconds_count") > count + 1)
    lag.stop()
    assert value("fastbook_loop_lag_seconds_sum") - total >= 0.2
    await asyncio.sleep(0)


def test_the_build_is_described() -> None:
    metrics.describe_build(__version__, compiled=True)
    text = metrics.render().decode()
    assert re.search(rf'fastbook_build_info{{.*version="{__version__}".*}} 1.0', text)
