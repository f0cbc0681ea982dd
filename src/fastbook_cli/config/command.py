"""The command line of ``fastbook config``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
import msgspec

from fastbook_cli.config import explained
from fastbook_cli.options import with_settings_given
from fastbook_server.config import Config


@click.command("config")
@click.option("--explain", is_flag=True, help="Say of each setting what it is for and may be.")
@click.option("--toml", "as_toml", is_flag=True, help="Print a settings file to start from.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per setting.")
@with_settings_given
def config_command(
    config: Config,
    flags: dict[str, Any],
    file: Path | None,
    explain: bool,
    as_toml: bool,
    as_json: bool,
) -> int:
    """Show the settings that a server would have here, and where each comes from.

    Takes the settings of "fastbook serve", from flags, FASTBOOK_* variables and --config FILE, and
    checks them like it. Without an option it lists those that are not the default.

    \b
        fastbook config --explain                    every setting
        fastbook config --config venue.toml          what that file changes
        fastbook config --toml > venue.toml          a file to start from
    """
    settings = list(explained.explain(config, flags, os.environ, file))
    if as_toml:
        click.echo(explained.toml(iter(settings)))
    elif as_json:
        for setting in settings:
            click.echo(msgspec.json.encode(setting).decode())
    elif explain:
        for setting in settings:
            click.echo(_line(setting))
            click.echo(f"    {setting.help}")
            click.echo(f"    {setting.values}; {setting.flag}, {setting.variable}\n")
    else:
        changed = [setting for setting in settings if setting.source != "default"]
        for setting in changed:
            click.echo(_line(setting))
        if not changed:
            click.echo("every setting has its default; fastbook config --explain lists them")
    return 0


def _line(setting: explained.Explained) -> str:
    value = "not set" if setting.value is None else msgspec.json.encode(setting.value).decode()
    return f"{click.style(setting.name, bold=True)} = {value}    ({setting.source})"
