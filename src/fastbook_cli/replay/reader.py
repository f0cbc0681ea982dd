"""The interface behind which every format stands, and the lines of a text file."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import InvalidOperation
from typing import IO, NoReturn, Protocol

from fastbook_cli.replay.actions import Action, RecordingError, Undecided
from fastbook_cli.replay.container import Content, readable
from fastbook_cli.replay.earlier import Earlier

REPEATED = "repeated rows"
_BACK_MAX_NS = 3_600 * 1_000_000_000
BOM = b"\xef\xbb\xbf"


class RecordingReader(Protocol):
    """Reads one file; each call of ``actions`` reads it from its start, and holds none of it."""

    content: Content
    """The file, unpacked."""
    kind: str
    """What the file is, for people: "LOBSTER messages"."""
    security: str | None
    """What was traded, if the file or its name says."""
    place: str
    """What the numbers of places in the file count: "line"."""
    times: str
    """What the times of the file count, for people: "milliseconds"."""

    def actions(
        self, notes: Undecided, *, earlier: Earlier | None = None, survey: Earlier | None = None
    ) -> Iterator[Action]:
        """Yield the actions in order; `survey` is filled in by a first reading for a later one.

        Raises:
            RecordingError: the file is malformed; the message says where, and what was expected.
        """


class Lines:
    """The lines of a text file, without their ends; ``number`` is that of the latest, from 1."""

    def __init__(self, content: Content) -> None:
        self.number = 0
        self._content = content
        self._file: IO[bytes] | None = None
        self._is_whole = True

    def __iter__(self) -> Iterator[str]:
        name, ending = self._content.name, self._content.ending
        met = ending.met
        with readable(name), self._content.open() as file:
            self._file = file
            for line in file:
                self.number += 1
                if self.number == 1:
                    line = line.removeprefix(BOM)
                self._is_whole = line.endswith(b"\n")
                if not self._is_whole and ending.met > met:
                    return  # it may look whole: 10 of 100
                text = line.decode().rstrip("\r\n")
                if text:
                    yield text

    def wrong(self, error: object) -> NoReturn:
        """Refuse the latest line; no further one is read."""
        if self._file is not None:
            self._file.close()
        raise RecordingError(f"{self._content.name}: line {self.number}: {error}") from None

    @contextlib.contextmanager
    def checked(self, notes: Undecided) -> Iterator[None]:
        """Refuse a malformed line; a last one that was cut off is counted and left out."""
        try:
            yield
        except (ValueError, InvalidOperation, IndexError, KeyError, TypeError) as error:
            if isinstance(error, UnicodeDecodeError):
                raise
            if not self._is_whole and self.number > 1:
                notes.cut_off(self.number)
                return
            self.wrong(error)


def first_line(head: bytes) -> str:
    """Return the first line of a text that is not empty, "" if it is none; without a BOM."""
    line = head.removeprefix(BOM).lstrip(b"\r\n").split(b"\n", 1)[0]
    try:
        return line.decode().strip()
    except UnicodeDecodeError:
        return ""


def second_line(head: bytes) -> str:
    """Return the line below the first one, "" if it is none."""
    return first_line(head.removeprefix(BOM).lstrip(b"\r\n").partition(b"\n")[2])


def columns_of(head: bytes) -> list[str]:
    """Return the names that the first line of a CSV has, quoted or not."""
    line = first_line(head)
    try:
        return [name.strip() for name in fields_of(line)] if line else []
    except ValueError:
        return []


def fields_of(text: str) -> list[str]:
    """Return the fields of a CSV row, without quotation marks and spaces around them.

    Raises:
        ValueError: the quotation marks are wrong.
    """
    try:
        fields = next(csv.reader([text])) if '"' in text else text.split(",")
    except csv.Error as error:
        raise ValueError(str(error)) from None
    return [field.strip() for field in fields] if " " in text else fields


class OneDay:
    """Sees that times since midnight are those of one day; clocks may go back a little."""

    def __init__(self) -> None:
        self._latest_ns = 0

    def check(self, time_ns: int) -> None:
        """Take a time.

        Raises:
            ValueError: it belongs to another day than those before it.
        """
        if time_ns < self._latest_ns - _BACK_MAX_NS:
            raise ValueError(
                f"expected the times of one day, got {_clock(time_ns)} after "
                f"{_clock(self._latest_ns)}: replay each day by itself"
            )
        self._latest_ns = max(self._latest_ns, time_ns)


def _clock(time_ns: int) -> str:
    minutes, seconds = divmod(time_ns // 1_000_000_000, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"


def whole_number(name: str, text: str) -> int:
    """Return the integer that a field holds.

    Raises:
        ValueError: it holds something else; the message names the field.
    """
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"{name}: expected a whole number, got {text[:40]!r}")
    return int(text)


def iso_ns(text: str) -> int:
    """Return a time in nanoseconds: ISO 8601 (UTC by default), or a whole number of them.

    Raises:
        ValueError: it is neither.
    """
    if text.isdigit():
        return int(text)
    second, _, rest = text.replace("Z", "+00:00").partition(".")
    digits = len(rest) - len(rest.lstrip("0123456789"))
    try:
        at = datetime.fromisoformat(second + rest[digits:])
    except ValueError:
        raise ValueError(f"time: expected ISO 8601 or nanoseconds, got {text[:40]!r}") from None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return int(at.timestamp()) * 1_000_000_000 + int(rest[:digits][:9].ljust(9, "0"))
