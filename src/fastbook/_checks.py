"""The arguments of the plain classes: a value of the right type and range, or an error.

The errors are those of the Cython classes, whose checks are in _arguments.pxd.
"""

from __future__ import annotations

from operator import index

from fastbook import _errors
from fastbook._errors import INT64_MAX, OWNER_MAX


def as_int(name: str, value: object) -> int:
    """Return an argument as an integer of any size."""
    try:
        return index(value)  # type: ignore[arg-type]  # it raises for others
    except TypeError:
        raise _errors.expected_int(name, value) from None


def check_int64(name: str, value: object) -> int:
    """Return an argument as an integer of 64 bits."""
    number = as_int(name, value)
    if not -INT64_MAX - 1 <= number <= INT64_MAX:
        raise _errors.expected(name, "an integer of at most 64 bits", number)
    return number


def check_side(side: object) -> int:
    """Return an argument as a side."""
    number = check_int64("side", side)
    if not 0 <= number <= 1:
        raise _errors.expected_side(number)
    return number


def check_tif(tif: object) -> int:
    """Return an argument as a time in force."""
    number = check_int64("tif", tif)
    if not 0 <= number <= 2:
        raise _errors.expected_time_in_force(number)
    return number


def check_self_trade(self_trade: object) -> int:
    """Return an argument as a self-trade mode."""
    number = check_int64("self_trade", self_trade)
    if not 0 <= number <= 4:
        raise _errors.expected_self_trade(number)
    return number


def check_owner(owner: object) -> int:
    """Return an argument as an owner."""
    number = check_int64("owner", owner)
    if not 0 <= number <= OWNER_MAX:
        raise _errors.expected("owner", "an integer from 0 to 2**32 - 1", number)
    return number


def check_level_quantity_max(level_quantity_max: object) -> int:
    """Return an argument as the bound of a level's total."""
    number = check_int64("level_quantity_max", level_quantity_max)
    if number <= 0:
        raise _errors.expected("level_quantity_max", "a positive integer below 2**63", number)
    return number


def check_count(n: object) -> int:
    """Return an argument as a number of rows, of which 0 means all."""
    number = check_int64("n", n)
    if number < 0:
        raise _errors.expected("n", "0 (all) or a positive integer", number)
    return number
