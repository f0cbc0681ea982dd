"""Types of options' values: each says what it expected, then what it got, in our own words."""

from __future__ import annotations

from typing import Any, NoReturn

import click


class Whole(click.IntRange):
    """A whole number within bounds, both inclusive; None for no bound."""

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


class Number(click.FloatRange):
    """A number within bounds, both inclusive; None for no bound."""

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


def _refuse(
    kind: str,
    bounds: click.IntRange | click.FloatRange,
    value: Any,
    param: click.Parameter | None,
    ctx: click.Context | None,
) -> NoReturn:
    least, most = (_grouped(bound) for bound in (bounds.min, bounds.max))
    if least is not None and most is not None:
        kind += f" from {least} to {most}"
    elif least is not None:
        kind += f" of at least {least}"
    elif most is not None:
        kind += f" of at most {most}"
    bounds.fail(f"expected {kind}, got {str(value)!r}", param, ctx)


def _grouped(bound: float | None) -> str | None:
    return None if bound is None else f"{bound:,g}" if bound < 1e5 else f"{int(bound):,}"
