"""The channel ``ticker``: the last 24 hours and the best prices, on every change."""

from __future__ import annotations

import msgspec

from fastbook_server.gateway import encode, websocket_frames
from fastbook_server.gateway.feeds.audience import Audience, Reader, Throttle
from fastbook_server.gateway.feeds.feed import Pace
from fastbook_server.gateway.market_views import SecurityView
from fastbook_wire.frames import TickerView


class TickerFeed:
    """One security's ticker: changes with trades, best prices, and minutes that get too old."""

    def __init__(self, view: SecurityView, pace: Pace) -> None:
        self._view = view
        self._throttle = Throttle(pace.timers, pace.interval_s, self._emit)
        self._audience = Audience(pace.timers, pace.interval_s, self._newest)
        self._shown: TickerView | None = None

    async def opening(self) -> None:
        """Return None: ``join`` needs nothing that takes time."""

    def join(self, reader: Reader, opening: object = None) -> None:
        """Send the current ticker, then each change."""
        del opening
        ticker = self._view.ticker()
        reader.send(websocket_frames.text(encode.ticker(ticker)))
        if not self._audience:
            self._shown = ticker
        elif self._differs(ticker):  # the others know an older one: send all of them the next
            self._shown = None
            self._throttle.changed()
        self._audience.join(reader)

    def leave(self, reader: Reader) -> None:
        """Stop sending to `reader`."""
        self._audience.leave(reader)
        if not self._audience:
            self._throttle.stop()

    def book_changed(self) -> bool:
        """Send the ticker if it has changed, now or at the end of the throttle interval."""
        if not self._audience:
            return False
        if self._differs(self._view.ticker()):
            self._throttle.changed()
        return True

    def _differs(self, ticker: TickerView) -> bool:
        shown = self._shown
        return shown is None or ticker != msgspec.structs.replace(
            shown, seq=ticker.seq, time=ticker.time
        )

    def _emit(self) -> None:
        ticker = self._view.ticker()
        if self._differs(ticker):
            self._shown = ticker
            self._audience.show(websocket_frames.text(encode.ticker(ticker)))

    def _newest(self) -> bytes:
        ticker = self._view.ticker()
        if self._differs(ticker):  # the others know an older one: send all of them the next
            self._shown = None
        return websocket_frames.text(encode.ticker(ticker))

    def time_passed(self) -> None:
        """Send the ticker if a minute has left the last 24 hours."""
        next_ms = self._view.stats.day.next_ms
        if next_ms is not None and self._view.watermarks.settled_ms >= next_ms:
            self.book_changed()

    def stop(self) -> None:
        """Stop sending."""
        self._audience.stop()
        self._throttle.stop()
