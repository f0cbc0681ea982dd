"""How long to wait before something is tried again."""

from __future__ import annotations

import random

from msgspec import Struct


class Backoff(Struct, frozen=True):
    """Waits that double from ``first_s`` to ``max_s``, each shortened by up to half at random.

    The chance keeps many clients of one server from coming back in the same moment. After
    ``attempts_max`` failures in a row it is given up; None: never.
    """

    first_s: float = 0.1
    max_s: float = 10.0
    attempts_max: int | None = None

    def delay_s(self, failures: int) -> float | None:
        """Return how long to wait after so many failures in a row (from 1); None: give up."""
        if self.attempts_max is not None and failures > self.attempts_max:
            return None
        longest = min(self.max_s, self.first_s * 2.0 ** min(failures - 1, 60))
        return longest * random.uniform(0.5, 1.0)
