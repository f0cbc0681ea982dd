"""The channel ``ticker``: the last 24 hours and the best prices, whenever they have changed."""

from __future__ import annotations

import msgspec

from fastbook_server.gateway import encode, rfc6455
from fastbook_server.gateway.feeds.audience import Audience, Reader, Throttle
from fastbook_server.gateway.feeds.feed import Pace
from fastbook_server.gateway.views import SecurityView
from fastbook_server.values import clock
from fastbook_wire.frames import TickerView

TIMER_S_MIN = 0.05
TIMER_S_MAX = 60.0
"""The longest wait for a minute to roll out: the clock may be set, timers do not hear of that."""


class TickerFeed:
    """One security's ticker. It changes with trades, best prices, and minutes that grow too old."""

    def __init__(self, view: SecurityView, pace: Pace) -> None:
        self._view = view
        self._timers = pace.timers
        self._settled_ms = pace.settled_ms
        self._throttle = Throttle(pace.timers, pace.interval_s, self._emit)
        self._audience = Audience(pace.timers, pace.interval_s)
        self._shown: TickerView | None = None
        self._timer: clock.Cancellable | None = None

    async def opening(self) -> None:
        """Return nothing: all that joiners need is at hand."""

    def join(self, reader: Reader, opening: object = None) -> None:
        """Send the ticker of now, then each change."""
        del opening
        ticker = self._view.ticker(self._settled_ms())
        reader.send(rfc6455.text(encode.ticker(ticker)))
        if not self._audience:
            self._shown = ticker
        elif self._differs(ticker):  # the others know of an older one; nobody shall keep this one
            self._shown = None
            self._throttle.changed()
        self._audience.join(reader)
        self._watch()

    def leave(self, reader: Reader) -> None:
        """Send `reader` nothing more."""
        self._audience.leave(reader)
        if not self._audience:
            self._pause()

    def _pause(self) -> None:
        self._throttle.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def book_changed(self) -> bool:
        """Send the ticker if it has changed, now or at the end of the throttle interval."""
        if not self._audience:
            return False
        if self._differs(self._view.ticker(self._settled_ms())):
            self._throttle.changed()
            self._watch()
        return True

    def _differs(self, ticker: TickerView) -> bool:
        shown = self._shown
        return shown is None or ticker != msgspec.structs.replace(
            shown, seq=ticker.seq, time=ticker.time
        )

    def _emit(self) -> None:
        ticker = self._view.ticker(self._settled_ms())
        if self._differs(ticker):
            self._shown = ticker
            self._audience.show(rfc6455.text(encode.ticker(ticker)))

    def _watch(self) -> None:
        """Look again when the oldest minute will be too old."""
        next_ms = self._view.tape.day.next_ms
        if self._timer is None and next_ms is not None:
            left_s = (next_ms - self._settled_ms()) / 1_000
            delay_s = min(max(left_s, TIMER_S_MIN), TIMER_S_MAX)
            self._timer = self._timers.call_later(delay_s, self._look)

    def _look(self) -> None:
        self._timer = None
        self.book_changed()
        self._watch()

    def stop(self) -> None:
        """Send nothing more."""
        self._audience.stop()
        self._pause()
