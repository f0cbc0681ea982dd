"""A group's own options, before and behind the name of its command."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from fastbook_cli.groups import LenientGroup


@click.command()
@click.argument("words", nargs=-1)
@click.option("--json", "as_json", is_flag=True)
@click.pass_obj
def show(url: str, words: tuple[str, ...], as_json: bool) -> None:
    click.echo(f"{url} {' '.join(words)} {as_json}")


@click.group(cls=LenientGroup, commands=[show])
@click.option("--url", default="here")
@click.pass_context
def group(context: click.Context, url: str) -> None:
    context.obj = url


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("show a b", "here a b False"),
        ("--url there show a", "there a False"),
        ("show a --url there --json", "there a True"),
        ("show --json a --url=there b", "there a b True"),
        ("show a -- --url", "here a --url False"),
    ],
)
def test_they_may_stand_anywhere(line: str, said: str) -> None:
    ran = CliRunner().invoke(group, line.split())
    assert (ran.exit_code, ran.output) == (0, f"{said}\n")


def test_one_without_its_value_is_refused() -> None:
    ran = CliRunner().invoke(group, ["show", "a", "--url"])
    assert ran.exit_code == 2
    assert "requires an argument" in ran.output
