"""The ``fastbook export`` command and its options."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from fastbook_cli.export.tables import TABLES, Selection
from fastbook_cli.values import OneOf
from fastbook_wire.words import INTERVALS


def moment(_: click.Context, __: click.Parameter, text: str | None) -> int | None:
    """Return the Unix milliseconds of a text: a number of them, or ISO 8601 (UTC by default)."""
    if text is None:
        return None
    try:
        if text.lstrip("-").isdigit():
            unix_ms = int(text)
            if not -(2**63) <= unix_ms < 2**63:
                raise ValueError(text)
            return unix_ms
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"expected a time such as 2026-01-31T12:00 or Unix milliseconds, got {text!r}"
        ) from None
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    return (parsed - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


OPTIONS = (
    click.argument("table", type=OneOf(TABLES)),
    click.option(
        "--security",
        "securities",
        multiple=True,
        metavar="NAME",
        help="Security to export; repeatable; default: all.",
    ),
    click.option(
        "--start",
        callback=moment,
        metavar="TIME",
        help="Start of the period, such as 2026-01-31T12:00 (UTC) or Unix milliseconds.",
    ),
    click.option("--end", callback=moment, metavar="TIME", help="End of the period, exclusive."),
    click.option(
        "--interval",
        type=OneOf(list(INTERVALS)),
        default="1m",
        show_default=True,
        help="Interval of the candles.",
    ),
    click.option(
        "--integers", is_flag=True, help="Write ticks and lots instead of prices and amounts."
    ),
    click.option(
        "--format",
        "form",
        type=OneOf(["csv", "parquet"]),
        help="Format of the file; default: by its ending, else csv.",
    ),
    click.option(
        "--output",
        required=True,
        metavar="FILE",
        help="File to write; - for standard output (csv only).",
    ),
    click.option(
        "--database-url",
        envvar="FASTBOOK_DATABASE_URL",
        metavar="VALUE",
        help="The server's database, as postgresql://…; default: the private PostgreSQL.",
    ),
    click.option(
        "--data-dir",
        envvar="FASTBOOK_DATA_DIR",
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        help="Data folder of the private PostgreSQL, which need not be running.",
    ),
)


def export_command(run_loop: Callable[[Coroutine[Any, Any, int]], int]) -> click.Command:
    """Return the command; `run_loop` runs its coroutine."""

    def export(
        output: str, form: Any, database_url: str | None, data_dir: Path | None, **what: Any
    ) -> int:
        """Write a table of the database to a file: CSV or Parquet, by its ending.

        All rows are from one moment, also while the server trades, and sorted by security and seq
        (candles: by time). The columns are those of the database. Times are Unix milliseconds,
        timestamps in Parquet; prices and amounts are those of the wire. CSV is compressed if the
        file ends in .csv.gz, .csv.xz or .csv.zst. A file gets its name once it is complete. Memory
        use does not depend on the number of rows.

        The table "events" is all that changed the books: orders as they came, their changes, fills
        and ends. "fastbook replay" plays it back.

        \b
            fastbook export candles --interval 1m --start 2026-01-31 --output btc.parquet
            fastbook export events --security BTC-USD --output events.csv.zst
            fastbook export fills --integers --output - | head
        """
        from fastbook_cli.export import run
        from fastbook_cli.export.files import format_of

        if what["start"] is not None and what["end"] is not None and what["start"] > what["end"]:
            raise click.UsageError("--start: expected a time before --end")
        if what["table"] == "instruments" and not what["start"] is what["end"] is None:
            raise click.UsageError("--start, --end: instruments have no time")
        if form is None:
            form = format_of(output)
        options = run.ExportOptions(
            selection=Selection(
                table=what["table"],
                securities=what["securities"],
                start_ms=what["start"],
                end_ms=what["end"],
                interval=what["interval"],
                integers=what["integers"],
            ),
            output=output,
            form=form,
            database_url=database_url or None,
            data_dir=data_dir,
        )
        return run_loop(run.run(options))

    command: Any = export
    for option in reversed(OPTIONS):
        command = option(command)
    return click.command()(command)
