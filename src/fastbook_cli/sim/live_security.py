"""One security of a server: its scene, and the conversion between wire numbers and integers."""

from __future__ import annotations

from collections.abc import Sequence

from fastbook_cli.sim.opening import opening
from fastbook_cli.sim.scene import Scene
from fastbook_cli.sim.settings import SimSettings
from fastbook_cli.sim.words import AgentReport, Cancel, Intent, Limit
from fastbook_client.book import Book
from fastbook_wire.commands import Add, Delete, NewOrder
from fastbook_wire.frames import InstrumentView, OrderFrame, OrderView
from fastbook_wire.grid import Grid
from fastbook_wire.words import SideName


class VenueTerms:
    """A security's grids."""

    def __init__(self, instrument: InstrumentView) -> None:
        self.security = instrument.security
        self.tick = Grid.of(instrument.tick_size)
        self.lot = Grid.of(instrument.lot_size)

    def command(self, intent: Intent, ref: int) -> Add | Delete:
        """Return an intent as a command of the wire."""
        if isinstance(intent, Cancel):
            return Delete(ref=ref, id=intent.order_id)
        order = NewOrder(
            type=intent.side,
            exec_type="market",
            amount=self.lot.number(intent.quantity),
            security=self.security,
            self_trade="cancelOldest",
        )
        if isinstance(intent, Limit):
            order.exec_type = "limit"
            order.price = self.tick.number(intent.price)
            order.time_in_force = "ioc" if intent.ioc else None
        return Add(ref=ref, order=order)

    def report(self, frame: OrderFrame, order: OrderView, slot: int | None) -> AgentReport:
        """Return a report for an agent; `slot` is that of the ``Add`` it replies to, if any."""
        filled = self.lot.nearest(frame.last_amount) if frame.last_amount is not None else 0
        if slot is not None:
            filled = self.lot.nearest(order.filled)
        return self.resting(
            order,
            frame.status in ("open", "partiallyFilled"),
            filled,
            -1 if slot is None else slot,
        )

    def resting(self, order: OrderView, rests: bool, filled: int, slot: int) -> AgentReport:
        """Return an order's state in ticks and lots; the price of a market order is 0."""
        price = 0 if order.price is None else self.tick.nearest(order.price)
        remaining = self.lot.nearest(order.remaining)
        return AgentReport(order.id, order.type, price, remaining, rests, filled, slot)


class LocalBook:
    """The client library's copy of the book, in ticks and lots."""

    def __init__(self, book: Book) -> None:
        self._book = book

    @property
    def is_synced(self) -> bool:
        """Whether the copy equals the server's book."""
        return self._book.is_synced

    def best(self) -> tuple[int | None, int | None]:
        """Return the best bid and the best ask; None for an empty side."""
        bid, ask = self.depth("bid", 1), self.depth("ask", 1)
        return (bid[0][0] if bid else None), (ask[0][0] if ask else None)

    def depth(self, side: SideName, count: int) -> Sequence[tuple[int, int]]:
        """Return (price, quantity) of the `count` best levels of a side, best first."""
        return self._book.ticks_and_lots(side, count)


class Venue:
    """A security that the agents trade; `last` is the price of its last trade."""

    def __init__(
        self,
        settings: SimSettings,
        instrument: InstrumentView,
        book: Book,
        last: float | None,
        rate: float,
    ) -> None:
        self.terms = VenueTerms(instrument)
        self.book = LocalBook(book)
        terms = self.terms
        opened = opening(
            terms.security, terms.tick, terms.lot, current_ticks(terms, self.book, last)
        )
        self.scene = Scene(
            settings, terms.security, rate=rate, start=opened.start, typical=opened.typical
        )

    def traded(self, price: float) -> None:
        """Take note of a public trade; its price may be an average."""
        self.scene.traded(self.terms.tick.nearest(price))


def current_ticks(terms: VenueTerms, book: LocalBook, last: float | None) -> int | None:
    """Return the price of a market: mid price, else last trade, else the one best price."""
    best = [price for price in book.best() if price is not None]
    if len(best) == 2 or (best and last is None):
        return sum(best) // len(best)
    return None if last is None else max(1, terms.tick.nearest(last))
