"""Commands of gateways in other processes: the batch that answers one says that it is taken."""

from __future__ import annotations

import asyncio
from typing import Any

from fakes import FakeClock, ScriptedStore, settle
from trading import T0, Floor, ask, bid, delete_all, recovered

from fastbook_server.channels.channel import Channel
from fastbook_server.channels.order_channel import Connected, Numbered
from fastbook_server.channels.trade_channel import CommittedBatch
from fastbook_server.matching.exchange import Exchange
from fastbook_server.matching.pipeline import Pipeline
from fastbook_server.matching.steps import finished
from fastbook_server.values.events import CommandRefused, CommandTaken, OrderReport

GATEWAY = "gateway#1"


def test_what_a_command_causes_comes_first_then_that_it_is_taken():
    floor = Floor()
    reported, taken = floor.do("ann", Numbered(GATEWAY, 7, bid(10, 1)))[-2:]
    assert isinstance(reported, OrderReport)
    assert taken == CommandTaken(GATEWAY, 7, None)


def test_a_refused_command_is_taken_too():
    refused, taken = Floor().do("ann", Numbered(GATEWAY, 1, bid(10.123, 1)))
    assert isinstance(refused, CommandRefused)
    assert taken == CommandTaken(GATEWAY, 1, None)


def test_a_number_without_a_command_is_only_taken():
    assert Floor().do("ann", Numbered(GATEWAY, 2, None)) == [CommandTaken(GATEWAY, 2, None)]


def test_who_connects_is_held_by_the_gateway():
    (taken,) = Floor().do("ann", Numbered(GATEWAY, 3, Connected(None)))
    assert taken == CommandTaken(GATEWAY, 3, "ann")


def test_what_takes_long_is_taken_at_its_end():
    floor = Floor()
    for _ in range(2_500):
        floor.do("ann", ask(10, 1))
    steps = floor.exchange.begin("ann", Numbered(GATEWAY, 4, delete_all("r")), T0)
    assert not isinstance(steps, list)
    next(steps)  # and more follow
    assert finished(steps)[-1] == CommandTaken(GATEWAY, 4, None)


class KeepingStore(ScriptedStore):
    keeps_replies = True


async def published(store: ScriptedStore, *commands: Any) -> list[CommittedBatch]:
    """Return the batches that these commands lead to, all committed at once."""
    batches: Channel[CommittedBatch] = Channel()
    told: list[CommittedBatch] = []
    batches.subscribe(told.append)
    clock = FakeClock()
    pipeline = Pipeline(Exchange(recovered()), store, batches, batch_no=0, time_ms=T0, clock=clock)  # type: ignore[arg-type]
    running = asyncio.ensure_future(pipeline.run())
    for n, command in enumerate(commands, 1):
        pipeline.submit("ann", Numbered(GATEWAY, n, command))
    await settle()
    while store.in_flight:
        store.answer()
        await settle()
    running.cancel()
    return [batch for batch in told if batch.reports or batch.taken]


async def test_a_batch_tells_the_last_number_and_who_is_held():
    (batch,) = await published(ScriptedStore(), Connected(5), bid(10, 1), bid(10, 2))
    assert (batch.taken, batch.held) == ({GATEWAY: 3}, {"ann": GATEWAY})


async def test_a_store_that_keeps_replies_is_given_what_only_answers():
    store = KeepingStore()
    await published(store, bid(10.123, 1))
    (batch,) = store.prepared
    assert (list(batch.events), batch.taken) == ([], {GATEWAY: 1})
    assert [type(report) for report in batch.reports] == [CommandRefused]
    store = ScriptedStore()
    await published(store, bid(10.123, 1))
    assert store.prepared == []
