"""Rows as PostgreSQL reads them fastest: its binary format, many rows in one buffer.

Two forms have the same values in them: what COPY reads, row by row, and a whole batch as one value
of the schema's type ``batch``, whose fields are arrays of rows. Both are told by a `Layout`.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Sequence
from struct import Struct
from typing import Any

from fastbook_server.store.rows import Row, Rows

_DOUBLE = Struct(">d")
_ROOM = 4096
PORTION = 1_000
"""Rows that are written at once: less than a millisecond."""

_NUMERIC_BASE = 10_000
_NULL = -1  # in place of a length

# The types that our columns have; an enumeration is sent as its text.
BOOL = 0
INT4 = 1
INT8 = 2
FLOAT8 = 3
NUMERIC = 4
TEXT = 5
UUID = 6
TEXT_ARRAY = 7
KINDS = {
    "bool": BOOL,
    "int4": INT4,
    "int8": INT8,
    "float8": FLOAT8,
    "numeric": NUMERIC,
    "text": TEXT,
    "uuid": UUID,
    "_text": TEXT_ARRAY,
}
TEXT_OID = 25


class Field:
    """A field of a kind of row: its type by our number, and by that of the database."""

    def __init__(self, name: str, type_name: str, oid: int) -> None:
        self.name = name
        self.kind = KINDS.get(type_name, TEXT)
        self.oid = oid


class Part:
    """A field of a batch: an array of rows, or of single values if `columns` has one without name.

    ``array_oid`` is its type, ``element_oid`` that of its elements.
    """

    def __init__(
        self, name: str, array_oid: int, element_oid: int, columns: Sequence[Field]
    ) -> None:
        self.name = name
        self.array_oid = array_oid
        self.element_oid = element_oid
        self.columns = list(columns)
        self.is_rows = bool(columns[0].name)

    @property
    def names(self) -> list[str]:
        """The columns of its rows."""
        return [column.name for column in self.columns]


class Layout:
    """The parts of a batch, in the order of the type's fields, as a database knows them."""

    def __init__(self, parts: Iterable[Part]) -> None:
        self.parts = {part.name: part for part in parts}


def for_copy(part: Part, rows: Sequence[Row]) -> memoryview:
    """Return rows as ``COPY … (FORMAT binary)`` reads them."""
    packer = Packer()
    packer.begin_copy()
    packer.copy(part, rows)
    packer.end_copy()
    return packer.written()


def as_value(
    layout: Layout, batch: Rows, without: Collection[str] = ()
) -> Generator[None, None, memoryview]:
    """Write a batch as one value, in steps; the parts named by `without` are left empty."""
    packer = Packer()
    packer.begin(len(layout.parts))
    for name, part in layout.parts.items():
        rows = [] if name in without else getattr(batch, name)
        began = packer.begin_array(part, len(rows))
        for start in range(0, len(rows), PORTION):
            if start:
                yield
            packer.array(part, rows[start : start + PORTION])
        packer.end_array(began)
    return packer.written()


class Packer:
    """Writes values in PostgreSQL's binary format, most significant byte first."""

    def __init__(self) -> None:
        self._data = bytearray(_ROOM)
        self._size = 0

    def written(self) -> memoryview:
        """Return all that was written."""
        return memoryview(self._data)[: self._size]

    def begin(self, fields: int) -> None:
        """Begin a row of so many fields, each with its type."""
        self._need(4)
        self._put(fields, 4)

    def begin_array(self, part: Part, count: int) -> int:
        """Begin an array of so many rows as a field of a row; return where it begins."""
        self._need(32)
        self._put(part.array_oid, 4)
        start = self._size
        self._put(0, 4)
        self._put(1 if count else 0, 4)  # dimensions
        self._put(0, 4)  # no element is null
        self._put(part.element_oid, 4)
        if count:
            self._put(count, 4)
            self._put(1, 4)  # the first index
        return start

    def array(self, part: Part, rows: Sequence[Row]) -> None:
        """Write rows of an array that has begun."""
        for row in rows:
            if part.is_rows:
                self._row(part, row)
            else:
                self._value(part.columns[0].kind, row)

    def end_array(self, start: int) -> None:
        """End the array that begins there."""
        self._set_length(start)

    def begin_copy(self) -> None:
        """Begin what COPY reads."""
        self._bytes(b"PGCOPY\n\xff\r\n\0" + bytes(8))

    def copy(self, part: Part, rows: Sequence[Row]) -> None:
        """Write rows for COPY."""
        columns = part.columns
        for row in rows:
            self._need(2)
            self._put(len(columns), 2)
            for n in range(len(columns)):
                column = columns[n]
                self._value(column.kind, row[n])

    def end_copy(self) -> None:
        """End what COPY reads."""
        self._need(2)
        self._put(_NULL, 2)

    def _row(self, part: Part, row: Row) -> None:
        columns = part.columns
        self._need(8)
        start = self._size
        self._put(0, 4)
        self._put(len(columns), 4)
        for n in range(len(columns)):
            column = columns[n]
            self._need(4)
            self._put(column.oid, 4)
            self._value(column.kind, row[n])
        self._set_length(start)

    def _set_length(self, start: int) -> None:
        """Write how long is what follows the length at `start`."""
        end = self._size
        self._size = start
        self._put(end - start - 4, 4)
        self._size = end

    def _value(self, kind: int, value: Any) -> None:
        """Write a value with its length."""
        self._need(20)
        if value is None:
            self._put(_NULL, 4)
        elif kind == TEXT:
            self._text(value)
        elif kind == INT8:
            self._put(8, 4)
            self._put(value, 8)
        elif kind == UUID:
            self._put(16, 4)
            self._uuid(value)
        elif kind == BOOL:
            self._put(1, 4)
            self._put(1 if value else 0, 1)
        elif kind == FLOAT8:
            self._put(8, 4)
            _DOUBLE.pack_into(self._data, self._size, value)
            self._size += 8
        elif kind == INT4:
            self._put(4, 4)
            self._put(value, 4)
        elif kind == NUMERIC:
            self._numeric(value)
        else:
            self._texts(value)

    def _text(self, value: str) -> None:
        encoded = value.encode()
        self._put(len(encoded), 4)
        self._bytes(encoded)

    def _bytes(self, value: bytes) -> None:
        self._need(len(value))
        data, at = self._data, self._size
        for byte in value:
            data[at] = byte
            at += 1
        self._size = at

    def _uuid(self, value: str) -> None:
        """Write the bytes of 32 hexadecimal digits in lower case, whatever hyphens they have."""
        data, at = self._data, self._size
        high = -1
        for character in value:
            code = ord(character)
            if code == 45:  # a hyphen
                continue
            digit = code - 48 if code < 58 else code - 87
            if high < 0:
                high = digit
            else:
                data[at] = high * 16 + digit
                high = -1
                at += 1
        self._size = at

    def _numeric(self, value: int) -> None:
        """Write a number that is not negative, of any size."""
        digits = []
        while value:
            value, digit = divmod(value, _NUMERIC_BASE)
            digits.append(digit)
        count = len(digits)
        self._need(12 + 2 * count)
        self._put(8 + 2 * count, 4)
        self._put(count, 2)
        self._put(count - 1 if count else 0, 2)  # the weight of the first digit
        self._put(0, 4)  # positive, and no digits after the point
        for digit in reversed(digits):
            self._put(digit, 2)

    def _texts(self, values: Sequence[str]) -> None:
        start = self._size
        self._need(24)
        self._put(0, 4)
        self._put(1 if values else 0, 4)
        self._put(0, 4)
        self._put(TEXT_OID, 4)
        if values:
            self._put(len(values), 4)
            self._put(1, 4)
        for value in values:
            self._need(4)
            self._text(value)
        self._set_length(start)

    def _put(self, value: int, size: int) -> None:
        """Write an integer into room that is there."""
        data, at = self._data, self._size + size
        self._size = at
        while size:
            at -= 1
            size -= 1
            data[at] = value & 255
            value >>= 8

    def _need(self, size: int) -> None:
        """Make room for so many bytes more."""
        while len(self._data) < self._size + size:
            self._data += bytes(len(self._data))
