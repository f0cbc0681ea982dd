"""The channel ``book``: every trade at once, the aggregated book at most so often."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from itertools import takewhile

from fastbook_server import metrics
from fastbook_server.gateway import rfc6455
from fastbook_server.gateway.feeds.audience import Audience, Reader, Throttle
from fastbook_server.gateway.feeds.feed import Pace
from fastbook_server.gateway.snapshots import Opening
from fastbook_server.gateway.views import SecurityView

HISTORY_BYTES_MAX = 4 * 2**20
"""How much of its live trades a feed keeps for joiners; one whose pair is older gets a new pair."""


class BookFeed:
    """One security's live trades and books, and what a late joiner has yet to be told.

    `kept` returns an opening pair that may be some time old, `build` that of now.
    """

    def __init__(
        self,
        view: SecurityView,
        pace: Pace,
        *,
        kept: Callable[[], Awaitable[Opening]],
        build: Callable[[], Opening],
    ) -> None:
        self._view = view
        self._kept = kept
        self._build = build
        self._throttle = Throttle(pace.timers, pace.interval_s, self._emit_book)
        self._audience = Audience(pace.timers, pace.interval_s)
        self._history: deque[tuple[int, bytes]] = deque()  # (last seq, trades frame)
        self._history_bytes = 0
        self._forgotten_seq = -1  # no frame up to this trade is in the history any more
        self._book: tuple[int, bytes] | None = None  # the last one that was published

    async def opening(self) -> Opening:
        """Return the opening pair, at most one throttle interval old."""
        return await self._kept()

    def join(self, reader: Reader, opening: Opening | None) -> None:
        """Send the opening pair and all that was published since, then everything to come.

        A pair that is so old that trades since are forgotten gives way to that of now.
        """
        if opening is None or _known(opening) < self._forgotten_seq:
            opening = self._build()
        known = _known(opening)
        reader.send(opening.data)
        missed = tuple(takewhile(lambda kept: kept[0] > known, reversed(self._history)))
        for _, frame in reversed(missed):
            reader.send(frame)
        if self._book is not None and self._book[0] > opening.seq:
            reader.send(self._book[1])
        self._audience.join(reader)

    def leave(self, reader: Reader) -> None:
        """Send `reader` nothing more."""
        self._audience.leave(reader)

    def publish_trades(self, seq: int, payload: bytes) -> None:
        """Send a live trades frame to every reader."""
        frame = rfc6455.text(payload)
        self._history.append((seq, frame))
        self._history_bytes += len(frame)
        while self._history_bytes > HISTORY_BYTES_MAX:
            self._forgotten_seq, forgotten = self._history.popleft()
            self._history_bytes -= len(forgotten)
        self._audience.tell(frame)

    def book_changed(self) -> bool:
        """Publish the book now or at the end of the interval, also for those who will join."""
        self._throttle.changed()
        return True

    def _emit_book(self) -> None:
        metrics.BOOKS.inc()
        frame = rfc6455.text(self._view.book_frame())
        self._book = (self._view.seq, frame)
        self._audience.show(frame)

    def time_passed(self) -> None:
        """Do nothing: only batches change this channel."""

    def stop(self) -> None:
        """Publish nothing more."""
        self._throttle.stop()
        self._audience.stop()


def _known(opening: Opening) -> int:
    return -1 if opening.last_trade_seq is None else opening.last_trade_seq
