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
