"""Databento's market-by-order records (schema ``mbo``), as CSV or DBN: what each says of a book.

Several records make an event of the venue, whose last one is flagged. Trades (T) and fills (F) do
not change the book: adds, cancels and modifies (A, C, M), which follow in the event, do. So what
they only confirm is left out, and what else they say is carried out. A trade names the aggressor
where the venue does (CME), and its fills the makers. A modified order keeps its place in the queue
unless its price changes or its size grows, as at CME. Trades without a side are auctions.
See https://databento.com/docs/schemas-and-data-formats/mbo.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import NamedTuple

from fastbook_cli.replay.actions import Action, Undecided
from fastbook_cli.replay.earlier import Earlier
from fastbook_cli.replay.executions import Executions
from fastbook_cli.replay.venue_book import AUCTION, HIDDEN, OPPOSITE, VenueBook
from fastbook_cli.replay.venue_snapshot import Listed, reconcile
from fastbook_wire.words import SideName

UNDEFINED_PRICE = 2**63 - 1
LAST, TOP_OF_BOOK, SNAPSHOT, BY_LEVEL = 128, 64, 32, 16
SIDES: dict[str, SideName | None] = {"B": "bid", "A": "ask", "N": None}
ACTIONS = frozenset("AMCRTFN")


class Record(NamedTuple):
    """One record; the price is in 1e-9, ``UNDEFINED_PRICE`` if it has none."""

    line: int
    time_ns: int
    action: str
    side: SideName | None
    price: int
    size: int
    order_id: int
    flags: int


class _Sweep:
    """What one aggressor traded within an event."""

    def __init__(self, record: Record, side: SideName) -> None:
        self.record = record
        self.side = side
        self.fills: list[tuple[str, int, int]] = []

    @property
    def taker(self) -> str:
        return str(self.record.order_id)


class Mbo:
    """Follows one instrument's book, event by event."""

    def __init__(self, notes: Undecided, earlier: Earlier | None, survey: Earlier | None) -> None:
        self._notes = notes
        self._survey = survey
        self._book = VenueBook(notes, _price, Decimal, earlier=earlier, survey=survey)
        self._executions = Executions(self._book)
        self._is_started = False
        self._is_cleared = False  # so that an id may come again
        self._snapshot: list[Listed] | None = None
        self._snapshot_at = 0, 0

    def actions(self, records: Iterable[Record]) -> Iterator[Action]:
        """Yield the actions of the records of one instrument, in order."""
        book = self._book
        if self._survey is None:
            book.place_earlier()
        event: list[Record] = []
        for record in records:
            if event and record.time_ns != event[0].time_ns:
                self._event(event)
                event.clear()
            if self._is_of_snapshot(record):
                continue
            event.append(record)
            if record.flags & (LAST | SNAPSHOT):
                self._event(event)
                event.clear()
            if book.out:
                yield from book.out
                book.out.clear()
        self._event(event)
        self._end_snapshot()
        self._executions.flush()
        yield from book.out
        if self._survey is not None:
            self._survey.unended = frozenset(book.open_ids)

    def _is_of_snapshot(self, record: Record) -> bool:
        """Keep a record that belongs to a snapshot, and return whether it does.

        A snapshot begins with a clear (R). One at the start of a file makes the book; a later one
        confirms it, as that of each day does.
        """
        is_clear = record.action == "R"
        if is_clear or not record.flags & SNAPSHOT:
            self._end_snapshot()
        if is_clear and record.flags & SNAPSHOT and self._is_started:
            self._snapshot = []
        elif self._snapshot is None or record.side is None or record.price == UNDEFINED_PRICE:
            return False
        else:
            order_id = str(record.order_id)
            self._snapshot.append(Listed(order_id, record.side, record.price, record.size))
        self._snapshot_at = record.line, record.time_ns
        return True

    def _end_snapshot(self) -> None:
        if self._snapshot is not None:
            self._executions.flush()
            self._book.line, self._book.time_ns = self._snapshot_at
            reconcile(self._book, self._snapshot)
            self._snapshot = None

    def _event(self, event: list[Record]) -> None:
        sweeps = self._sweeps(event) if len(event) > 1 else []
        if not sweeps:
            is_told = any(record.action == "T" for record in event)
            for record in event:
                if record.action == "T" and len(event) == 1:
                    self._notes.count(HIDDEN, record.line)
                if record.action == "F" and not is_told:
                    self._notes.count(AUCTION, record.line)
                self._change(record, {})
            return
        filled: dict[str, int] = {}
        for sweep in sweeps:
            for maker, _, size in sweep.fills:
                filled[maker] = filled.get(maker, 0) + size
        takers = {s.taker for s in sweeps if s.record.order_id}
        rests = {}
        later = []
        for record in event:
            order_id = str(record.order_id)
            if order_id in takers:
                if record.action in "AM":
                    rests[order_id] = record
            elif record.action == "C" and order_id not in filled:
                self._change(record, filled)  # not met by the aggressor, so gone before
            else:
                later.append(record)
        for n, sweep in enumerate(sweeps):
            is_last = all(other.taker != sweep.taker for other in sweeps[n + 1 :])
            self._trade(sweep, rests.get(sweep.taker) if is_last else None)
        for record in later:
            self._change(record, filled)

    def _sweeps(self, event: list[Record]) -> list[_Sweep]:
        """Return what each aggressor of an event traded with whom."""
        sweeps: list[_Sweep] = []
        for n, record in enumerate(event):
            if record.action == "T":
                if record.side is None:
                    has_fills = n + 1 < len(event) and event[n + 1].action == "F"
                    self._notes.count("auctions" if has_fills else HIDDEN, record.line)
                    continue
                last = sweeps[-1].record if sweeps else None
                if last is None or (last.order_id, last.side) != (record.order_id, record.side):
                    sweeps.append(_Sweep(record, record.side))
            elif record.action == "F" and sweeps and record.side is not None:
                sweep = sweeps[-1]
                if record.side != sweep.side:
                    sweep.fills.append((str(record.order_id), record.price, record.size))
        for sweep in sweeps:
            if not sweep.fills:
                sweep.fills += self._cancelled_by(sweep, event)
            if not sweep.fills:
                self._notes.count(HIDDEN, sweep.record.line)
        return [sweep for sweep in sweeps if sweep.fills]

    def _cancelled_by(self, sweep: _Sweep, event: list[Record]) -> list[tuple[str, int, int]]:
        """Return whom a trade without fills has met: the orders that are cancelled along with it.

        They are on the other side, at its price, and together as large as it.
        """
        trade, found, left = sweep.record, [], sweep.record.size
        for record in event:
            is_met = record.side == OPPOSITE[sweep.side] and record.price == trade.price
            if record.action == "C" and is_met and record.size <= left:
                found.append((str(record.order_id), record.price, record.size))
                left -= record.size
        return [] if left else found

    def _trade(self, sweep: _Sweep, rest: Record | None) -> None:
        book, record, taker = self._book, sweep.record, sweep.taker
        side_now = book.side_of(taker)
        is_named = record.order_id and side_now != OPPOSITE[sweep.side]
        if self._survey is not None:
            for maker, price, size in sweep.fills:
                if not book.knows(maker):
                    book.mention(maker, OPPOSITE[sweep.side], price, size)
        if not is_named:
            for maker, price, size in sweep.fills:
                book.line, book.time_ns = record.line, record.time_ns
                self._executions.add(OPPOSITE[sweep.side], maker, price, size)
            return
        self._executions.flush()
        book.line, book.time_ns = record.line, record.time_ns
        if rest is None:
            book.trade(sweep.side, sweep.fills, taker=taker)
        else:
            book.trade(sweep.side, sweep.fills, taker=taker, limit=rest.price, rest=rest.size)

    def _change(self, record: Record, filled: dict[str, int]) -> None:
        """Carry out what a record says of the book, but for what the fills have done already."""
        book, action = self._book, record.action
        if action in "TFN":
            return
        order_id = str(record.order_id)
        by = record.size - filled.get(order_id, 0)
        if action == "C" and by <= 0:
            return  # the fills say it
        self._executions.flush()
        book.line, book.time_ns = record.line, record.time_ns
        if action == "R":
            self._is_cleared = self._is_started
            for known in [*book.open_ids]:
                book.cancel(known)
        elif record.side is None or record.price == UNDEFINED_PRICE:
            self._notes.count("orders without a side or a price", record.line)
        elif action == "C":
            book.cancel(order_id, by, (record.side, record.price))
        elif action == "M" and book.knows(order_id):
            book.amend(order_id, record.price, record.size)
        else:
            self._is_started = True
            is_again = action == "M" or self._is_cleared
            book.add(order_id, record.side, record.price, record.size, is_again=is_again)


def _price(units: int) -> Decimal:
    return Decimal(units).scaleb(-9)
