"""The output files of an export: a file gets its name once it is complete."""

from __future__ import annotations

import contextlib
import csv
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Literal, Protocol, TextIO

from fastbook_cli.errors import CommandError
from fastbook_cli.export.tables import Column, Kind

Format = Literal["csv", "parquet"]
Rows = Sequence[Iterable[Any]]

PARQUET_MISSING = 'Parquet needs pyarrow: pip install "fastbook-exchange[parquet]"'


class ExportError(CommandError):
    """The export cannot be made as asked for; the message says why."""

    exit_code = 2


class Sink(Protocol):
    """Takes rows; their values are in the order of its columns."""

    def write(self, rows: Rows) -> None:
        """Append rows."""

    def finish(self) -> None:
        """Write what is buffered."""


def check_format(form: Format) -> None:
    """Raise ExportError if the library of a format is not installed."""
    if form == "parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError:
            raise ExportError(PARQUET_MISSING) from None


@contextlib.contextmanager
def opened(output: str, form: Format, columns: Sequence[Column]) -> Iterator[Sink]:
    """Yield a sink for a file, which gets its name when the block ends without an exception.

    Until then it is ``FILE.part``, which an exception removes. ``-`` is standard output. What is
    there and is no file, such as a named pipe or ``/dev/null``, is written to, not replaced.

    Raises:
        OSError: the file cannot be written.
    """
    if output == "-":
        sink = Csv(sys.stdout, columns)
        yield sink
        sink.finish()
        return
    target = Path(output)
    if target.exists() and not target.is_file():
        with _sink(target, form, columns) as (table, _):
            yield table
            table.finish()
        return
    part = Path(output + ".part")
    try:
        with _sink(part, form, columns) as (table, file):
            yield table
            table.finish()
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _sink(path: Path, form: Format, columns: Sequence[Column]) -> Iterator[tuple[Sink, IO[Any]]]:
    if form == "parquet":
        with path.open("wb") as raw:
            yield Parquet(raw, columns), raw
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            yield Csv(file, columns), file


# Values that str() writes in a form that other programs do not read: True and Decimal("2E+7").
SPELT: dict[Kind, Callable[[Any], Any]] = {
    "bool": lambda value: "true" if value else "false",
    "big": lambda value: value if value is None else int(value),
}


class Csv:
    """Comma-separated values with a header; nulls are empty, flags are true or false."""

    def __init__(self, file: TextIO, columns: Sequence[Column]) -> None:
        self._file = file
        self._writer = csv.writer(file, lineterminator="\n")
        self._spelt = [(n, SPELT[c.kind]) for n, c in enumerate(columns) if c.kind in SPELT]
        self._writer.writerow([column.name for column in columns])

    def write(self, rows: Rows) -> None:
        """Append rows."""
        if self._spelt:
            lists = [list(row) for row in rows]
            for values in lists:
                for n, spell in self._spelt:
                    values[n] = spell(values[n])
            rows = lists
        self._writer.writerows(rows)

    def finish(self) -> None:
        """Flush what is buffered."""
        self._file.flush()


class Parquet:
    """Parquet with one row group per chunk; integers beyond 64 bits are decimals of 38 digits."""

    def __init__(self, file: Any, columns: Sequence[Column]) -> None:
        import pyarrow
        import pyarrow.parquet

        kinds = {
            "text": pyarrow.string(),
            "bool": pyarrow.bool_(),
            "int": pyarrow.int64(),
            "float": pyarrow.float64(),
            "big": pyarrow.decimal128(38, 0),
        }
        self._arrow = pyarrow
        self._schema = pyarrow.schema([(column.name, kinds[column.kind]) for column in columns])
        self._writer = pyarrow.parquet.ParquetWriter(file, self._schema, compression="zstd")

    def write(self, rows: Rows) -> None:
        """Append rows as a row group."""
        if rows:
            arrays = [
                self._arrow.array(values, type=field.type)
                for values, field in zip(zip(*rows, strict=True), self._schema, strict=True)
            ]
            self._writer.write_batch(self._arrow.record_batch(arrays, schema=self._schema))

    def finish(self) -> None:
        """Write the footer."""
        self._writer.close()
