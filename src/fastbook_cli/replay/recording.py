"""Reads recorded order flow: a file of order events, as the actions that replay it.

The format is that of the Bitstamp capture in the PyPI package ob-analytics: a CSV file, plain or
gzipped, with at least the columns of ``COLUMNS`` and one order event per row. The wheel of that
package is read as it was downloaded.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, TextIO

import msgspec

from fastbook_cli.errors import CommandError
from fastbook_wire.words import SideName

COLUMNS = ("id", "timestamp", "price", "volume", "action", "direction")
WHEEL_MEMBER = "ob_analytics/_sample_data/orders.csv.gz"
EXPECTED = (
    f"expected a .csv or .csv.gz file with the columns {', '.join(COLUMNS)}, "
    "or the ob_analytics wheel that holds one"
)

_SIDES: dict[str, SideName] = {"bid": "bid", "ask": "ask"}
_ID_LENGTH_MAX = 64  # the longest client order id


class RecordingError(CommandError):
    """The file is not a recording; the message names the file, the line and what was expected."""

    exit_code = 2


class Action(msgspec.Struct, frozen=True, gc=False):
    """One command: place an order, or cancel it.

    ``line`` is the row's line in the file, ``time_ms`` its recorded time. Price and amount are as
    in the file, and may break the rules of the market.
    """

    op: Literal["add", "delete"]
    line: int
    time_ms: int
    order_id: str
    side: SideName
    price: float
    amount: float


def read(path: Path) -> list[Action]:
    """Return the actions of a recording, in the order of the file.

    A ``created`` row places a limit order, a ``deleted`` row cancels it. A ``changed`` row gives no
    action: it reports fills of the recorded market.

    Raises:
        RecordingError: the file cannot be read, or a row is malformed.
    """
    try:
        with _open(path) as lines:
            return list(_actions(path, lines))
    except UnicodeDecodeError:
        raise RecordingError(f"{path}: expected UTF-8 text") from None
    except (gzip.BadGzipFile, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise RecordingError(f"{path}: {error}") from None
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror or error}") from None


@contextlib.contextmanager
def _open(path: Path) -> Iterator[TextIO]:
    name = path.name.lower()
    with contextlib.ExitStack() as stack:
        if name.endswith(".csv"):
            yield stack.enter_context(path.open(encoding="utf-8", newline=""))
        elif name.endswith(".csv.gz"):
            yield stack.enter_context(gzip.open(path, "rt", encoding="utf-8", newline=""))
        elif name.endswith(".whl"):
            wheel = stack.enter_context(zipfile.ZipFile(path))
            if WHEEL_MEMBER not in wheel.namelist():
                raise RecordingError(f"{path}: expected {WHEEL_MEMBER} in the wheel, found none")
            member = stack.enter_context(wheel.open(WHEEL_MEMBER))
            unzipped = stack.enter_context(gzip.GzipFile(fileobj=member))
            yield stack.enter_context(io.TextIOWrapper(unzipped, encoding="utf-8", newline=""))
        else:
            raise RecordingError(f"{path}: {EXPECTED}")


def _actions(path: Path, lines: TextIO) -> Iterator[Action]:
    rows = csv.reader(lines)
    try:
        header = next(rows, [])
        missing = [name for name in COLUMNS if name not in header]
        if missing:
            found = ", ".join(header)[:200] or "an empty file"
            raise RecordingError(
                f"{path}: line 1: expected the columns {', '.join(COLUMNS)}, got {found} "
                f"(missing: {', '.join(missing)})"
            )
        where = [header.index(name) for name in COLUMNS]
        for row in rows:
            if len(row) != len(header):
                if not row:
                    continue  # an empty line
                raise ValueError(f"expected {len(header)} fields, got {len(row)}")
            action = _action([row[i] for i in where], rows.line_num)
            if action is not None:
                yield action
    except (ValueError, csv.Error) as error:
        if isinstance(error, UnicodeDecodeError):
            raise
        raise RecordingError(f"{path}: line {rows.line_num}: {error}") from None


def _action(fields: Sequence[str], line: int) -> Action | None:
    """Return the action of a row, or None for a row to skip.

    Raises:
        ValueError: a field is malformed; the message names it.
    """
    order_id, time, price, volume, action, direction = fields
    if action not in ("created", "deleted", "changed"):
        raise ValueError(f"action: expected created, changed or deleted, got {action[:40]!r}")
    side = _SIDES.get(direction)
    if side is None:
        raise ValueError(f"direction: expected bid or ask, got {direction[:40]!r}")
    if not 0 < len(order_id) <= _ID_LENGTH_MAX or not order_id.isprintable():
        raise ValueError(
            f"id: expected 1 to {_ID_LENGTH_MAX} printable characters, got {order_id[:80]!r}"
        )
    if not (time.isascii() and time.isdigit()):
        raise ValueError(f"timestamp: expected Unix milliseconds, got {time[:40]!r}")
    limit, amount = _number("price", price), _number("volume", volume)
    if action == "changed":
        return None
    op: Literal["add", "delete"] = "add" if action == "created" else "delete"
    return Action(op, line, int(time), order_id, side, limit, amount)


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or "_" in text:  # float() takes 1_000
        raise ValueError(f"{name}: expected a number, got {text[:40]!r}")
    return number
