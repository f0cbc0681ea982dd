"""The channel ``fills``: every match, numbered without gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from fastbook_server.gateway import encode, websocket_frames
from fastbook_server.gateway.feeds.audience import Audience, Reader
from fastbook_server.gateway.feeds.feed import Pace
from fastbook_server.gateway.market_views import SecurityView, stored_fill
from fastbook_server.values.events import OrderFilled
from fastbook_server.values.persisted import StoredFill
from fastbook_server.values.portions import taken

FILLS_PER_FRAME = 500
"""Half a millisecond's work, and far less than a client takes in one frame."""

FILL_BYTES = 100
"""About how large a fill is on the wire."""


class FillsFeed:
    """One security's fills: the last ones to a joiner, then those of each batch."""

    def __init__(self, view: SecurityView, pace: Pace) -> None:
        self._view = view
        self._audience = Audience(pace.timers, pace.interval_s)

    async def opening(self) -> None:
        """Return None: ``join`` needs nothing that takes time."""

    def join(self, reader: Reader, opening: object = None) -> None:
        """Send the last fills, then every later one."""
        del opening
        if not self._audience:
            self._view.record_fills(True)
        reader.send(self._frame(self._view.fills))
        self._audience.join(reader)

    def leave(self, reader: Reader) -> None:
        """Stop sending to `reader`."""
        self._audience.leave(reader)
        if not self._audience:
            self._view.record_fills(False)

    def book_changed(self) -> bool:
        """Send the fills of a batch."""
        if not self._audience:
            return False
        fills = self._view.take_fills()
        if len(fills) > FILLS_PER_FRAME:
            pages = _Pages(fills, self._frame)
            self._audience.tell_later(pages.frames, len(fills) * FILL_BYTES)
        elif fills:
            self._audience.tell(self._frame(map(stored_fill, fills)))
        return True

    def _frame(self, fills: Iterable[StoredFill]) -> bytes:
        instrument = self._view.instrument
        views = [encode.fill_view(instrument, fill) for fill in fills]
        return websocket_frames.text(encode.fills(instrument.security, views))

    def time_passed(self) -> None:
        """Do nothing: only batches change this channel."""

    def stop(self) -> None:
        """Stop sending."""
        self._audience.stop()


class _Pages:
    """The frames of very many fills, each built when the first reader comes to it."""

    def __init__(
        self, fills: list[OrderFilled], frame: Callable[[Iterable[StoredFill]], bytes]
    ) -> None:
        self._parts = taken(fills, FILLS_PER_FRAME)
        self._frame = frame
        self._built: list[bytes] = []

    def frames(self) -> Iterator[bytes]:
        """Yield all of them."""
        n = 0
        while True:
            if n == len(self._built):
                part = next(self._parts, None)
                if part is None:
                    return
                self._built.append(self._frame(map(stored_fill, part)))
            yield self._built[n]
            n += 1
