"""The readers of a channel, and the throttle of the states that a reader may skip."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from fastbook_server.values import clock
from fastbook_server.values.clock import Timers

OFFER_S_MIN = 0.02
"""Minimum interval between two offers of the newest state to a reader that is behind."""


class Throttle:
    """Passes the first change on at once, then at most one per interval, and always the last.

    `emit` is called to publish the state of that moment; an `interval_s` of 0 passes every change.
    """

    def __init__(self, timers: Timers, interval_s: float, emit: Callable[[], None]) -> None:
        self._timers = timers
        self._interval_s = interval_s
        self._emit = emit
        self._next_s = 0.0
        self._timer: clock.Cancellable | None = None

    def changed(self) -> None:
        """Publish a change now, or when the interval is over."""
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
        """Forget the changes that have not been published."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Reader(Protocol):
    """A connection, as feeds see it."""

    def send(self, frame: bytes) -> None:
        """Queue a frame that must not be lost."""

    def send_later(self, frames: Iterator[bytes], size: int) -> None:
        """Queue frames that are built as they are read; `size` is about their bytes."""

    def send_state(self, frame: bytes) -> bool:
        """Queue a state unless the reader is behind; return False if it must be offered again."""


class Audience:
    """The readers of one channel: each gets every event, a slow one only the newest state.

    `newest` builds the current state. A reader that missed a state gets a newly built one, because
    the missed state may be older than events that the reader has received since.
    """

    def __init__(
        self, timers: Timers, interval_s: float, newest: Callable[[], bytes] | None = None
    ) -> None:
        self._timers = timers
        self._interval_s = max(interval_s, OFFER_S_MIN)
        self._newest = newest
        self._readers: dict[Reader, None] = {}
        self._behind: set[Reader] = set()  # they missed a state
        self._offer: clock.Cancellable | None = None

    def __len__(self) -> int:
        return len(self._readers)

    def join(self, reader: Reader) -> None:
        """Send `reader` every frame from now on."""
        self._readers[reader] = None

    def leave(self, reader: Reader) -> None:
        """Stop sending to `reader`."""
        self._readers.pop(reader, None)
        self._behind.discard(reader)

    def tell(self, frame: bytes) -> None:
        """Send an event, which nobody may miss."""
        for reader in self._readers:
            reader.send(frame)

    def tell_later(self, frames: Callable[[], Iterator[bytes]], size: int) -> None:
        """Send events of about `size` bytes, as `frames` builds them for each reader."""
        for reader in self._readers:
            reader.send_later(frames(), size)

    def tell_all_there_is(self, frame: bytes) -> None:
        """Send an event that makes every earlier state worthless."""
        self._behind.clear()
        self.tell(frame)

    def show(self, state: bytes) -> None:
        """Send a state; readers that are behind are offered the newest one later."""
        self._send(state, self._readers)
        self._watch()

    def _send(self, state: bytes, readers: Iterable[Reader]) -> None:
        for reader in readers:
            if reader.send_state(state):
                self._behind.discard(reader)
            else:
                self._behind.add(reader)

    def _watch(self) -> None:
        if self._behind and self._offer is None:
            self._offer = self._timers.call_later(self._interval_s, self._offer_again)

    def _offer_again(self) -> None:
        self._offer = None
        if self._behind:
            assert self._newest is not None, "only a channel with states has readers behind"
            self._send(self._newest(), tuple(self._behind))
            self._watch()

    def stop(self) -> None:
        """Forget all readers."""
        self._readers.clear()
        self._behind.clear()
        if self._offer is not None:
            self._offer.cancel()
            self._offer = None
