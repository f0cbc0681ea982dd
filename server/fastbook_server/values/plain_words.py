"""What a library expected of a value, in the words of people."""

from __future__ import annotations

_WORDS = {
    "Expected ": "",
    "`str` of length >= 1": "a text that is not empty",
    "`int`": "a whole number",
    "`float`": "a number",
    "`bool`": "true or false",
    "`str`": "a text",
    "`array`": "a list",
    " >= ": " of at least ",
    " <= ": " of at most ",
}


def wanted(error: str) -> str:
    """Return what msgspec expected, by the text of its error: ``a number of at least 1``."""
    expected, _, place = error.partition(" - at `$")
    expected = expected.partition(", got")[0]
    for theirs, ours in _WORDS.items():
        expected = expected.replace(theirs, ours)
    return f"{expected} at each place" if place else expected
