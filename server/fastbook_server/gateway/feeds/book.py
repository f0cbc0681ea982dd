"""The channel ``book``: every trade immediately, the aggregated book throttled."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from itertools import takewhile

from fastbook_server import metrics
from fastbook_server.gateway import websocket_frames
from fastbook_server.gateway.feeds.audience import Audience, Reader, Throttle
from fastbook_server.gateway.feeds.feed import Pace
from fastbook_server.gateway.market_views import SecurityView
from fastbook_server.gateway.snapshots import Opening

HISTORY_BYTES_MAX = 4 * 2**20
"""Live trades that a feed keeps for joiners; one with an older opening pair gets a new pair."""


class BookFeed:
    """One security's live trades and books, and the recent frames that a joiner may lack.

    `kept` returns a cached opening pair, `build` the current one.
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
        self._audience = Audience(pace.timers, pace.interval_s, self._newest_book)
        self._history: deque[tuple[int, bytes]] = deque()  # (last seq, trades frame)
        self._history_bytes = 0
        self._forgotten_seq = -1  # frames up to this trade are no longer kept
        self._book: tuple[int, bytes] | None = None  # the newest that was built

    async def opening(self) -> Opening:
        """Return the opening pair, at most one throttle interval old."""
        return await self._kept()

    def join(self, reader: Reader, opening: Opening | None) -> None:
        """Send the opening pair and the frames published since, then every later frame.

        If the frames since then are no longer kept, the current pair is sent instead.
        """
        if opening is None or _known(opening) < self._forgotten_seq:
            opening = self._build()
        known = _known(opening)
        reader.send(opening.data)
        missed = tuple(takewhile(lambda kept: kept[0] > known, reversed(self._history)))
        for _, frame in reversed(missed):
            reader.send(frame)
        wanted_seq = missed[0][0] if missed else opening.seq + 1
        if self._book is not None and self._book[0] >= wanted_seq:
            reader.send(self._book[1])  # one older than the trades is about to be replaced
        self._audience.join(reader)

    def leave(self, reader: Reader) -> None:
        """Stop sending to `reader`."""
        self._audience.leave(reader)

    def publish_trades(self, seq: int, payload: bytes) -> None:
        """Send a live trades frame to every reader."""
        frame = websocket_frames.text(payload)
        self._history.append((seq, frame))
        self._history_bytes += len(frame)
        while self._history_bytes > HISTORY_BYTES_MAX:
            self._forgotten_seq, forgotten = self._history.popleft()
            self._history_bytes -= len(forgotten)
        self._audience.tell(frame)

    def book_changed(self) -> bool:
        """Publish the book now or at the end of the interval, also for later joiners."""
        self._throttle.changed()
        return True

    def _emit_book(self) -> None:
        metrics.BOOKS.inc()
        self._audience.show(self._newest_book())

    def _newest_book(self) -> bytes:
        if self._book is None or self._book[0] != self._view.seq:
            self._book = (self._view.seq, websocket_frames.text(self._view.book_frame()))
        return self._book[1]

    def time_passed(self) -> None:
        """Do nothing: only batches change this channel."""

    def stop(self) -> None:
        """Stop sending."""
        self._throttle.stop()
        self._audience.stop()


def _known(opening: Opening) -> int:
    return -1 if opening.last_trade_seq is None else opening.last_trade_seq
