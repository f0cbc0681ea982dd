"""A close in the same packet as commands: they are answered first."""

from __future__ import annotations

import asyncio

import pytest

from fastbook_server.gateway import session
from fastbook_server.gateway.session import FRAMES_PER_TURN
from fastbook_server.store.memory import MemoryStore
from peers import order


@pytest.mark.parametrize("count", [1, 3 * FRAMES_PER_TURN])
async def test_what_comes_in_one_packet_with_a_close_is_answered_before_it(serve, raw, count):
    server = await serve()
    peer = await raw(server, "/ws?feed=none")
    await peer.event()
    for n in range(count):
        peer.text(order("bid", 10, 1, n))
    peer.frame(8, b"\x03\xe8bye")  # nothing has been sent yet: it all leaves in one write
    told = [(await peer.event())["ref"] for _ in range(count)]
    assert (told, await peer.close_code()) == (list(range(count)), 1000)


async def test_a_close_does_not_wait_for_ever_for_a_database_that_is_away(serve, raw, monkeypatch):
    monkeypatch.setattr(session, "CLOSE_TIMEOUT_S", 0.1)

    class Away(MemoryStore):
        async def commit(self, prepared: object) -> None:
            await asyncio.Event().wait()

    server = await serve(Away(), shutdown_s=0.1)
    peer = await raw(server, "/ws?feed=none")
    await peer.event()
    peer.text(order("bid", 10, 1, 1))
    peer.frame(8, b"\x03\xe8")
    assert await peer.close_code() == 1000
