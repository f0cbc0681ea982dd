"""The command line of ``fastbook doctor``."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import click
import msgspec

from fastbook_cli.options import with_settings
from fastbook_server.config import Config

_MARKS = {"ok": ("ok", "green"), "note": ("note", "cyan"), "warning": ("warning", "yellow")}
_FAILED = ("FAILED", "red")


def doctor_command(run_loop: Callable[[Coroutine[Any, Any, int]], int]) -> click.Command:
    """Return the command; `run_loop` runs it and returns the exit code of the process."""

    @click.command()
    @click.option("--json", "as_json", is_flag=True, help="Print the findings as one JSON object.")
    @with_settings
    def doctor(config: Config, as_json: bool) -> int:
        """Check whether a server with these settings could start and serve here.

        Looks at the machine, the program, packages of the same name, the address, the data folder,
        PostgreSQL or the database of --database-url, the limits of the system, and the clock. Each
        line says what was found, and what to do if it is not well. Takes the settings of "fastbook
        serve", and changes nothing.

        The exit code is 0 if a server could start, else 1.
        """
        return run_loop(_examine(config, as_json))

    return doctor


async def _examine(config: Config, as_json: bool) -> int:
    from fastbook_cli.doctor import checks

    findings = await checks.examine(config)
    if as_json:
        click.echo(msgspec.json.encode(findings).decode())
    else:
        for finding in findings:
            mark, colour = _MARKS.get(finding.verdict, _FAILED)
            click.echo(f"{finding.name:<11} {click.style(f'{mark:<8}', colour)} {finding.found}")
            if finding.cure:
                click.echo(f"{'':<20} {finding.cure}")
    failed = sum(finding.verdict == "failed" for finding in findings)
    if failed and not as_json:
        click.echo(f"{failed} of {len(findings)} would keep the server from starting")
    return 1 if failed else 0
