"""A pipeline between an exchange and a store whose answers the test gives."""

from __future__ import annotations

import asyncio

from fakes import FakeClock, ScriptedStore, settle
from trading import T0, bid, brief, recovered

from fastbook_server.channels.channel import Channel
from fastbook_server.channels.trade_channel import CommittedBatch
from fastbook_server.matching.exchange import Exchange
from fastbook_server.matching.pipeline import Pipeline


class LineClock(FakeClock):
    """Timers that are advanced, and a time of day that is set."""

    def __init__(self) -> None:
        super().__init__()
        self.stamp_ms = T0

    def now_ms(self) -> int:
        return self.stamp_ms


class Line:
    """A pipeline between an exchange and a store whose answers the test gives."""

    def __init__(self, **options) -> None:
        self.store = ScriptedStore()
        self.clock = LineClock()
        self.published: list[list[tuple]] = []
        self.told: list[CommittedBatch] = []
        self.batches: Channel[CommittedBatch] = Channel()
        self.batches.subscribe(self._collect)
        past = recovered(batch_no=7, time_ms=options.pop("time_ms", 0))
        self.exchange = Exchange(past)
        self.pipeline = Pipeline(
            self.exchange,
            self.store,
            self.batches,
            batch_no=past.batch_no,
            time_ms=past.time_ms,
            clock=self.clock,
            **options,
        )
        self.running = asyncio.ensure_future(self.pipeline.run())

    def _collect(self, batch: CommittedBatch) -> None:
        self.told.append(batch)
        if batch.orders or batch.reports:
            events = (*batch.orders, *batch.trades, *batch.reports)
            self.published.append(list(map(brief, events)))

    def add(self, *refs: str) -> None:
        """Submit a resting bid of ann's for each ref."""
        for ref in refs:
            self.pipeline.submit("ann", bid(10, 1, ref))

    def replies(self) -> list[list[str]]:
        """Return the refs of the replies that were published, batch by batch."""
        return [[e[1] for e in batch if e[0] == "ann"] for batch in self.published]

    async def stop(self) -> None:
        """Stop; whatever is still uncommitted succeeds."""
        self.pipeline.stop()
        while not self.running.done():
            self.store.answer()
            await settle()
        await self.running
