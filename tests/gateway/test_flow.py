"""A connection is not read while frames of it are held, whatever else stops and goes on."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp.base_protocol import BaseProtocol

from fastbook_server.gateway.flow import Flow


class Reading(asyncio.Transport):
    """A transport that is read, or not."""

    is_read = True

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True


@pytest.fixture
async def connection():
    connection = BaseProtocol(asyncio.get_running_loop(), None)
    connection._upgraded = True
    connection.transport = Reading()
    return connection


async def test_a_queue_that_has_room_again_does_not_read_on_while_frames_are_held(connection):
    flow, went_on = Flow(connection), asyncio.Event()
    flow.hold(went_on.set)
    connection.pause_reading()
    connection.resume_reading()
    assert not connection.transport.is_read
    await went_on.wait()
    flow.release()
    assert connection.transport.is_read


async def test_a_queue_that_is_full_is_not_filled_when_nothing_is_held_any_more(connection):
    flow, went_on = Flow(connection), asyncio.Event()
    flow.hold(went_on.set)
    connection.pause_reading()
    flow.release()
    assert not connection.transport.is_read
    await asyncio.sleep(0)
    assert not went_on.is_set()
    connection.resume_reading()
    assert connection.transport.is_read
    await went_on.wait()
