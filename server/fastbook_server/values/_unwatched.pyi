"""Lists that Python's collector of circles leaves alone."""

from typing import Any

def unwatched() -> list[Any]:
    """Return an empty list through which the collector does not look.

    It is for very many records, which are no part of a circle: to look at each of 100,000 would
    stop everybody for milliseconds. What is copied out of it is an ordinary list.
    """
