"""Very many values, a portion at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")


def taken(events: list[T], count: int) -> Iterator[list[T]]:
    """Yield all of a list, so many at a time. It keeps none of what has been yielded.

    To free very many at once would take as long as to make them.
    """
    for start in range(0, len(events), count):
        part = events[start : start + count]
        events[start : start + count] = [None] * len(part)  # type: ignore[list-item]  # nobody looks
        yield part
    events.clear()
