"""A sequence of frames without gaps: while what is missing is fetched, later frames are held."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

Frame = TypeVar("Frame")
Gap = TypeVar("Gap")
Found = TypeVar("Found")


class Gapless(ABC, Generic[Frame, Gap, Found]):
    """The frames of one channel of one security, over all connections.

    `fetch` is called with a gap and returns a function that stops it. Unless it is stopped, what it
    finds must be passed to `filled`. Until then up to `held_max` frames are held; with one more,
    the gap is given up.
    """

    def __init__(self, fetch: Callable[[Gap], Callable[[], object]], held_max: int) -> None:
        self._fetch = fetch
        self._held_max = held_max
        self._held: list[Frame] = []  # the first one is that after the gap
        self._stop_fetching: Callable[[], object] | None = None
        self._opens = True

    def reopen(self) -> None:
        """Expect the first frame after a subscription or on a new connection."""
        if self._stop_fetching is not None:
            self._stop_fetching()
            self._stop_fetching = None
        self._held.clear()
        self._opens = True

    def handle(self, frame: Frame) -> None:
        """Emit what is new in a frame, or hold it back while a gap is being filled."""
        if self._stop_fetching is not None and len(self._held) >= self._held_max:
            self._stop_fetching()
            reason = f"{self._held_max} later frames came before the history could be read"
            self.filled(self._nothing(reason))
        if self._stop_fetching is not None:
            self._held.append(frame)
        else:
            self._next(frame)

    def filled(self, found: Found) -> None:
        """Emit what was found in a gap, then the held frames."""
        self._stop_fetching = None
        held, self._held = self._held, []
        self._fill(found, held[0])
        for number, frame in enumerate(held[1:], 2):
            self._next(frame)
            if self._stop_fetching is not None:  # another gap
                self._held += held[number:]
                return

    def _next(self, frame: Frame) -> None:
        opens, self._opens = self._opens, False
        self._process(frame, opens)

    def _open_gap(self, gap: Gap, frame: Frame) -> None:
        """Fetch a gap, and hold the frame after it."""
        self._held = [frame]
        self._stop_fetching = self._fetch(gap)

    @abstractmethod
    def _process(self, frame: Frame, opens: bool) -> None:
        """Emit what is new in a frame, or open the gap before it; `opens`: it is a first frame."""

    @abstractmethod
    def _fill(self, found: Found, frame: Frame) -> None:
        """Emit what was found in a gap, then the frame after it."""

    @abstractmethod
    def _nothing(self, reason: str) -> Found:
        """Return what stands for a gap in which nothing could be found."""
