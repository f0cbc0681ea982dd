"""Nasdaq TotalView-ITCH 5.0: binary messages, as Nasdaq stores a day, or one after the other.

Each message has a fixed length by its type. In a stored day two bytes before it say so (some
writers leave them 0), in a stored session of SoupBinTCP the length and the type of a packet.
Integers are big-endian, times are nanoseconds since midnight, prices 1e-4 dollars. The file holds
all stocks: one of them is read, by the locate code that its messages carry. The aggressor of an
execution is not published; those at one time are taken to have one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from struct import Struct
from typing import IO

from fastbook_cli.replay.actions import Action, RecordingError, Undecided
from fastbook_cli.replay.container import Content, readable
from fastbook_cli.replay.earlier import Earlier
from fastbook_cli.replay.executions import Executions
from fastbook_cli.replay.reader import OneDay
from fastbook_cli.replay.venue_book import AUCTION, HIDDEN, UNKNOWN, VenueBook
from fastbook_wire.words import SideName

LENGTHS = {
    ord(kind): length
    for kind, length in {
        "S": 12, "R": 39, "H": 25, "Y": 20, "L": 26, "V": 35, "W": 12, "K": 28, "J": 35, "h": 21,
        "A": 36, "F": 40, "E": 31, "C": 36, "X": 23, "D": 19, "U": 35, "P": 44, "Q": 40, "B": 19,
        "I": 50, "N": 20, "O": 48,
    }.items()
}  # fmt: skip
"""Bytes of a message by its type, the type included."""

_LENGTH_OF = tuple(LENGTHS.get(kind, 0) for kind in range(256))
SOUP = 3
"""Bytes before a message in a packet of SoupBinTCP: the packet's length and its type, S."""
_SOUP_TYPES = b"S+AHZ"
_SEQUENCED = ord("S")
_DIRECTORY = ord("R")
OTHER_PRICE = "executions at another price than the order's"
_CHUNK = 1 << 20
_COMMON = (36, 19, 31, 35, 23)
"""Lengths of the most frequent messages: A, D, E, U, X."""
_SIDES: dict[bytes, SideName] = {b"B": "bid", b"S": "ask"}
_NOTES = {
    ord("P"): HIDDEN,
    ord("Q"): "auctions",
    ord("B"): "broken trades",
    ord("H"): "halts and resumptions",
}
_SYMBOLS_SHOWN = 10

_add = Struct(">QcI8sI").unpack_from
_executed = Struct(">QI").unpack_from
_executed_at = Struct(">QIQcI").unpack_from
_order = Struct(">Q").unpack_from
_replaced = Struct(">QQII").unpack_from


def is_itch(content: Content) -> bool:
    """Return whether a file starts with three such messages, or is a shorter one of them."""
    return _prefix_of(content.head) is not None


def _prefix_of(head: bytes) -> int | None:
    """Return how many bytes stand before each message, None if these are no messages."""
    for prefix in (2, SOUP, 0):
        at = count = 0
        while count < 3 and at + prefix < len(head):
            told = int.from_bytes(head[at : at + 2]) if prefix else 0
            if prefix == SOUP and told and head[at + 2] != _SEQUENCED:
                if head[at + 2] not in _SOUP_TYPES:
                    break
                at += 2 + told
                continue
            length = LENGTHS.get(head[at + prefix])
            if length is None or told not in (0, length + prefix - 2):
                break
            at += prefix + length
            count += 1
        else:
            if count and b"\0" in head[: LENGTHS.get(head[prefix], 1)]:
                return prefix
    return None


def _run(prefix: int, but: bytes, *, kinds: bytes = bytes(LENGTHS)) -> re.Pattern[bytes]:
    """Return what matches a run of whole messages of these kinds whose locate code is not `but`."""
    by_length: dict[int, bytes] = {}
    for kind in kinds:
        length = LENGTHS[kind]
        by_length[length] = by_length.get(length, b"") + re.escape(bytes((kind,)))
    before = {0: b"", 2: b"..", SOUP: b"..S"}[prefix]
    of_kind = b"|".join(
        before + b"[%s]%s.{%d}" % (by_length[length], but, length - 1)
        for length in (*_COMMON, *(by_length.keys() - _COMMON))
    )
    # Not "*+": before Python 3.11.5 it ends a run at the second alternative (CPython's gh-106052).
    return re.compile(b"(?:%s)*" % of_kind, re.DOTALL)


def _others(prefix: int, locate: bytes) -> re.Pattern[bytes]:
    """Return what matches a run of messages of other stocks."""
    return _run(prefix, b"(?!%s)" % re.escape(locate))


def _undirected(prefix: int) -> re.Pattern[bytes]:
    """Return what matches a run of messages besides those of the stock directory."""
    return _run(prefix, b"", kinds=bytes(LENGTHS.keys() - {_DIRECTORY}))


class Itch:
    """Reads one stock of such a file: `symbol`, or the only one."""

    kind = "Nasdaq ITCH 5.0"
    place = "byte"
    times = "nanoseconds after midnight"

    def __init__(self, content: Content, symbol: str | None) -> None:
        self.content = content
        prefix = _prefix_of(content.head)
        assert prefix is not None, "expected a file that is_itch knows"
        self._prefix = prefix
        self._locate = 0
        self.security: str | None = self._find(symbol)

    def actions(
        self, notes: Undecided, *, earlier: Earlier | None = None, survey: Earlier | None = None
    ) -> Iterator[Action]:
        """Yield the actions in order."""
        book = VenueBook(notes, _price, Decimal, earlier=earlier, survey=survey, ids_ascend=True)
        executions = Executions(book)
        others, day = _others(self._prefix, self._locate.to_bytes(2)), OneDay()
        before = b""
        for number, message in self._messages(notes, others):
            if message == before:
                notes.count("repeated messages", number)
                continue
            before = message
            kind = message[0]
            if kind in _NOTES:
                notes.count(_NOTES[kind], number)
                continue
            handle = _HANDLERS.get(kind)
            if handle is None:
                continue
            time_ns = int.from_bytes(message[5:11])
            if kind != _E and kind != _C:
                executions.flush()
            book.line, book.time_ns = number, time_ns
            try:
                day.check(time_ns)
                handle(book, executions, message, notes)
            except (KeyError, ValueError) as error:
                side = "side: expected B or S, got " if isinstance(error, KeyError) else ""
                raise RecordingError(
                    f"{self.content.name}: byte {number:,}: {side}{error}"
                ) from None
            if book.out:
                yield from book.out
                book.out.clear()
        executions.flush()
        yield from book.out
        if survey is not None:
            survey.unended = frozenset(book.open_ids)

    def _find(self, symbol: str | None) -> str:
        """Find the locate code of a stock; return the stock's name."""
        found = self._only() if symbol is None else self._of_name(symbol.upper())
        if isinstance(found, tuple):
            stock, self._locate = found
            return stock
        names = ", ".join(sorted(found)[:_SYMBOLS_SHOWN]) or "no order at all"
        more = ", …" if len(found) > _SYMBOLS_SHOWN else ""
        got = "none" if symbol is None else repr(symbol)
        raise RecordingError(
            f"{self.content.name}: --symbol: expected one of its stocks, such as {names}{more}, "
            f"got {got}"
        )

    def _of_name(self, wanted: str) -> tuple[str, int] | set[str]:
        """Return a stock and its locate code, else what stocks there are."""
        seen: set[str] = set()
        for passed_over in (_undirected(self._prefix), None):
            for _, message in self._messages(Undecided(), passed_over):
                stock = _stock_of(message)
                if stock is not None and stock.upper() == wanted:
                    return stock, int.from_bytes(message[1:3])
                if stock is not None:
                    seen.add(stock)
            if seen:
                break  # the directory lists all of them: no need to look at each message of the day
        return seen

    def _only(self) -> tuple[str, int] | set[str]:
        """Return the only stock that has orders and its locate code, else what stocks there are."""
        seen: set[str] = set()
        only: tuple[str, int] | None = None
        for _, message in self._messages(Undecided()):
            stock = _stock_of(message)
            if stock is None:
                continue
            seen.add(stock)
            if message[0] != _DIRECTORY:
                if only is not None and only[0] != stock:
                    return seen
                only = stock, int.from_bytes(message[1:3])
        return seen if only is None else only

    def _messages(
        self, notes: Undecided, passed_over: re.Pattern[bytes] | None = None
    ) -> Iterator[tuple[int, bytes]]:
        """Yield each message with its place in the file, from 0, but for some runs of them."""
        name = self.content.name
        with readable(name), self.content.open() as file:
            yield from _split(name, file, self._prefix, notes, passed_over)


def _stock_of(message: bytes) -> str | None:
    """Return the stock that a message names, if it is one of the directory or an order."""
    kind = message[0]
    if kind == _DIRECTORY:
        name = message[11:19]
    elif kind in (ord("A"), ord("F")):
        name = message[24:32]
    else:
        return None
    stock = name.decode("ascii", "replace").rstrip()
    return stock if stock.isprintable() else None


def _split(
    name: str,
    file: IO[bytes],
    prefix: int,
    notes: Undecided,
    passed_over: re.Pattern[bytes] | None,
) -> Iterator[tuple[int, bytes]]:
    """Yield the messages, but for runs that a regular expression matches, which is fast."""
    data, passed, lengths = b"", 0, _LENGTH_OF
    while chunk := file.read(_CHUNK):
        data = data + chunk if data else chunk
        start, size = 0, len(data)
        while True:
            if passed_over is not None:
                run = passed_over.match(data, start)
                assert run is not None, "it matches nothing as well"
                start = run.end()
            at = start + prefix
            if at >= size:
                break
            length = lengths[data[at]]
            if prefix and not (length and (prefix == 2 or data[at - 1] == _SEQUENCED)):
                told = int.from_bytes(data[start : start + 2])
                if not told:
                    return  # the mark of the end
                if prefix == SOUP and data[start + 2] in _SOUP_TYPES[1:]:
                    start += 2 + told
                    continue
                length = 0
            if not length:
                raise RecordingError(
                    f"{name}: byte {passed + at:,}: expected a type of ITCH 5.0, "
                    f"got {data[at : at + 1]!r}"
                )
            stop = at + length
            if stop > size:
                break
            yield passed + start, data[at:stop]
            start = stop
        passed += start
        data = data[start:]
    if data.strip(b"\0"):
        notes.cut_off(passed)


def _price(units: int) -> Decimal:
    return Decimal(units).scaleb(-4)


# ---- messages ---------------------------------------------------------------------------------


def _on_add(book: VenueBook, _: Executions, message: bytes, __: Undecided) -> None:
    ref, side, shares, _stock, price = _add(message, 11)
    book.add(str(ref), _SIDES[side], price, shares)


def _on_executed(book: VenueBook, executions: Executions, message: bytes, notes: Undecided) -> None:
    ref, shares = _executed(message, 11)
    _execute(book, executions, str(ref), shares, notes)


def _on_executed_at(
    book: VenueBook, executions: Executions, message: bytes, notes: Undecided
) -> None:
    ref, shares, _match, printable, price = _executed_at(message, 11)
    order_id = str(ref)
    if printable == b"N":  # its print is that of an auction
        executions.flush()
        notes.count(AUCTION, book.line)
        book.cancel(order_id, shares)
        return
    if book.knows(order_id) and price != book.price_at(order_id):
        notes.count(OTHER_PRICE, book.line)
    _execute(book, executions, order_id, shares, notes, price)


def _execute(
    book: VenueBook,
    executions: Executions,
    order_id: str,
    shares: int,
    notes: Undecided,
    price: int | None = None,
) -> None:
    side = book.side_of(order_id)
    if side is None:
        executions.flush()
        notes.count(UNKNOWN, book.line)
        return
    executions.add(side, order_id, book.price_at(order_id) if price is None else price, shares)


def _on_cancelled(book: VenueBook, _: Executions, message: bytes, __: Undecided) -> None:
    ref, shares = _executed(message, 11)
    book.cancel(str(ref), shares)


def _on_deleted(book: VenueBook, _: Executions, message: bytes, __: Undecided) -> None:
    book.cancel(str(_order(message, 11)[0]))


def _on_replaced(book: VenueBook, _: Executions, message: bytes, notes: Undecided) -> None:
    old, new, shares, price = _replaced(message, 11)
    if not book.replace(str(old), str(new), price, shares):
        notes.count("replacements of unknown orders", book.line)


_E, _C = ord("E"), ord("C")
_HANDLERS = {
    ord("A"): _on_add,
    ord("F"): _on_add,
    _E: _on_executed,
    _C: _on_executed_at,
    ord("X"): _on_cancelled,
    ord("D"): _on_deleted,
    ord("U"): _on_replaced,
}
