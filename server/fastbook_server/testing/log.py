"""The log: what each client sent and received, and the faults that struck it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Literal, NamedTuple

ENTRIES_MAX = 20_000
TEXT_MAX = 400
_ARROWS = {"sent": "→", "got": "←", "fault": "✗", "note": "·"}


class Entry(NamedTuple):
    """A line of the log: a frame that a client ``sent`` or ``got``, a ``fault`` or a ``note``."""

    time_ms: int
    client: int
    user_id: str
    direction: Literal["sent", "got", "fault", "note"]
    text: str


class Log:
    """The newest ``ENTRIES_MAX`` entries, readable from any thread.

    ``changes`` counts everything that happens; each change wakes the threads in `wait`.
    """

    def __init__(self, start_ms: int) -> None:
        self._start_ms = start_ms
        self._entries: deque[Entry] = deque(maxlen=ENTRIES_MAX)
        self._changed = threading.Condition()
        self.changes = 0

    def add(self, entry: Entry) -> None:
        """Add an entry and wake the waiting threads."""
        with self._changed:
            self._entries.append(entry)
        self.touch()

    def touch(self) -> None:
        """Count a change and wake the waiting threads."""
        with self._changed:
            self.changes += 1
            self._changed.notify_all()

    def wait(self, seen: int, timeout_s: float) -> None:
        """Wait until there are more changes than `seen`, or for `timeout_s`."""
        with self._changed:
            if self.changes == seen:
                self._changed.wait(timeout_s)

    def __iter__(self) -> Iterator[Entry]:
        with self._changed:
            return iter(tuple(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def text(self, last: int | None = None, user_id: str | None = None) -> str:
        """Return the `last` entries as lines: seconds since the start, client, text."""
        chosen = [e for e in self if user_id in (None, e.user_id)]
        left_out = 0 if last is None else max(0, len(chosen) - last)
        lines = [f"… {left_out} earlier entries"] if left_out else []
        return "\n".join(lines + [self._line(e) for e in chosen[left_out:]])

    def __str__(self) -> str:
        return self.text()

    def _line(self, entry: Entry) -> str:
        seconds = (entry.time_ms - self._start_ms) / 1_000
        text = entry.text
        if len(text) > TEXT_MAX:
            text = f"{text[:TEXT_MAX]}… ({len(text)} characters)"
        who = f"{entry.client} {entry.user_id or '(no user yet)'}" if entry.client else "server"
        return f"{seconds:+9.3f} {who} {_ARROWS[entry.direction]} {text}"
