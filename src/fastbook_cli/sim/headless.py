"""The simulated market without a server: agents on an ``Exchange`` in this process.

Simulated time runs as fast as the machine allows. The same settings give the same events, byte for
byte.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence

import fastbook
from fastbook_cli.sim.opening import START_TICKS, Beginning
from fastbook_cli.sim.scene import Scene
from fastbook_cli.sim.settings import SimSettings
from fastbook_cli.sim.words import BUY, AgentReport, Cancel, Intent, Limit
from fastbook_server.matching.exchange import Exchange
from fastbook_server.values.events import ExchangeEvent, OrderReport, Traded
from fastbook_server.values.instruments import Instrument, InstrumentSpec
from fastbook_server.values.persisted import Recovered
from fastbook_wire.commands import Add, Delete, DeleteAll, NewOrder
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
    """Simulated markets on an exchange, one per open instrument.

    They begin at the Unix time `start_ms`, on an exchange with these `specs` and no past, or on one
    as it was `recovered`. Each starts as `openings` says, by security, or else at the price
    `start`. `watch` is called after each command with its security and its events.
    """

    def __init__(
        self,
        settings: SimSettings,
        specs: Sequence[InstrumentSpec] = DEFAULT,
        *,
        start: int = START_TICKS,
        watch: Watcher | None = None,
        recovered: Recovered | None = None,
        openings: Mapping[str, Beginning] | None = None,
        start_ms: int = TIME_MS,
    ) -> None:
        recovered = _empty(specs) if recovered is None else recovered
        self.exchange = Exchange(recovered)
        self.commands = 0
        self.now_s = 0.0
        self.typical = TYPICAL_LOTS
        self._start_ms = start_ms
        self._instruments = {i.security: i for i in recovered.instruments if i.status == "open"}
        rate = settings.rate / len(self._instruments)
        self.scenes: dict[str, Scene] = {}
        for security in self._instruments:
            opened = (openings or {}).get(security, Beginning(start, TYPICAL_LOTS))
            self.scenes[security] = Scene(settings, security, rate=rate, **opened._asdict())
        self._books = {s: PublicBook(m.book) for s, m in self.exchange.markets.items()}
        self._due = [(0.0, security) for security in self.scenes]
        self._watch = watch

    @property
    def time_ms(self) -> int:
        """The simulated time, as Unix time in milliseconds."""
        return self._start_ms + int(self.now_s * 1_000)

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

    def close(self) -> None:
        """Cancel every order of the agents."""
        for security, scene in self.scenes.items():
            for number in range(len(scene.agents)):
                self._apply(security, number, DeleteAll(security=security))

    def _do(self, security: str, scene: Scene, number: int, intent: Intent) -> None:
        events = self._apply(security, number, self._command(security, intent))
        for event in events:
            if type(event) is OrderReport:
                scene.hear(int(event.user_id), _report(event))
            elif type(event) is Traded:
                scene.traded(round(event.notional / event.quantity))

    def _apply(
        self, security: str, number: int, command: Add | Delete | DeleteAll
    ) -> list[ExchangeEvent]:
        self.commands += 1
        events = self.exchange.apply(str(number), command, self.time_ms)
        if self._watch is not None:
            self._watch(security, events)
        return events

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


def _empty(specs: Sequence[InstrumentSpec]) -> Recovered:
    """Return the state of an exchange on which nothing has happened."""
    return Recovered(
        epoch=1,
        batch_no=0,
        time_ms=TIME_MS,
        token_key=bytes(32),
        instruments=tuple(
            Instrument(i, s.security, s.tick, s.lot) for i, s in enumerate(specs, start=1)
        ),
        seqs={},
        open_orders=(),
        client_orders=(),
        last_trades={},
        fill_ids={},
        agg_trade_ids={},
        last_prices={},
    )
