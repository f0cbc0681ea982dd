"""Decimal texts as integers: numbers that are never rounded, and never become doubles."""

from __future__ import annotations

DIGITS_MAX = 30
"""Before the point of a decimal text, and after it."""


def plain(units: int, decimals: int) -> str:
    """Return `units` of 10 to the power of minus `decimals` as a text without an exponent."""
    sign, digits = "-" if units < 0 else "", str(abs(units)).rjust(decimals + 1, "0")
    if not decimals:
        return sign + digits
    point = len(digits) - decimals
    return sign + digits[:point] + "." + digits[point:]


def parsed(text: str) -> tuple[int, int]:
    """Return the digits of a decimal text as an integer, and how many of them are decimals.

    Trailing zeros after the point do not count.

    Raises:
        ValueError: `text` is no such number: digits, perhaps with a point between them.
    """
    whole, point, fraction = text.partition(".")
    if not _are_digits(whole) or (point and not _are_digits(fraction)):
        raise ValueError(f"expected a decimal number, got {text[:40]!r}")
    if not point:
        return int(whole), 0
    fraction = fraction.rstrip("0")
    return int(whole + fraction), len(fraction)


def _are_digits(text: str) -> bool:
    return len(text) <= DIGITS_MAX and text.isascii() and text.isdigit()


def units_of(text: str, decimals: int) -> int:
    """Return a decimal text in units of 10 to the power of minus `decimals`.

    Raises:
        ValueError: `text` is no decimal number, or has more decimals.
    """
    digits, count = parsed(text)
    if count > decimals:
        raise ValueError(f"expected at most {decimals} decimals, got {text[:40]!r}")
    scale: int = 10 ** (decimals - count)
    return digits * scale


def decimals_of(numerator: int, denominator: int) -> int:
    """Return how many decimals the decimal number ``numerator / denominator`` has."""
    count = 0
    while numerator * 10**count % denominator:
        count += 1
    return count
