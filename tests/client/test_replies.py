"""First the reply to a command, then the events that follow it, on the real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from client_servers import ScriptedServer, order, scripted_server, small_server, until

from fastbook_client import Event, Market, OrderFrame, Rejected, connect

PATIENCE_S = 20.0
ROUNDS = 20


@pytest.fixture
async def market() -> AsyncIterator[Market]:
    async with small_server() as url, connect(url) as market:
        yield market


async def test_a_fill_is_read_after_the_reply_that_it_follows(market: Market) -> None:
    """The reader runs in every turn of the loop, so that it meets whatever can be read."""
    told: list[str] = []

    async def read() -> None:
        while True:
            while not len(market._link.mailbox):  # noqa: ASYNC110
                await asyncio.sleep(0)
            event = await anext(market)
            if isinstance(event, OrderFrame):
                told.append(f"{event.status} event")

    reading = asyncio.create_task(read())
    async with asyncio.timeout(PATIENCE_S):
        for number in range(ROUNDS):
            await market.limit("ask", 100, 1)
            told.clear()
            if number % 2:
                placed = await market.limit("bid", 100, 1)
            else:
                placed = await asyncio.wait_for(market.limit("bid", 100, 1), PATIENCE_S)
            told.append(f"{placed.status} reply")
            await until(lambda: len(told) == 2)
            assert told == ["filled reply", "filled event"]
    reading.cancel()


async def _answered_together(server: ScriptedServer, count: int) -> None:
    """Answer the unanswered orders, and report a fill of each, all in one write."""
    peer = await server.peer(0)
    await until(lambda: sum(c["op"] == "add" for c in peer.got) == count)
    frames = []
    for sent in peer.got:
        name = sent["order"]["clientOrderId"]
        state = order(name, filled=1.0, remaining=0.0, avgPrice=10.0)
        frames += [
            {"event": "order", "ref": sent["ref"], "status": "open", "order": order(name)},
            {"event": "order", "status": "filled", "order": state},
        ]
    transport = peer.ws._req.transport if peer.ws._req is not None else None
    assert transport is not None
    written: list[bytes] = []
    write, transport.write = transport.write, written.append  # type: ignore[method-assign,assignment]
    await peer.say(*frames)
    transport.write = write  # type: ignore[method-assign]
    write(b"".join(written))


async def test_many_replies_at_once_all_precede_their_fills() -> None:
    async with scripted_server() as (url, server), connect(url, feed=False) as market:
        server.mute = {"add"}
        told: list[str] = []

        async def place(name: str) -> None:
            placed = await market.limit("bid", 10, 1, client_order_id=name)
            told.append(f"{placed.client_order_id} {placed.status}")

        async def read() -> None:
            async for event in market:
                assert isinstance(event, OrderFrame)
                assert event.order is not None
                told.append(f"{event.order.client_order_id} {event.status}")
                if len(told) == 10:
                    return

        names = [f"n{number}" for number in range(5)]
        work = [asyncio.create_task(read()), *(asyncio.create_task(place(n)) for n in names)]
        async with asyncio.timeout(PATIENCE_S):
            await _answered_together(server, 5)
            await asyncio.gather(*work)
        for name in names:
            assert told.index(f"{name} open") < told.index(f"{name} filled")


@pytest.mark.parametrize("moment", ["before the reply", "with the reply"])
async def test_the_reply_to_a_caller_who_is_cancelled_arrives_as_an_event(moment: str) -> None:
    async with scripted_server() as (url, server), connect(url, feed=False) as market:
        server.mute = {"add"}
        placing = asyncio.create_task(market.limit("bid", 10, 1, client_order_id="x"))
        peer = await server.peer(0)
        await peer.command("add")
        handle = market._link._handle

        def cancel_and_handle(frame: Event) -> None:
            if moment == "before the reply":
                placing.cancel()
            handle(frame)  # type: ignore[arg-type]
            placing.cancel()

        market._link._handle = cancel_and_handle  # type: ignore[method-assign,assignment]
        await _answered_together(server, 1)
        with pytest.raises(asyncio.CancelledError):
            await placing
        async with asyncio.timeout(PATIENCE_S):
            events = [await anext(market), await anext(market)]
        assert [e.status for e in events if isinstance(e, OrderFrame)] == ["open", "filled"]


async def test_a_refusal_comes_first_too(market: Market) -> None:
    mailbox = market._link.mailbox
    with pytest.raises(Rejected):
        await market.limit("bid", 0.01, 1)
    assert mailbox._held, "the events behind the refusal wait for whoever awaits this caller"
