"""The simulated market without a server: agents on an ``Exchange`` in this process.

Simulated time runs as fast as the machine allows. The same settings give the same events, byte for
byte.
"""

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
"""The start of a simulated day: 2026-01-01."""
TYPICAL_LOTS = 5_000
DEFAULT = (InstrumentSpec.parse("BTC-USD:0.01:0.0001"),)

Watcher = Callable[[str, Sequence[ExchangeEvent]], None]


class PublicBook:
    """The book of a market in this process, as its agents see it."""

    def __init__(self, book: fastbook.OrderBook) -> None:
        self._book = book

    def best(self) -> tuple[int | None, int | None]:
        """Return the best bid and the best ask; None for an empty side."""
        bid, ask = self._book.best_bid, self._book.best_ask
        return (bid[0] if bid else None), (ask[0] if ask else None)

    def depth(self, side: SideName, count: int) -> Sequence[tuple[int, int]]:
        """Return (price, quantity) of the `count` best levels of a side, best first."""
        bids, asks = self._book.depth(count)
        return bids if side == BUY else asks


class Headless:
    """Simulated markets, one per instrument.

    `watch` is called after each command with its security and its events.
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
        self.exchange = Exchange(_empty(instruments))
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
        """Simulate until `until_s` seconds after the start."""
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
    """Return a report for an agent; one with a ``ref`` replies to an ``Add``."""
    order = event.order
    rests = event.status == "open" or event.status == "partiallyFilled"
    filled = event.last_quantity or 0
    slot = -1
    if event.ref is not None:
        assert isinstance(event.ref, int)
        slot = event.ref
        filled = order.quantity - event.remaining
    return AgentReport(order.id, order.side, order.price or 0, event.remaining, rests, filled, slot)


def _empty(instruments: tuple[Instrument, ...]) -> Recovered:
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
        fill_ids={},
        last_prices={},
    )
