"""The output files of an export: a file gets its name once it is complete."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import lzma
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal, Protocol, TextIO

from fastbook_cli.errors import CommandError
from fastbook_cli.export.columns import Kind
from fastbook_cli.export.tables import Column

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Format = Literal["csv", "parquet"]
Rows = Sequence[Iterable[Any]]

COMPRESSED: dict[str, Callable[[IO[bytes]], Any]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file, mode="wb", mtime=0),
    ".xz": lambda file: lzma.LZMAFile(file, "wb"),  # noqa: SIM115 (the export closes it)
    ".zst": lambda file: zstd.ZstdFile(file, "wb"),
}
"""How the bytes of CSV are compressed, by the ending of the file."""

ENDINGS = (".csv", *(f".csv{ending}" for ending in COMPRESSED), ".parquet")
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


def format_of(output: str) -> Format:
    """Return the format that the ending of a file asks for; CSV if it has none.

    Raises:
        ExportError: it is the ending of something else.
    """
    name = Path(output).name
    if name.endswith(".parquet"):
        return "parquet"
    if output == "-" or not Path(name).suffix or name.endswith(ENDINGS):
        return "csv"
    raise ExportError(
        f"--output: expected a file that ends in {', '.join(ENDINGS)}, got {name} (or say --format)"
    )


def check_format(form: Format) -> None:
    """Raise ExportError if the library of a format is not installed."""
    if form == "parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError:
            raise ExportError(PARQUET_MISSING) from None


@contextlib.contextmanager
def opened(
    output: str, form: Format, columns: Sequence[Column], metadata: Mapping[str, str]
) -> Iterator[Sink]:
    """Yield a sink for a file, which gets its name when the block ends without an exception.

    CSV is compressed if the ending of the file says so; `metadata` goes into Parquet.

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
        with target.open("wb") as file, _sink(file, target, form, columns, metadata) as table:
            yield table
        return
    part = Path(output + ".part")
    try:
        with part.open("wb") as file:
            with _sink(file, target, form, columns, metadata) as table:
                yield table
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _sink(
    file: IO[bytes],
    target: Path,
    form: Format,
    columns: Sequence[Column],
    metadata: Mapping[str, str],
) -> Iterator[Sink]:
    """Yield what writes rows into an open file, which holds all of them after the block."""
    if form == "parquet":
        table = Parquet(file, columns, metadata)
        yield table
        table.finish()
        return
    compress = COMPRESSED.get(target.suffix)
    with contextlib.ExitStack() as stack:
        packed = stack.enter_context(compress(file)) if compress is not None else file
        text = io.TextIOWrapper(packed, encoding="utf-8", newline="")
        sink = Csv(text, columns)
        yield sink
        sink.finish()
        text.detach()  # the file below is closed by who opened it


RUNS = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
"""What a text begins with that a spreadsheet would run, or not show."""


def harmless(text: str | None) -> str | None:
    """Return a text as a spreadsheet shows it, and does not run it: with an apostrophe before."""
    return f"'{text}" if text is not None and text.startswith(RUNS) else text


# Values that str() writes in a form that other programs do not read: True and Decimal("2E+7").
SPELT: dict[Kind, Callable[[Any], Any]] = {
    "given": harmless,
    "bool": lambda value: value if value is None else "true" if value else "false",
    "big": lambda value: value if value is None else int(value),
}


class Csv:
    """Comma-separated values with a header; nulls are empty, flags are true or false.

    Texts of users that a spreadsheet would run get an apostrophe before them, as do those that
    begin with one.
    """

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

    def __init__(self, file: Any, columns: Sequence[Column], metadata: Mapping[str, str]) -> None:
        import pyarrow
        import pyarrow.parquet

        kinds = {
            "text": pyarrow.string(),
            "given": pyarrow.string(),
            "time": pyarrow.timestamp("ms", tz="UTC"),
            "bool": pyarrow.bool_(),
            "int": pyarrow.int64(),
            "float": pyarrow.float64(),
            "big": pyarrow.decimal128(38, 0),
        }
        self._arrow = pyarrow
        self._schema = pyarrow.schema(
            [(column.name, kinds[column.kind]) for column in columns], metadata=dict(metadata)
        )
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
