"""What the feed of every channel can do, and the pace that all feeds share."""

from __future__ import annotations

from typing import Protocol

import msgspec

from fastbook_server.gateway.feeds.audience import Reader
from fastbook_server.gateway.snapshots import Opening
from fastbook_server.values.clock import Timers


class Feed(Protocol):
    """One channel of one security.

    ``opening`` may wait, ``join`` does not: from its first frame on a joiner misses nothing and
    gets nothing twice, whatever has happened since ``opening``.
    """

    async def opening(self) -> Opening | None:
        """Return what ``join`` must be given, if it takes time to get."""

    def join(self, reader: Reader, opening: Opening | None) -> None:
        """Send `reader` the opening frames, then every later frame."""

    def leave(self, reader: Reader) -> None:
        """Stop sending to `reader`."""

    def book_changed(self) -> bool:
        """Follow a committed batch that changed the book.

        It is called from the first joiner on, until it returns False: no reader is left.
        """

    def time_passed(self) -> None:
        """Follow the settled time into another second."""

    def stop(self) -> None:
        """Stop sending."""


class Pace(msgspec.Struct, frozen=True):
    """The timers of all feeds, and the minimum interval between two states of one feed."""

    timers: Timers
    interval_s: float
