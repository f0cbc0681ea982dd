"""Python's collector looks at what lives once, a little at a time."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from fastbook_server.garbage import looked_at_once

MANY = 100_000


@pytest.fixture(autouse=True)
def unfrozen() -> Iterator[None]:
    yield
    gc.enable()
    gc.unfreeze()


async def test_what_has_been_found_alive_is_not_looked_at_again():
    gc.collect()
    with looked_at_once():
        orders = [[n] for n in range(MANY)]
        gc.collect()
        assert gc.is_tracked(orders[0])
        looked_at = len(gc.get_objects())
        found = gc.collect()
    assert looked_at < MANY
    assert found < MANY


async def test_it_looks_before_there_is_much_to_look_at():
    orders, seen = [], []
    with looked_at_once():
        for n in range(3 * MANY):
            orders.append([n])
            if n % 1_000 == 0:
                await asyncio.sleep(0)
                seen.append(len(gc.get_objects()))
    assert max(seen) < MANY / 2


async def test_what_has_become_a_circle_before_is_freed():
    with looked_at_once():
        gc.disable()
        circle: list[object] = []
        circle.append(circle)
        del circle
        assert gc.collect() >= 1


async def test_the_collector_is_as_before_afterwards():
    before = list(gc.callbacks)
    with looked_at_once():
        assert gc.callbacks != before
    assert gc.callbacks == before
