"""Who follows which security, and what they are sent: trades at once, books at most so often."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Protocol

from fastbook_server import clock, metrics, wsframes
from fastbook_server.channels import Channels
from fastbook_server.clock import Timers
from fastbook_server.events import Event, Traded
from fastbook_server.market_data import MarketData, SecurityView
from fastbook_server.snapshots import Opening, Snapshots

HISTORY_BYTES_MAX = 4 * 2**20
"""How much of its live trades a feed keeps for joiners; one whose pair is older gets a new pair."""


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
        """Emit nothing more."""
        if self._timer is not None:
            self._timer.cancel()


class Reader(Protocol):
    """A connection, as feeds see it."""

    def send(self, frame: bytes) -> None:
        """Queue a frame that must not be lost."""

    def send_book(self, frame: bytes) -> bool:
        """Queue a book unless the reader is behind; returns whether it was taken."""


class Feed:
    """One security's readers, its live frames, and what a late joiner has yet to be told."""

    def __init__(self, view: SecurityView, timers: Timers, interval_s: float) -> None:
        self._view = view
        self._timers = timers
        self._interval_s = interval_s
        self._throttle = Throttle(timers, interval_s, self._emit_book)
        self._readers: dict[Reader, None] = {}
        self._behind: set[Reader] = set()  # they skipped a book
        self._offer: clock.Cancellable | None = None
        self._history: deque[tuple[int, bytes]] = deque()  # (last seq, trades frame)
        self._history_bytes = 0
        self._forgotten_seq = -1  # no frame up to this trade is in the history any more
        self._book: tuple[int, bytes] | None = None  # the last one that was published

    def join(self, reader: Reader, opening: Opening) -> bool:
        """Send the opening pair and all that was published since, then everything to come.

        Returns False, and sends nothing, if the pair is so old that trades since are forgotten.
        """
        known = -1 if opening.last_trade_seq is None else opening.last_trade_seq
        if known < self._forgotten_seq:
            return False
        reader.send(opening.data)
        missed = tuple(takewhile(lambda kept: kept[0] > known, reversed(self._history)))
        for _, frame in reversed(missed):
            reader.send(frame)
        if self._book is not None and self._book[0] > opening.seq:
            reader.send(self._book[1])
        self._readers[reader] = None
        return True

    def leave(self, reader: Reader) -> None:
        """Send nothing more to `reader`."""
        self._readers.pop(reader, None)
        self._behind.discard(reader)

    def publish_trades(self, seq: int, payload: bytes) -> None:
        """Send a live trades frame to every reader."""
        frame = wsframes.text(payload)
        self._history.append((seq, frame))
        self._history_bytes += len(frame)
        while self._history_bytes > HISTORY_BYTES_MAX:
            self._forgotten_seq, forgotten = self._history.popleft()
            self._history_bytes -= len(forgotten)
        for reader in self._readers:
            reader.send(frame)

    def book_changed(self) -> None:
        """Publish the book now or at the end of the interval."""
        self._throttle.changed()

    def _emit_book(self) -> None:
        metrics.BOOKS.inc()
        frame = wsframes.text(self._view.book_frame())
        self._book = (self._view.seq, frame)
        for reader in self._readers:
            self._send_book(reader, frame)
        self._watch_behind()

    def _send_book(self, reader: Reader, frame: bytes) -> None:
        if reader.send_book(frame):
            self._behind.discard(reader)
        else:
            self._behind.add(reader)

    def _watch_behind(self) -> None:
        """Offer the newest book again to readers that skipped it, until they have caught up."""
        if self._behind and self._offer is None:
            self._offer = self._timers.call_later(max(self._interval_s, 0.02), self._offer_again)

    def _offer_again(self) -> None:
        self._offer = None
        if self._book is not None:
            for reader in tuple(self._behind):
                self._send_book(reader, self._book[1])
        self._watch_behind()

    def stop(self) -> None:
        """Publish nothing more."""
        self._throttle.stop()
        if self._offer is not None:
            self._offer.cancel()


class Feeds:
    """The feeds of all securities, fed by the channels."""

    def __init__(
        self,
        market_data: MarketData,
        snapshots: Snapshots,
        channels: Channels,
        timers: Timers,
        interval_s: float,
    ) -> None:
        self._market_data = market_data
        self._snapshots = snapshots
        self._feeds = {
            security: Feed(view, timers, interval_s) for security, view in market_data.views.items()
        }
        self.securities = tuple(self._feeds)
        self._changed: set[str] = set()
        channels.orders.subscribe(self._on_orders)
        channels.trades.subscribe(self._on_trades)
        channels.batch_ends.subscribe(self._on_batch_end)

    async def opening(self, security: str) -> Opening:
        """Return the opening pair of a security, at most one throttle interval old."""
        return await self._snapshots.opening(security)

    def join(self, reader: Reader, security: str, opening: Opening) -> None:
        """Send `reader` the opening pair of a security, then everything that follows it.

        Nothing is awaited in between, so no trade is lost or doubled at the join.
        """
        feed = self._feeds[security]
        if not feed.join(reader, opening):
            feed.join(reader, self._snapshots.build(security))

    def leave(self, reader: Reader, security: str) -> None:
        """Send `reader` nothing more of a security."""
        self._feeds[security].leave(reader)

    def stop(self) -> None:
        """Publish nothing more."""
        for feed in self._feeds.values():
            feed.stop()

    def _on_orders(self, events: Sequence[Event]) -> None:
        self._changed |= self._market_data.on_orders(events)

    def _on_trades(self, trades: Sequence[Traded]) -> None:
        for trade in trades:
            metrics.TRADES.labels(trade.order.instrument.security).inc()
        for security, seq, payload in self._market_data.on_trades(trades):
            self._feeds[security].publish_trades(seq, payload)

    def _on_batch_end(self, _mark: None) -> None:
        changed, self._changed = self._changed, set()
        for security in changed:
            self._feeds[security].book_changed()
