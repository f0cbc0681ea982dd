"""Checks what a program passes: a wrong type is an error here, not a surprise on the wire.

Every function takes the name of the argument and its value. It returns the value as the wire has
it, or raises TypeError or ValueError, which say what was expected and what was got.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any, Literal, TypeVar, get_args

from fastbook_wire.grid import Number as Number
from fastbook_wire.grid import finite
from fastbook_wire.words import SideName

AnySide = Literal["bid", "ask", "buy", "sell"]
"""A side: ``buy`` is an alias of ``bid``, ``sell`` of ``ask``."""
_SIDES: Mapping[Any, SideName] = {"bid": "bid", "buy": "bid", "ask": "ask", "sell": "ask"}

Word = TypeVar("Word", bound=str)


def side_of(value: AnySide) -> SideName:
    """Return ``bid`` or ``ask``."""
    if _text("side", value) not in _SIDES:
        raise ValueError(f"side: expected bid, ask, buy or sell, got {value!r}")
    return _SIDES[value]


number = finite


def integer(name: str, value: int, least: int | None = None) -> int:
    """Return an integer, `least` or more."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    if least is not None and value < least:
        raise ValueError(f"{name}: expected {least} or more, got {value!r}")
    return int(value)


def flag(name: str, value: bool) -> bool:
    """Return True or False; nothing else is taken for one of them."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}: expected True or False, got {value!r}")
    return value


def text(name: str, value: str) -> str:
    """Return a text that is not empty."""
    if not _text(name, value):
        raise ValueError(f"{name}: expected a text, got an empty one")
    return value


def word(name: str, value: Word, words: Any) -> Word:
    """Return one of the words of a Literal."""
    known = get_args(words)
    if _text(name, value) not in known:
        raise ValueError(f"{name}: expected {', '.join(known[:-1])} or {known[-1]}, got {value!r}")
    return value


def timeout(value: Number | None) -> float | None:
    """Return a number of seconds, 0 or more, or None."""
    if value is None:
        return None
    seconds = number("timeout_s", value)
    if seconds < 0:
        raise ValueError(f"timeout_s: expected 0 or more, got {value!r}")
    return seconds


def _text(name: str, value: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected a text, got {value!r}")
    return value
