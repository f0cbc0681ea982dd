"""The ``fastbook verify`` command: whether a database agrees with itself."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from fastbook_cli.errors import CommandError, said_by

if TYPE_CHECKING:
    from fastbook_server.store.verification import Verdict


class UncheckedError(CommandError):
    """The database cannot be read, so there is no saying whether it agrees with itself."""

    exit_code = 2


def verify_command(run_loop: Callable[[Coroutine[Any, Any, int]], int]) -> click.Command:
    """Return the command, which runs its work with `run_loop`."""

    @click.command("verify")
    @click.option(
        "--database-url",
        envvar="FASTBOOK_DATABASE_URL",
        metavar="VALUE",
        help="The server's database, as postgresql://…; default: the private PostgreSQL.",
    )
    @click.option(
        "--data-dir",
        envvar="FASTBOOK_DATA_DIR",
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        help="Data folder of the private PostgreSQL, which need not be running.",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    def command(database_url: str | None, data_dir: Path | None, as_json: bool) -> int:
        """Check that a database agrees with itself.

        Every order is filled, cancelled or open; books are uncrossed; seq and fillId have no gaps;
        buys equal sells; trades and candles follow from the fills. Reads one snapshot and changes
        nothing, so a server may run on the database meanwhile. Reads all history, some seconds per
        million orders.

        Exit code 0 if all is well, 1 if anything contradicts anything, 2 if it cannot be read.
        """
        return run_loop(_run(database_url, data_dir, as_json))

    return command


async def _run(database_url: str | None, data_dir: Path | None, as_json: bool) -> int:
    from fastbook_server.store import StoreError

    try:
        return await _check(database_url, data_dir, as_json)
    except StoreError as error:
        why = said_by(error).removeprefix("the database cannot be used: ")
        raise UncheckedError(f"the database cannot be read: {why}") from error


async def _check(database_url: str | None, data_dir: Path | None, as_json: bool) -> int:
    from fastbook_cli.export.source import private_database
    from fastbook_server.embedded.supervisor import default_data_dir
    from fastbook_server.store.verification import snapshot, verify

    async with contextlib.AsyncExitStack() as stack:
        if database_url is None:
            folder = data_dir if data_dir is not None else default_data_dir()
            database_url = await stack.enter_async_context(private_database(folder))
        moment = await stack.enter_async_context(snapshot(database_url))
        found = []
        async for finding in verify(moment):
            found.append(finding)
            if not as_json:
                _print(finding)
    faults = sum(finding.faults for finding in found)
    if as_json:
        click.echo(msgspec.json.encode({"faults": faults, "checks": list(map(_plain, found))}))
    else:
        click.echo(f"{faults:,} contradictions" if faults else "the database is sound")
    return 1 if faults else 0


def _print(finding: Verdict) -> None:
    click.echo(f"{'ok    ' if not finding.faults else 'WRONG '} {finding.check.name}")
    for text in finding.shown:
        click.echo(f"         {text}")
    if finding.faults > len(finding.shown):
        click.echo(f"         … {finding.faults - len(finding.shown):,} more")


def _plain(finding: Verdict) -> dict[str, Any]:
    return {"name": finding.check.name, "faults": finding.faults, "shown": list(finding.shown)}
