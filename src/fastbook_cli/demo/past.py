"""The time before a demo: the same market, simulated on the bare exchange in a second or two.

Its trades, orders and candles are stored like all others, with stamps of the past. At the end its
agents cancel their orders; those of the demo, who are other users, continue at the last price.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import msgspec

from fastbook_cli.sim.headless import Headless
from fastbook_cli.sim.opening import Beginning, opening
from fastbook_cli.sim.settings import SimSettings
from fastbook_server.config import Config
from fastbook_server.matching.collected import Collected
from fastbook_server.store import Batch, Store
from fastbook_server.values.events import ExchangeEvent
from fastbook_server.values.instruments import Instrument
from fastbook_server.values.persisted import Recovered

SHORTEST_S = 10.0
"""A shorter time since the last event is left as it is."""
COMMANDS_MAX = 40_000
"""A past has fewer commands than the present, which is as lively: its orders are as much larger."""
BATCH_COMMANDS = 2_000
"""As many on average: many, to need few commits, but a signal is heeded between two of them."""


async def make_past(store: Store, config: Config, sim: SimSettings, minutes: float) -> None:
    """Let the market have traded in the last `minutes`, or since its last event if that is later.

    Nothing is done to a market in which orders are open: nobody's order trades while no server
    runs.

    Raises:
        StoreError: the database is away, or must not be served with these settings.
    """
    now_ms = time.time_ns() // 1_000_000
    recovered = await store.open(
        config.instruments, config.last_trades, delist=config.delist, now_ms=now_ms
    )
    start_ms = max(now_ms - round(minutes * 60_000), recovered.time_ms)
    seconds = (now_ms - start_ms) / 1_000
    if seconds < SHORTEST_S or recovered.open_orders:
        return
    if all(i.status != "open" for i in recovered.instruments):
        return
    rate = max(0.1, min(sim.rate, COMMANDS_MAX / seconds))
    settings = msgspec.structs.replace(sim, rate=rate, seed=-1 - sim.seed - recovered.epoch)
    writer = _Writer(store, recovered)
    market = Headless(
        settings,
        recovered=recovered,
        openings=_openings(recovered, sim.rate / rate),
        start_ms=start_ms,
        watch=lambda _, events: writer.take(events, market.time_ms),
    )
    while market.now_s < seconds:
        market.run(min(seconds, market.now_s + BATCH_COMMANDS / rate))
        await writer.commit()
    market.close()
    await writer.commit()


def _openings(recovered: Recovered, size: float) -> dict[str, Beginning]:
    """Return how each market continues; orders are `size` times as large as usual."""

    def continued(i: Instrument) -> Beginning:
        start, typical = opening(i.security, i.tick, i.lot, recovered.last_prices.get(i.security))
        return Beginning(start, round(typical * size))

    return {i.security: continued(i) for i in recovered.instruments}


class _Writer:
    """Collects what a market does, and makes it durable."""

    def __init__(self, store: Store, recovered: Recovered) -> None:
        self._store = store
        self._batch_no = recovered.batch_no
        self._collecting = Collected()

    def take(self, events: Sequence[ExchangeEvent], time_ms: int) -> None:
        """Add what one command caused."""
        self._collecting.add(list(events), time_ms)

    async def commit(self) -> None:
        """Commit what has been collected; let others have their turn."""
        collected, self._collecting = self._collecting, Collected()
        await asyncio.sleep(0)
        if collected.stored:
            self._batch_no += 1
            batch = Batch(self._batch_no, collected.until_ms, tuple(collected.stored))
            await self._store.commit(self._store.prepare(batch))
