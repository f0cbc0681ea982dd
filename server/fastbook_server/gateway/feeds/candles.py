"""The channels ``candles:…``: the last candles, then each change, and each end exactly once."""

from __future__ import annotations

from itertools import islice

from fastbook_server.gateway import encode, websocket_frames
from fastbook_server.gateway.feeds.audience import Audience, Reader, Throttle
from fastbook_server.gateway.feeds.feed import Pace
from fastbook_server.gateway.market_views import SecurityView
from fastbook_server.values.candles import Candle
from fastbook_wire.words import Interval


class CandlesFeed:
    """One security's candles of one interval.

    At most one candle is open: the newest, until a later fill or the settled time ends it. A slow
    reader may miss changes of the open candle, but never an end. To joiners, a candle that has
    ended stays "not final" until the frame that finalises it, which they receive like everyone.
    """

    def __init__(self, view: SecurityView, interval: Interval, shown: int, pace: Pace) -> None:
        self._instrument = view.instrument
        self._interval = interval
        self._stats = view.stats
        self._series = view.stats.series[interval]
        self._watermarks = view.watermarks
        self._shown = shown
        self._throttle = Throttle(pace.timers, pace.interval_s, self._emit)
        self._audience = Audience(pace.timers, pace.interval_s, self._newest)
        self._final_ms = -1  # start of the last candle that readers know to be final
        self._seen = (-1, 0)
        self._opening: bytes | None = None
        self._open: list[Candle] = []  # the one last shown; it goes on changing

    async def opening(self) -> None:
        """Return None: ``join`` needs nothing that takes time."""

    def join(self, reader: Reader, opening: object = None) -> None:
        """Send the last candles, then each change and each end."""
        del opening
        self._stats.flush()
        if not self._audience:
            self._begin()
        if self._opening is None:
            candles = self._series.candles
            last = islice(candles, max(0, len(candles) - self._shown), None)
            self._opening = self._frame(list(last))
        reader.send(self._opening)
        self._audience.join(reader)

    def leave(self, reader: Reader) -> None:
        """Stop sending to `reader`."""
        self._audience.leave(reader)
        if not self._audience:
            self._pause()

    def _begin(self) -> None:
        """Start from the current series: whatever has ended by now is final."""
        candles = self._series.candles
        self._series.ended = []
        self._opening = None
        self._final_ms = candles[-2].start_ms if len(candles) > 1 else -1
        if candles and self._is_over(candles[-1]):
            self._final_ms = candles[-1].start_ms
        self._seen = self._state()

    def _pause(self) -> None:
        self._series.ended = None
        self._throttle.stop()

    def book_changed(self) -> bool:
        """Send the changed candles, now or at the end of the throttle interval."""
        if not self._audience:
            return False
        self._stats.flush()
        if self._state() != self._seen:
            self._seen, self._opening = self._state(), None
            self._throttle.changed()
        return True

    def _state(self) -> tuple[int, int]:
        """Return what identifies a state of the series: volumes only grow."""
        candles = self._series.candles
        return (candles[-1].start_ms, candles[-1].volume) if candles else (-1, 0)

    def _emit(self) -> None:
        ended = [c for c in self._series.ended or () if c.start_ms > self._final_ms]
        self._series.ended = []
        newest = self._series.candles[-1]
        if newest.start_ms <= self._final_ms:
            return
        if self._is_over(newest):
            ended.append(newest)
        if ended:
            self._final_ms, self._opening = ended[-1].start_ms, None
        changed = ended if newest in ended[-1:] else [*ended, newest]
        frame = self._frame(changed)
        if ended:
            self._audience.tell_all_there_is(frame)
        else:
            self._open = changed
            self._audience.show(frame)

    def _newest(self) -> bytes:
        return self._frame(self._open)

    def _frame(self, candles: list[Candle]) -> bytes:
        return websocket_frames.text(
            encode.candles(self._instrument, self._interval, candles, final_ms=self._final_ms)
        )

    # ---- the end of a bucket without a later fill ---------------------------------------------

    def time_passed(self) -> None:
        """Send the end of the newest bucket once its time is over."""
        candles = self._series.candles
        if not self._audience or not candles:
            return
        self._stats.flush()
        if candles[-1].start_ms > self._final_ms and self._is_over(candles[-1]):
            self._throttle.changed()

    def _is_over(self, candle: Candle) -> bool:
        return self._watermarks.settled_ms >= candle.start_ms + self._series.interval_ms

    def stop(self) -> None:
        """Stop sending."""
        self._audience.stop()
        self._pause()
