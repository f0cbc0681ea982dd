"""Who is told, and how often: readers of one channel, and the throttle of what may be skipped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from fastbook_server.values import clock
from fastbook_server.values.clock import Timers

OFFER_S_MIN = 0.02
"""A reader that is behind is not offered the newest state more often than this."""


class Throttle:
    """Lets the first change through at once, then at most one per interval, and always the last.

    `emit` is called with the state of its moment; `interval_s` 0 lets every change through.
    """

    def __init__(self, timers: Timers, interval_s: float, emit: Callable[[], None]) -> None:
        self._timers = timers
        self._interval_s = interval_s
        self._emit = emit
        self._next_s = 0.0
        self._timer: clock.Cancellable | None = None

    def changed(self) -> None:
        """Note a change: emit now, or when the interval is over."""
        if self._timer is None:
            self._try()

    def _try(self) -> None:
        self._timer = None
        now = self._timers.time()
        if now < self._next_s:  # also when a timer fires a little early
            self._timer = self._timers.call_later(self._next_s - now, self._try)
            return
        self._next_s = now + self._interval_s
        self._emit()

    def stop(self) -> None:
        """Emit nothing more of what has changed until now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Reader(Protocol):
    """A connection, as feeds see it."""

    def send(self, frame: bytes) -> None:
        """Queue a frame that must not be lost."""

    def send_state(self, frame: bytes) -> bool:
        """Queue what the next frame makes good, unless it is behind; returns whether it did."""


class Audience:
    """The readers of one channel: all are told what matters, the slow only the newest state."""

    def __init__(self, timers: Timers, interval_s: float) -> None:
        self._timers = timers
        self._interval_s = max(interval_s, OFFER_S_MIN)
        self._readers: dict[Reader, None] = {}
        self._behind: set[Reader] = set()  # they skipped a state
        self._newest = b""
        self._offer: clock.Cancellable | None = None

    def __len__(self) -> int:
        return len(self._readers)

    def join(self, reader: Reader) -> None:
        """Tell `reader` everything from now on."""
        self._readers[reader] = None

    def leave(self, reader: Reader) -> None:
        """Tell `reader` nothing more."""
        self._readers.pop(reader, None)
        self._behind.discard(reader)

    def tell(self, frame: bytes) -> None:
        """Send a frame that nobody may miss."""
        for reader in self._readers:
            reader.send(frame)

    def tell_all_there_is(self, frame: bytes) -> None:
        """Send a frame that nobody may miss, and after which nothing older is worth knowing."""
        self._behind.clear()
        self.tell(frame)

    def show(self, state: bytes) -> None:
        """Send a state; who is behind gets it when it has caught up, if it is the newest then."""
        self._newest = state
        for reader in self._readers:
            self._send(reader)
        self._watch()

    def _send(self, reader: Reader) -> None:
        if reader.send_state(self._newest):
            self._behind.discard(reader)
        else:
            self._behind.add(reader)

    def _watch(self) -> None:
        if self._behind and self._offer is None:
            self._offer = self._timers.call_later(self._interval_s, self._offer_again)

    def _offer_again(self) -> None:
        self._offer = None
        for reader in tuple(self._behind):
            self._send(reader)
        self._watch()

    def stop(self) -> None:
        """Offer nothing again."""
        self._readers.clear()
        self._behind.clear()
        if self._offer is not None:
            self._offer.cancel()
            self._offer = None
