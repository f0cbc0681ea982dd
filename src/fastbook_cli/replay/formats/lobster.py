"""LOBSTER message files: one event of a Nasdaq order book per row, perhaps below a header.

The columns are the time (seconds after midnight), the type, the order's id, a size in shares, its
price in 1e-4 dollars and its direction (1 buys, -1 sells), as in https://lobsterdata.com. A file of
so many levels leaves out what happens beyond them, so that it mentions orders which it has never
placed, and never ends others; ids are those of Nasdaq, and ascend.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import PurePath

from fastbook_cli.replay.actions import Action, Undecided
from fastbook_cli.replay.container import Content
from fastbook_cli.replay.earlier import Earlier
from fastbook_cli.replay.executions import Executions
from fastbook_cli.replay.reader import (
    REPEATED,
    Lines,
    OneDay,
    first_line,
    second_line,
    whole_number,
)
from fastbook_cli.replay.venue_book import HIDDEN, VenueBook
from fastbook_wire.words import SideName

_ROW = re.compile(r"\d{1,6}(\.\d+)?,[1-7],-?\d+,-?\d+,-?\d+,(1|-1|0)(,.*)?$")
_NAME = re.compile(r"([A-Z.]+)_(\d{4}-\d\d-\d\d)_\d+_\d+_message")
_SIDES: dict[str, SideName] = {"1": "bid", "-1": "ask"}
_NOTES = {"5": HIDDEN, "6": "auctions", "7": "halts and resumptions"}


def is_lobster(content: Content) -> bool:
    """Return whether a file starts with such a row, or has one below its header."""
    first = first_line(content.head)
    if _ROW.match(first):
        return True
    return _is_header(first) and _ROW.match(second_line(content.head)) is not None


def _is_header(line: str) -> bool:
    names = line.lower()
    return "type" in names and "size" in names


class Lobster:
    """Reads such a file."""

    kind = "LOBSTER messages"
    place = "line"
    times = "seconds after midnight"

    def __init__(self, content: Content) -> None:
        self.content = content
        named = _NAME.search(PurePath(content.name).name)
        self.security = named[1] if named else None

    def actions(
        self, notes: Undecided, *, earlier: Earlier | None = None, survey: Earlier | None = None
    ) -> Iterator[Action]:
        """Yield the actions in order."""
        book = VenueBook(notes, _price, Decimal, earlier=earlier, survey=survey, ids_ascend=True)
        executions = Executions(book)
        lines, day = Lines(self.content), OneDay()
        left_out = earlier.repeats.rows if earlier is not None else frozenset[int]()
        doubts = _Doubts(book, executions, survey) if survey is not None else None
        before = ""
        with lines.checked(notes):
            for line in lines:
                is_again = line == before and line.split(",")[1] in "1234"
                if doubts is not None:
                    is_again = doubts.leaves_out(lines.number, line.split(","), is_again=is_again)
                elif is_again:
                    is_again = line.split(",")[1] in "13" or lines.number in left_out
                if is_again:
                    notes.count(REPEATED, lines.number)
                    continue
                before = line
                if line[0] > "9" and _is_header(line):
                    continue
                _row(book, executions, lines.number, line.split(","), notes, day)
                if book.out:
                    yield from book.out
                    book.out.clear()
        executions.flush()
        yield from book.out
        if survey is not None:
            survey.unended = frozenset(book.open_ids) - survey.repeats.finish(book.left_of)


class _Doubts:
    """Watches the rows of a first reading for those that stand there twice."""

    def __init__(self, book: VenueBook, executions: Executions, survey: Earlier) -> None:
        self._book = book
        self._executions = executions
        self._mentioned = survey.orders
        self._repeats = survey.repeats

    def leaves_out(self, number: int, fields: list[str], *, is_again: bool) -> bool:
        """Return whether to leave a row out for now; `is_again`: it equals the one before."""
        if len(fields) < 6:
            return False
        kind, order_id = fields[1:3]
        if is_again and kind in "13":
            self._repeats.is_doubled = True
            return True
        if not is_again and order_id not in self._repeats:
            return False
        self._executions.flush()
        amount, left = whole_number("size", fields[3]), self._book.left_of(order_id)
        if not is_again:
            tell = self._repeats.ended if kind == "3" else self._repeats.taken
            tell(order_id, amount, left)
            return False
        if order_id in self._mentioned and not self._repeats.is_doubled:
            return False  # there is no telling; it came before the file
        self._repeats.doubt(order_id, number, amount, left)
        return True


def _price(units: int) -> Decimal:
    return Decimal(units).scaleb(-4)


def _row(
    book: VenueBook,
    executions: Executions,
    line: int,
    fields: list[str],
    notes: Undecided,
    day: OneDay,
) -> None:
    if len(fields) < 6:
        raise ValueError(f"expected 6 fields, got {len(fields)}")
    time, kind, order_id = fields[:3]
    if kind in _NOTES:
        notes.count(_NOTES[kind], line)
        return
    time_ns = _nanoseconds(time)
    day.check(time_ns)
    if kind not in ("1", "2", "3", "4"):
        raise ValueError(f"type: expected 1 to 7, got {kind[:40]!r}")
    whole_number("order id", order_id)
    size, price = whole_number("size", fields[3]), whole_number("price", fields[4])
    if size < 0 or price < 0:
        raise ValueError(f"expected a size and a price of 0 or more, got {size} and {price}")
    side = _SIDES.get(fields[5].strip())
    if side is None:
        raise ValueError(f"direction: expected 1 or -1, got {fields[5][:40]!r}")
    if kind == "4":
        book.line, book.time_ns = line, time_ns
        if book.knows(order_id):
            executions.add(side, order_id, price, size)
        else:
            executions.flush()
            book.mention(order_id, side, price, size)
        return
    executions.flush()
    book.line, book.time_ns = line, time_ns
    if kind == "1":
        book.add(order_id, side, price, size)
    elif kind == "2":
        book.cancel(order_id, size, (side, price))
    else:
        book.cancel(order_id, None if book.knows(order_id) else size, (side, price))


def _nanoseconds(time: str) -> int:
    seconds, _, fraction = time.partition(".")
    return whole_number("time", seconds) * 1_000_000_000 + int(fraction[:9].ljust(9, "0"))
