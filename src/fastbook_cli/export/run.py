"""Runs an export: opens the database, reads one snapshot, writes the rows, shows progress."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fastbook_cli.export.files import ExportError, Format, check_format, opened
from fastbook_cli.export.source import private_database, read
from fastbook_cli.export.tables import Selection, columns, metadata
from fastbook_cli.output import abandon_stdout
from fastbook_server.embedded.supervisor import default_data_dir


class ExportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to export, from where, to where; ``output`` ``-`` is standard output."""

    selection: Selection
    output: str
    form: Format = "csv"
    database_url: str | None = None
    data_dir: Path | None = None


async def run(options: ExportOptions) -> int:
    """Write the file; return the exit code of the process. If cancelled, it leaves no file.

    Raises:
        ExportError: the export cannot be made as asked for.
        StoreError: the database is unavailable or refuses.
        OSError: the file cannot be written.
    """
    if options.form == "parquet" and options.output == "-":
        raise ExportError("--output: expected a file for parquet, got -")
    check_format(options.form)
    selection = options.selection
    try:
        async with _database(options) as dsn, read(dsn) as source:
            instruments = await source.check(selection.securities)
            console = Console(stderr=True)
            total = await source.count(selection) if console.is_terminal else None
            rows_written = 0
            with (
                _progress(console, f"{selection.table}", total) as advance,
                opened(
                    options.output,
                    options.form,
                    columns(selection),
                    metadata(selection, instruments),
                ) as sink,
            ):
                async with contextlib.aclosing(source.chunks(selection)) as chunks:
                    async for rows in chunks:
                        sink.write(rows)
                        rows_written += len(rows)
                        advance(len(rows))
    except BrokenPipeError:
        abandon_stdout()
        return 1
    if options.output != "-":
        console.print(f"{options.output}: {rows_written:,} rows", highlight=False, soft_wrap=True)
    return 0


@contextlib.asynccontextmanager
async def _database(options: ExportOptions) -> AsyncIterator[str]:
    if options.database_url is not None:
        yield options.database_url
    else:
        async with private_database(options.data_dir or default_data_dir()) as dsn:
            yield dsn


@contextlib.contextmanager
def _progress(console: Console, what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Yield a function to report written rows to; with a `total` it moves a progress bar."""
    if total is None:
        yield lambda _: None
        return
    bar = Progress(
        TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console, transient=True,
    )  # fmt: skip
    with bar:
        task = bar.add_task(what, total=total)
        yield lambda rows: bar.advance(task, rows)
