"""What every channel of a security can do, and what all of them are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from fastbook_server.gateway.feeds.audience import Reader
from fastbook_server.gateway.snapshots import Opening
from fastbook_server.values.clock import Timers


class Feed(Protocol):
    """One channel of one security.

    ``opening`` may wait, ``join`` does not: from the first frame of a joiner on nothing is lost or
    doubled, whatever has happened since ``opening``.
    """

    async def opening(self) -> Opening | None:
        """Return what ``join`` wants to be given, if it takes time to get."""

    def join(self, reader: Reader, opening: Opening | None) -> None:
        """Send `reader` what the channel has to say at first, then everything to come."""

    def leave(self, reader: Reader) -> None:
        """Send `reader` nothing more."""

    def book_changed(self) -> bool:
        """Heed a committed batch that changed the book.

        It is called from the first joiner on, until it returns False: nobody is left.
        """

    def stop(self) -> None:
        """Send nothing more."""


class Pace(msgspec.Struct, frozen=True):
    """How feeds live in time.

    ``settled_ms`` returns a Unix time before which nothing more can happen: all events that bear an
    earlier one have been published. It never goes back.
    """

    timers: Timers
    interval_s: float
    settled_ms: Callable[[], int]
