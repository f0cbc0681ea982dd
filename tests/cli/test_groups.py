"""A group's own options, before and behind the name of its command."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from fastbook_cli.groups import LenientGroup
from fastbook_cli.main import cli


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


@pytest.mark.parametrize("line", ["show --help", "--url there show a --help"])
def test_the_help_of_a_command_needs_no_option_of_the_group(line: str) -> None:
    @click.group(cls=LenientGroup, commands=[show], name="keyed")
    @click.option("--url")
    @click.option("--key", required=True)
    def keyed(url: str, key: str) -> None:
        raise AssertionError("help acts on nothing")

    ran = CliRunner().invoke(keyed, line.split())
    assert ran.exit_code == 0
    assert ran.output.startswith("Usage: keyed show [OPTIONS] [WORDS]...")
    ran = CliRunner().invoke(keyed, ["show", "--", "--help"])
    assert (ran.exit_code, "Missing option '--key'" in ran.output) == (2, True)


def lines_of(command: click.Command, words: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the words of each command, and of those below it."""
    below = command.commands.items() if isinstance(command, click.Group) else ()
    return [words, *(line for name, each in below for line in lines_of(each, (*words, name)))]


@pytest.mark.parametrize("words", lines_of(cli), ids=" ".join)
def test_every_command_explains_itself(words: tuple[str, ...]) -> None:
    ran = CliRunner().invoke(cli, [*words, "--help"], prog_name="fastbook")
    assert ran.exit_code == 0
    assert ran.output.startswith(" ".join(("Usage: fastbook", *words)))
