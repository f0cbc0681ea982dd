"""An exchange and the dialect's public market over it, in the tests' own time."""

from __future__ import annotations

from typing import Any

from fakes import FakeClock, FakeReader, settle
from hall import batch_of
from trading import Floor, recovered

from fastbook_server.dialects.binance.calls import Call
from fastbook_server.dialects.binance.parameters import Parameters
from fastbook_server.dialects.binance.public_market import PublicMarket
from fastbook_server.dialects.binance.symbols import Symbols
from fastbook_server.gateway.http.history_queue import HistoryQueue
from fastbook_server.gateway.market_views import MarketViews
from fastbook_server.store.memory import MemoryDatabase
from fastbook_server.store.memory_history import MemoryHistory
from fastbook_server.values.events import PRIVATE
from fastbook_server.values.instruments import Instrument
from fastbook_wire.grid import Grid

BTC = Instrument(1, "BTC-USDT", Grid.parse("0.01"), Grid.parse("0.0001"))
ETH = Instrument(2, "ETH-USDT", Grid.parse("0.05"), Grid.parse("0.001"))


class Listener(FakeReader):
    """A connection to streams that keeps what it was sent, decoded."""

    def __init__(self, *, combined: bool = False, scale: int = 1) -> None:
        super().__init__()
        self.combined = combined
        self.scale = scale


class VenueFloor:
    """``do`` matches, stores and publishes commands as one batch."""

    def __init__(self, data: MemoryDatabase | None = None, **past: Any) -> None:
        known = recovered(BTC, ETH, **past)
        self.floor = Floor(known)
        self.clock = FakeClock()
        self.data = data or MemoryDatabase()
        self.symbols = Symbols((BTC, ETH))
        self.views = MarketViews(known)
        queue = HistoryQueue(MemoryHistory(self.data), queries_max=2, waiting_max=100)
        self.market = PublicMarket(self.symbols, self.views, queue, self.clock)
        self._entries = {entry.path: entry for entry in self.market.entries()}

    async def start(self) -> VenueFloor:
        """Begin as a server does, with a mark before anybody can join."""
        await self.market.start()
        self.mark()
        return self

    def do(self, user_id: str, *commands: Any) -> None:
        """Apply, store and publish commands as one batch."""
        self.floor.now_ms = self.clock.now_ms()
        self._publish([e for c in commands for e in self.floor.do(user_id, c)])

    def mark(self) -> None:
        """Publish an idle mark."""
        self._publish([])

    def _publish(self, events: list[Any]) -> None:
        self.data.events += [e for e in events if type(e) not in PRIVATE]
        batch = batch_of(events, self.clock.now_ms())
        marks = self.views.watermarks[""]
        marks.settled_ms, marks.stored_ms = batch.settled_ms, batch.stored_ms
        self.market.take_in(batch.orders)
        self.market.on_batch(batch, self.views.on_orders(batch.orders))

    def advance(self, seconds: float) -> None:
        """Let time pass, with an idle mark at each whole second."""
        until_ms = self.clock.now_ms() + round(seconds * 1_000)
        while (next_ms := self.clock.now_ms() // 1_000 * 1_000 + 1_000) <= until_ms:
            self.clock.advance((next_ms - self.clock.now_ms()) / 1_000)
            self.mark()
        self.clock.advance((until_ms - self.clock.now_ms()) / 1_000)

    async def follow(self, *names: str, **form: Any) -> Listener:
        """Return a reader that listens to streams from now on."""
        reader = Listener(**form)
        for name in names:
            stream = self.market.streams.named(name)
            assert stream is not None, name
            self.market.streams.join(stream, reader)
        await settle()
        return reader

    async def ask(self, path: str, **params: Any) -> Any:
        """Return the answer to a question."""
        given = Parameters({name: str(value) for name, value in params.items()})
        return await self._entries[path].function(Call(given, None, self.clock.now_ms()))

    def snapshot(self, symbol: str = "BTCUSDT") -> dict[str, Any]:
        """Return the whole book, as ``depth`` answers it."""
        known = self.symbols[symbol]
        view = self.views.views[known.security]
        sides = {"bids": view.depth.top(0), "asks": view.depth.top(1)}
        return {"lastUpdateId": view.seq} | {
            name: [[known.price(p), known.quantity(q)] for p, q in levels]
            for name, levels in sides.items()
        }
