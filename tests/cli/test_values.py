"""The types of options' values: what they take, and what they say of everything else."""

from __future__ import annotations

from typing import Any

import click
import pytest

from fastbook_cli.main import cli
from fastbook_cli.values import Number, OneOf, Whole, said_by_click


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Whole(), "-7", -7),
        (Whole(1, 10), "10", 10),
        (Number(0.5, 10), "0.5", 0.5),
        (Number(), "1e3", 1_000.0),
        (OneOf(["csv", "parquet"]), "csv", "csv"),
    ],
)
def test_what_is_meant_is_taken(kind: click.ParamType, text: str, value: Any) -> None:
    assert kind.convert(text, None, None) == value


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (Whole(), "x", "expected a whole number, got 'x'"),
        (Whole(), "1.5", "expected a whole number, got '1.5'"),
        (Whole(1), "0", "expected a whole number of at least 1, got '0'"),
        (Whole(None, 5), "6", "expected a whole number of at most 5, got '6'"),
        (Whole(1, 100_000), "0", "expected a whole number from 1 to 100,000, got '0'"),
        (Number(0.1, 86_400), "0", "expected a number from 0.1 to 86,400, got '0'"),
        (Number(0.1, 86_400), "nan", "expected a number from 0.1 to 86,400, got 'nan'"),
        (OneOf(["csv", "parquet"]), "xml", "expected one of csv, parquet, got 'xml'"),
    ],
)
def test_what_is_not_is_said_beside_what_was_expected(
    kind: click.ParamType, text: str, said: str
) -> None:
    with pytest.raises(click.BadParameter) as refused:
        kind.convert(text, None, None)
    assert refused.value.message == said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "expected one of bash, zsh, fish, got nothing"),
        (("csh",), "expected one of bash, zsh, fish, got 'csh'"),
        (("bash", "zsh"), "Got unexpected extra argument (zsh)"),
    ],
)
def test_an_argument_that_is_one_of_some_words_names_them_once(
    words: tuple[str, ...], said: str
) -> None:
    with pytest.raises(click.UsageError) as refused:
        cli.commands["completion"].main(list(words), standalone_mode=False)
    assert said_by_click(refused.value) == said


def test_choices_are_completed() -> None:
    (table,) = [p for p in cli.commands["export"].params if p.name == "table"]
    context = click.Context(cli.commands["export"])
    assert [item.value for item in table.shell_complete(context, "can")] == [
        "cancellations",
        "candles",
    ]


def test_help_shows_bounds_where_there_are_any() -> None:
    text = " ".join(cli.commands["bench"].get_help(click.Context(cli.commands["bench"])).split())
    assert "[default: 10; from 1 to 10,000]" in text
    assert "Seed of the commands. [default: 1]" in text
