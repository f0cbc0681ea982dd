"""The events of ``fastbook export events`` as CSV: what changed a book, grouped by ``seq``.

An export is one security's, or holds several; its first rows name tick and lot of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from fastbook_cli.replay.actions import ENDS_EARLY, RecordingError, Undecided
from fastbook_cli.replay.container import Content
from fastbook_cli.replay.reader import Lines, columns_of, fields_of
from fastbook_server.values.instruments import InstrumentSpec

_WITH_INTEGERS = frozenset({"security", "seq", "event", "price_ticks", "quantity_lots"})
_SHOWN = 10


class Row(msgspec.Struct, kw_only=True, gc=False):
    """A row; empty fields are None. Of an ``instrument``, price is the tick, amount the lot."""

    line: int
    security: str
    seq: int
    time: int | None = None
    event: str
    order_id: str | None = None
    user_id: str | None = None
    type: str | None = None
    exec_type: str | None = None
    price: float | None = None
    amount: float | None = None
    total: float | None = None
    trigger_price: float | None = None
    display: float | None = None
    time_in_force: str | None = None
    post_only: bool | None = None
    self_trade: str | None = None
    expire_time: int | None = None
    client_order_id: str | None = None
    maker_order_id: str | None = None
    fill_id: int | None = None
    reason: str | None = None


HEADER = frozenset(Row.__struct_fields__) - {"line"}


class Group(NamedTuple):
    """All rows of one ``seq``."""

    seq: int
    time_ms: int
    rows: Sequence[Row]


def is_export(content: Content) -> bool:
    """Return whether a file starts with the header of such an export.

    Raises:
        RecordingError: it is one in ticks and lots.
    """
    columns = set(columns_of(content.head))
    if columns >= _WITH_INTEGERS:
        raise RecordingError(f"{content.name}: expected an export without --integers")
    return columns >= HEADER


class Export:
    """Reads one security of such a file: `symbol`, or the only one."""

    kind = "fastbook export of events"

    def __init__(self, content: Content, symbol: str | None) -> None:
        self.content = content
        specs = self._instruments()
        if symbol is None and len(specs) == 1:
            symbol = next(iter(specs))
        if symbol is None or symbol not in specs:
            got = "none" if symbol is None else repr(symbol)
            names = ", ".join([*specs][:_SHOWN]) or "none at all"
            raise RecordingError(
                f"{content.name}: --symbol: expected one of its securities, {names}, got {got}"
            )
        self.instrument = specs[symbol]

    def groups(self, notes: Undecided) -> Iterator[Group]:
        """Yield the rows of the security, a ``seq`` at a time.

        Raises:
            RecordingError: a row is malformed.
        """
        wanted = self.instrument.security
        rows: list[Row] = []
        for row in _rows(self.content, notes):
            if row.security != wanted or row.event == "instrument":
                continue
            if rows and row.seq != rows[0].seq:
                yield Group(rows[0].seq, rows[0].time or 0, tuple(rows))
                rows.clear()
            rows.append(row)
        if self.content.ending.is_early:
            notes.cut_off(rows[-1].line if rows else 0)
        if rows and ENDS_EARLY not in notes.counts:  # else there may be more of it
            yield Group(rows[0].seq, rows[0].time or 0, tuple(rows))

    def _instruments(self) -> dict[str, InstrumentSpec]:
        """Return the instruments that the first rows name."""
        specs = {}
        for row in _rows(self.content, Undecided()):
            if row.event != "instrument":
                break
            try:
                tick, lot = f"{row.price!r}", f"{row.amount!r}"
                specs[row.security] = InstrumentSpec.build(row.security, tick, lot)
            except ValueError as error:
                raise RecordingError(f"{self.content.name}: line {row.line}: {error}") from None
        return specs


def _rows(content: Content, notes: Undecided) -> Iterator[Row]:
    lines = Lines(content)
    texts = iter(lines)
    first = next(texts, "")
    if not first:
        return
    header = columns_of(first.encode())
    known = [(n, name) for n, name in enumerate(header) if name in HEADER]
    before = ""
    with lines.checked(notes):
        for text in texts:
            if text in (before, first):
                notes.count("repeated rows", lines.number)
                continue
            before = text
            fields = fields_of(text)
            if len(fields) != len(header):
                raise ValueError(f"expected {len(header)} fields, got {len(fields)}")
            given = {name: _as_written(fields[n]) for n, name in known if fields[n]}
            try:
                yield msgspec.convert(given | {"line": lines.number}, Row, strict=False)
            except msgspec.ValidationError as error:
                raise ValueError(str(error)) from None


def _as_written(text: str) -> str:
    """Return a text without the apostrophe that keeps spreadsheets from running it."""
    return text[1:] if text[0] == "'" else text
