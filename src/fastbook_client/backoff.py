"""Exponential backoff: how long to wait before the next attempt."""

from __future__ import annotations

import random

from msgspec import Struct

from fastbook_client import arguments


class Backoff(Struct, frozen=True):
    """Delays that double from ``first_s`` to ``max_s``, each shortened at random by up to half.

    The randomness keeps the clients of a server from reconnecting all at once. After
    ``attempts_max`` consecutive failed retries the caller gives up; None retries forever.
    """

    first_s: float = 0.1
    max_s: float = 10.0
    attempts_max: int | None = None

    def __post_init__(self) -> None:
        for name in ("first_s", "max_s"):
            if arguments.number(name, getattr(self, name)) < 0:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)!r}")
        if self.attempts_max is not None:
            arguments.integer("attempts_max", self.attempts_max, least=0)

    def delay_s(self, failures: int) -> float | None:
        """Return the delay after `failures` consecutive failures (1 or more); None: give up."""
        if self.attempts_max is not None and failures > self.attempts_max:
            return None
        longest = min(self.max_s, self.first_s * 2.0 ** min(failures - 1, 60))
        return longest * random.uniform(0.5, 1.0)
