"""Whoever waits until something is durable is told if it never will be."""

from __future__ import annotations

import asyncio

import pytest
from fakes import settle
from line import Line

from fastbook_server.channels.order_channel import Unavailable


@pytest.fixture
async def line():
    line = Line()
    yield line
    line.running.cancel()


async def test_who_waits_for_what_will_never_be_stored_is_told_so(line):
    line.add("1")
    await line.store.attempts(1)
    waits = asyncio.ensure_future(line.pipeline.stored())
    await settle()
    assert not waits.done()
    line.running.cancel()
    await settle()
    with pytest.raises(Unavailable):
        await waits
    with pytest.raises(Unavailable):
        await line.pipeline.stored()


async def test_who_asks_for_progress_after_the_end_lets_others_have_their_turn():
    line = Line()
    await line.stop()
    asked, others = [], asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(others.set_result, None)
    while not others.done():
        assert len(asked) < 10, "expected others to have their turn"
        asked.append(await line.pipeline.progress())
