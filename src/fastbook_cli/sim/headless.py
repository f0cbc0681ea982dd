"""The simulated market without a server: agents on an ``Exchange`` in this process, on a clock of
their own. As fast as the machine; the same settings give the same events, byte for byte."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

import fastbook
from fastbook_cli.sim.scene import START_TICKS, Scene
from fastbook_cli.sim.settings import SimSettings
from fastbook_cli.sim.words import BUY, AgentReport, Cancel, Intent, Limit
from fastbook_server.matching.exchange import Exchange
from fastbook_server.values.events import ExchangeEvent, OrderReport, Traded
from fastbook_server.values.instruments import Instrument, InstrumentSpec
from fastbook_server.values.persisted import Recovered
from fastbook_wire.commands import Add, Delete, NewOrder
from fastbook_wire.words import SideName

TIME_MS = 1_767_225_600_000
"""When a simulated day begins: 2026-01-01."""
TYPICAL_LOTS = 5_000
DEFAULT = (InstrumentSpec.parse("BTC-USD:0.01:0.0001"),)

Watcher = Callable[[str, Sequence[ExchangeEvent]], None]


class PublicBook:
    """The book of a market in this process, as agents may see it."""

    def __init__(self, book: fastbook.OrderBook) -> None:
        self._book = book

    def best(self) -> tuple[int | None, int | None]:
        """Return the best bid and the best ask."""
        bid, ask = self._book.best_bid, self._book.best_ask
        return (bid[0] if bid else None), (ask[0] if ask else None)

    def depth(self, side: SideName, count: int) -> Sequence[tuple[int, int]]:
        """Return (price, quantity) of the best levels of a side."""
        bids, asks = self._book.depth(count)
        return bids if side == BUY else asks


class Headless:
    """Simulated markets, one per instrument.

    `watch` is called with the security and the events of each command, as they happen.
    """

    def __init__(
        self,
        settings: SimSettings,
        specs: Sequence[InstrumentSpec] = DEFAULT,
        *,
        start: int = START_TICKS,
        watch: Watcher | None = None,
    ) -> None:
        instruments = tuple(
            Instrument(i, s.security, s.tick, s.lot) for i, s in enumerate(specs, start=1)
        )
        self.exchange = Exchange(_nothing_yet(instruments))
        self.commands = 0
        self.now_s = 0.0
        rate = settings.rate / len(instruments)
        self.scenes = {
            i.security: Scene(settings, i.security, rate=rate, start=start, typical=TYPICAL_LOTS)
            for i in instruments
        }
        self._instruments = {i.security: i for i in instruments}
        self._books = {s: PublicBook(m.book) for s, m in self.exchange.markets.items()}
        self.typical = TYPICAL_LOTS
        self._due = [(0.0, security) for security in self.scenes]
        self._watch = watch

    def run(self, until_s: float) -> None:
        """Simulate up to a moment, in seconds since the beginning."""
        due = self._due
        while due[0][0] <= until_s:
            self.now_s, security = due[0]
            scene = self.scenes[security]
            number = scene.call()
            for intent in scene.decide(number, self._books[security], self.now_s):
                self._do(security, scene, number, intent)
            heapq.heapreplace(due, (scene.due_s, security))
        self.now_s = until_s

    def _do(self, security: str, scene: Scene, number: int, intent: Intent) -> None:
        command = self._command(security, intent)
        self.commands += 1
        time_ms = TIME_MS + int(self.now_s * 1_000)
        events = self.exchange.apply(str(number), command, time_ms)
        for event in events:
            if type(event) is OrderReport:
                scene.hear(int(event.user_id), _report(event))
            elif type(event) is Traded:
                scene.traded(round(event.notional / event.quantity))
        if self._watch is not None:
            self._watch(security, events)

    def _command(self, security: str, intent: Intent) -> Add | Delete:
        if isinstance(intent, Cancel):
            return Delete(id=intent.order_id)
        instrument = self._instruments[security]
        amount = instrument.lot.number(intent.quantity)
        if not isinstance(intent, Limit):
            order = NewOrder(
                type=intent.side,
                exec_type="market",
                amount=amount,
                security=security,
                self_trade="cancelOldest",
            )
            return Add(order=order, ref=-1)
        order = NewOrder(
            type=intent.side,
            exec_type="limit",
            amount=amount,
            price=instrument.tick.number(intent.price),
            security=security,
            time_in_force="ioc" if intent.ioc else None,
            self_trade="cancelOldest",
        )
        return Add(order=order, ref=intent.slot)


def _report(event: OrderReport) -> AgentReport:
    """Return a report as an agent hears it; one with a ``ref`` answers an ``Add``."""
    order = event.order
    rests = event.status == "open" or event.status == "partiallyFilled"
    filled = event.last_quantity or 0
    slot = -1
    if event.ref is not None:
        assert isinstance(event.ref, int)
        slot = event.ref
        filled = order.quantity - event.remaining
    return AgentReport(order.id, order.side, order.price or 0, event.remaining, rests, filled, slot)


def _nothing_yet(instruments: tuple[Instrument, ...]) -> Recovered:
    return Recovered(
        epoch=1,
        batch_no=0,
        time_ms=TIME_MS,
        token_key=bytes(32),
        instruments=instruments,
        seqs={},
        open_orders=(),
        client_orders=(),
        last_trades={},
    )
