"""Python's collector of circles: it looks at what lives once, and not again and again.

It stops everybody meanwhile, 60 ms for 400,000 orders, and comes whenever a quarter more lives. Few
circles arise here: nothing is freed by it but what has become one before its first look.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

OLDEST = 2


@contextlib.contextmanager
def looked_at_once() -> Iterator[None]:
    """Leave out of each later search what a search of all has found alive."""
    gc.collect()
    gc.freeze()
    gc.callbacks.append(_leave_out)
    try:
        yield
    finally:
        gc.callbacks.remove(_leave_out)


def _leave_out(phase: str, about: dict[str, int]) -> None:
    if phase == "stop" and about["generation"] == OLDEST:
        gc.freeze()
