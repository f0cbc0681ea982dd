"""Types of options' values: each says what it expected, then what it got, in our own words."""

from __future__ import annotations

from typing import Any, NoReturn

import click


class Whole(click.IntRange):
    """A whole number within bounds, both inclusive; None for no bound."""

    name = "number"  # as --help shows it

    def __init__(self, least: int | None = None, most: int | None = None) -> None:
        super().__init__(least, most)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number that a text stands for.

        Raises:
            BadParameter: it is none, or is out of bounds.
        """
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            _refuse("a whole number", self, value, param, ctx)

    def _describe_range(self) -> str:  # click asks for --help
        return _bounds(self)


class Number(click.FloatRange):
    """A number within bounds, both inclusive; None for no bound."""

    name = "number"

    def __init__(self, least: float | None = None, most: float | None = None) -> None:
        super().__init__(least, most)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number that a text stands for.

        Raises:
            BadParameter: it is none, or is out of bounds.
        """
        try:
            number = super().convert(value, param, ctx)
        except click.BadParameter:
            number = float("nan")
        if number != number:  # what float() makes of "nan" is within any bounds
            _refuse("a number", self, value, param, ctx)
        return number

    def _describe_range(self) -> str:
        return _bounds(self)


class OneOf(click.Choice[str]):
    """One of some words."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the word.

        Raises:
            BadParameter: it is none of them.
        """
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"expected one of {', '.join(self.choices)}, got {value!r}", param, ctx)


def said_by_click(error: click.ClickException) -> str:
    """Return what is wrong with a command line, in one line.

    An argument that is one of some words is named by them: they are not said twice.
    """
    if isinstance(error, click.BadParameter) and isinstance(error.param, click.Argument):
        words = error.param.type
        if isinstance(words, OneOf):
            missing = isinstance(error, click.MissingParameter)
            expected = f"expected one of {', '.join(words.choices)}, got nothing"
            return expected if missing else error.message
    return error.format_message()


def _refuse(
    kind: str,
    of: click.IntRange | click.FloatRange,
    value: Any,
    param: click.Parameter | None,
    ctx: click.Context | None,
) -> NoReturn:
    expected = " ".join(filter(None, (kind, _bounds(of))))
    of.fail(f"expected {expected}, got {str(value)!r}", param, ctx)


def _bounds(of: click.IntRange | click.FloatRange) -> str:
    """Return the bounds of a number as they follow its name; empty if there are none."""
    least, most = (_grouped(bound) for bound in (of.min, of.max))
    if least is not None and most is not None:
        return f"from {least} to {most}"
    if least is not None:
        return f"of at least {least}"
    return "" if most is None else f"of at most {most}"


def _grouped(bound: float | None) -> str | None:
    return None if bound is None else f"{bound:,g}" if bound < 1e5 else f"{int(bound):,}"
