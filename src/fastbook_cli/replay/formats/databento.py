"""Databento's market-by-order files: CSV as downloaded, and DBN (with the extra ``databento``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date
from struct import Struct, error
from typing import IO, Any, NoReturn

from fastbook_cli.replay.actions import Action, RecordingError, Undecided
from fastbook_cli.replay.container import Content, readable
from fastbook_cli.replay.earlier import Earlier
from fastbook_cli.replay.formats.mbo import (
    ACTIONS,
    BY_LEVEL,
    SIDES,
    SNAPSHOT,
    TOP_OF_BOOK,
    UNDEFINED_PRICE,
    Mbo,
    Record,
)
from fastbook_cli.replay.reader import REPEATED, Lines, columns_of, fields_of, iso_ns, whole_number

DBN_MISSING = 'DBN needs databento-dbn: pip install "fastbook-exchange[databento]"'
_COLUMNS = ("ts_event", "instrument_id", "action", "side", "price", "size", "order_id", "flags")
_NO_TIME = 2**64 - 1
_CHUNK = 1 << 18
_HEADER_BYTES = 16
_SHOWN = 10

OTHERS = "records of other publishers"

Labelled = tuple[str, str, int, Record]
"""Instrument id, symbol ("" if the file has none) and publisher before each record."""


def is_csv(content: Content) -> bool:
    """Return whether a file starts with the header of such a CSV."""
    return set(_COLUMNS) <= set(columns_of(content.head))


def is_dbn(content: Content) -> bool:
    """Return whether a file is DBN, of whichever schema."""
    return content.head[:3] == b"DBN"


class Databento:
    """Reads one instrument of such a file: `symbol`, or the only one."""

    kind = "Databento MBO"
    times = "nanoseconds"

    def __init__(self, content: Content, symbol: str | None) -> None:
        self.content = content
        self._records = _dbn if is_dbn(content) else _csv
        self.place = "record" if is_dbn(content) else "line"
        self._wanted, self.security = self._find(symbol)

    def actions(
        self, notes: Undecided, *, earlier: Earlier | None = None, survey: Earlier | None = None
    ) -> Iterator[Action]:
        """Yield the actions in order."""
        return Mbo(notes, earlier, survey).actions(self._of_one(notes))

    def _of_one(self, notes: Undecided) -> Iterator[Record]:
        """Yield the records of the instrument from one venue: each has a book of its own."""
        wanted, only = self._wanted, None
        for instrument, named, publisher, record in self._records(self.content, notes):
            if wanted not in (instrument, named):
                continue
            only = publisher if only is None else only
            if publisher == only:
                yield record
            else:
                notes.count(OTHERS, record.line)

    def _find(self, symbol: str | None) -> tuple[str, str | None]:
        """Return the symbol or else the instrument id to read, and the symbol.

        A symbol may have another id on each day.
        """
        found: Counter[str] = Counter()
        symbols: set[str] = set()
        for instrument, named, _, _ in self._records(self.content, Undecided()):
            if symbol is not None and symbol in (instrument, named):
                return symbol, named or None
            found[named or instrument] += 1
            symbols.add(named)
        if symbol is None and len(found) == 1:
            (only,) = found
            return only, only if only in symbols else None
        names = [name for name, _ in found.most_common()]
        listed = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
        if not found:
            raise RecordingError(f"{self.content.name}: expected order events, found none")
        got = "none" if symbol is None else repr(symbol)
        raise RecordingError(
            f"{self.content.name}: --symbol: expected one of its instruments, {listed}, got {got}"
        )


# ---- CSV --------------------------------------------------------------------------------------


def _csv(content: Content, notes: Undecided) -> Iterator[Labelled]:
    lines = Lines(content)
    rows = iter(lines)
    first = next(rows, "")
    if not first:
        return
    header = columns_of(first.encode())
    where = [header.index(name) for name in _COLUMNS]
    received = header.index("ts_recv") if "ts_recv" in header else where[0]
    named = header.index("symbol") if "symbol" in header else None
    published = header.index("publisher_id") if "publisher_id" in header else None
    before, is_doubled = "", False
    with lines.checked(notes):
        for text in rows:
            fields = fields_of(text)
            is_fill = len(fields) > where[2] and fields[where[2]] == "F"
            # An iceberg may be filled twice by one trade: such rows are equal, and are two fills.
            if text == first or (text == before and (is_doubled or not is_fill)):
                notes.count(REPEATED, lines.number)
                is_doubled = True
                continue
            is_doubled = is_doubled and is_fill
            before = text
            if len(fields) != len(header):
                raise ValueError(f"expected {len(header)} fields, got {len(fields)}")
            event, instrument, action, side, price, size, order_id, flags = [
                fields[i] for i in where
            ]
            if action not in ACTIONS:
                raise ValueError(f"action: expected one of A, M, C, R, T, F, N, got {action[:9]!r}")
            if side not in SIDES:
                raise ValueError(f"side: expected B, A or N, got {side[:9]!r}")
            bits = whole_number("flags", flags)
            time_ns = _time_ns(event)
            if bits & SNAPSHOT or time_ns == _NO_TIME:
                time_ns = _time_ns(fields[received])
            symbol = fields[named] if named is not None else ""
            by = whole_number("publisher_id", fields[published]) if published is not None else 0
            record = Record(
                lines.number, time_ns, action, SIDES[side], _price(price),
                whole_number("size", size), whole_number("order_id", order_id), bits,
            )  # fmt: skip
            yield instrument, symbol, by, _checked(record)


def _checked(record: Record) -> Record:
    if record.flags & (TOP_OF_BOOK | BY_LEVEL) and record.action in "AMC":
        raise ValueError(
            "expected orders, got the best price or price levels (flags): this venue publishes "
            "no orders"
        )
    return record


def _time_ns(text: str) -> int:
    return iso_ns(text) if text else _NO_TIME


def _price(text: str) -> int:
    """Return a price in 1e-9; with a point it is a decimal number, without one a fixed one."""
    whole, point, fraction = text.partition(".")
    if not text or text == "nan":
        return UNDEFINED_PRICE
    if not point:
        return whole_number("price", text)
    if len(fraction) > 9 and fraction[9:].strip("0"):
        raise ValueError(f"price: expected at most 9 decimals, got {text[:40]!r}")
    sign = -1 if text.startswith("-") else 1
    return whole_number("price", whole) * 10**9 + sign * whole_number(
        "price", fraction[:9].ljust(9, "0")
    )


# ---- DBN --------------------------------------------------------------------------------------

_PREFIX = Struct("<3sBI")  # "DBN", version, bytes of metadata
_MBO = Struct("<BBHIQQqIBBccQ")
_RTYPE_MBO = 160
_RTYPE_SYMBOL = 22
_SYMBOLS_AT = {80: (38, 22), 176: (89, 71)}
"""Where the symbol of an instrument is in a live session's record, by the record's size."""


def _dbn(content: Content, notes: Undecided) -> Iterator[Labelled]:
    number = 0
    with readable(content.name), content.open() as file:
        names = _names(content.name, file)
        data = b""
        while chunk := file.read(_CHUNK):
            data += chunk
            at = 0
            while at < len(data):
                size = 4 * data[at]
                if size < _HEADER_BYTES:
                    _wrong(content.name, number + 1, f"expected a length of 16 or more, got {size}")
                if at + size > len(data):
                    break
                number += 1
                if data[at + 1] == _RTYPE_MBO and size >= _MBO.size:
                    yield _labelled(content.name, _MBO.unpack_from(data, at), number, names)
                elif data[at + 1] == _RTYPE_SYMBOL:
                    instrument = int.from_bytes(data[at + 4 : at + 8], "little")
                    names[instrument] = [(0, _NO_TIME, _symbol(data[at : at + size]))]
                at += size
            data = data[at:]
    if data:
        notes.cut_off(number + 1)


_Names = dict[int, list[tuple[int, int, str]]]
"""The symbols of each instrument, and from when until when in nanoseconds."""


def _names(name: str, file: IO[bytes]) -> _Names:
    """Read the metadata; return the symbols of the instruments."""
    try:
        from databento_dbn import DBNError, Metadata
    except ImportError:
        raise RecordingError(f"{name}: {DBN_MISSING}") from None
    prefix = file.read(_PREFIX.size)
    try:
        _, _, length = _PREFIX.unpack(prefix)
        metadata: Any = Metadata.decode(prefix + file.read(length))
        schema = str(metadata.schema)
        if metadata.schema is not None and schema != "mbo":  # None: a live session's records
            raise RecordingError(
                f"{name}: expected the schema mbo, got {schema}: only mbo holds orders"
            )
        names: _Names = {}
        for symbol, intervals in metadata.mappings.items():
            for each in intervals:
                if each["symbol"].isdigit():
                    days = (_midnight_ns(each["start_date"]), _midnight_ns(each["end_date"]))
                    names.setdefault(int(each["symbol"]), []).append((*days, symbol))
        return names
    except (DBNError, error, ValueError, TypeError, KeyError) as wrong:
        raise RecordingError(f"{name}: expected the metadata of DBN: {wrong}") from None


def _midnight_ns(day: date) -> int:
    return (day - date(1970, 1, 1)).days * 86_400 * 1_000_000_000


def _named(names: _Names, instrument: int, time_ns: int) -> str:
    found = names.get(instrument)
    if not found:
        return ""
    if len(found) > 1:
        for start_ns, end_ns, symbol in found:
            if start_ns <= time_ns < end_ns:
                return symbol
    return found[0][2]


def _symbol(record: bytes) -> str:
    at, length = _SYMBOLS_AT.get(len(record), (0, 0))
    return record[at : at + length].partition(b"\0")[0].decode("ascii", "replace")


def _wrong(name: str, number: int, why: object) -> NoReturn:
    raise RecordingError(f"{name}: record {number:,}: {why}") from None


def _labelled(name: str, fields: tuple[Any, ...], number: int, names: _Names) -> Labelled:
    (
        _,
        _,
        publisher,
        instrument,
        time_ns,
        order_id,
        price,
        size,
        bits,
        _,
        action,
        side,
        received,
    ) = fields
    try:
        what, which = action.decode(), SIDES[side.decode()]
        if what not in ACTIONS:
            raise ValueError(f"action: expected one of A, M, C, R, T, F, N, got {what!r}")
        if bits & SNAPSHOT or time_ns == _NO_TIME:
            time_ns = received
        record = Record(number, time_ns, what, which, price, size, order_id, bits)
        return str(instrument), _named(names, instrument, time_ns), publisher, _checked(record)
    except (KeyError, ValueError) as wrong:
        _wrong(name, number, wrong)
