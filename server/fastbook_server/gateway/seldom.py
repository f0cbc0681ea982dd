"""A line now and then about what a stranger can make happen as often as he likes."""

from __future__ import annotations

import logging
from collections.abc import Callable

EVERY_S = 60.0
"""At most one line about each kind of thing in this time."""


class Seldom:
    """Logs the first of each kind at once; what follows is counted, and told with the next line."""

    def __init__(self, log: logging.Logger, time: Callable[[], float]) -> None:
        self._log = log
        self._time = time
        self._told_s: dict[str, float] = {}
        self._untold: dict[str, int] = {}

    def warn(self, kind: str, message: str, *args: object) -> None:
        """Log a warning about something of this kind, unless there was one a moment ago."""
        self.say(logging.WARNING, kind, message, *args)

    def say(self, level: int, kind: str, message: str, *args: object) -> None:
        """Log a line about something of this kind, unless there was one a moment ago."""
        now_s = self._time()
        told_s = self._told_s.get(kind)
        if told_s is not None and now_s - told_s < EVERY_S:
            self._untold[kind] = self._untold.get(kind, 0) + 1
            return
        self._told_s[kind] = now_s
        untold = self._untold.pop(kind, 0)
        more = f" (and {untold:,} more since the last such line)" if untold else ""
        self._log.log(level, message + "%s", *args, more)
