"""What has traded in the last day, minute by minute, and the last fill, as of this moment."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from fastbook_server.dialects.binance.bars import Bar, empty, ids_known, total
from fastbook_server.dialects.binance.intervals import DAY_MS
from fastbook_server.values.persisted import StoredFill

MINUTE_MS = 60_000
KEPT_MS = DAY_MS + 60 * MINUTE_MS


class TradeFlow:
    """The fills of one security as they come, folded into minutes.

    All minutes from ``from_ms`` on are known. ``price`` is the last one, in ticks; None if nothing
    has ever traded.
    """

    def __init__(self, price: int | None = None) -> None:
        self.price = price
        self.quantity = 0
        self.time_ms = 0
        self.last_id = 0
        self.from_ms = 0
        self.minutes: deque[Bar] = deque()
        self._early: list[StoredFill] | None = []  # those that came before the past was loaded

    def load(self, minutes: Iterable[Bar], last: StoredFill | None, from_ms: int) -> None:
        """Begin with what the database knows; it may know more than has been told yet."""
        early, self._early = self._early or (), None
        self.minutes.extend(minutes)
        self.from_ms = from_ms
        if last is not None:
            self._note(last)
        newest = max(ids_known(self.minutes), default=0)
        if newest > self.last_id:  # it has traded between the two questions
            self.last_id, self.price = newest, self.minutes[-1].close
        self.add(early)

    def add(self, fills: Iterable[StoredFill]) -> None:
        """Follow new fills; those that are known already change nothing."""
        if self._early is not None:
            self._early.extend(fills)
            return
        minutes = self.minutes
        for fill in fills:
            if fill.fill_id <= self.last_id:
                continue
            start_ms = fill.time_ms - fill.time_ms % MINUTE_MS
            if not minutes or minutes[-1].start_ms < start_ms:
                minutes.append(empty(start_ms, fill.price))
                self._forget(start_ms - KEPT_MS)
            minutes[-1].add(fill)
            self._note(fill)

    def _note(self, fill: StoredFill) -> None:
        self.price, self.quantity = fill.price, fill.quantity
        self.time_ms, self.last_id = fill.time_ms, fill.fill_id

    def _forget(self, before_ms: int) -> None:
        while self.minutes and self.minutes[0].start_ms < before_ms:
            self.minutes.popleft()
        self.from_ms = max(self.from_ms, before_ms)

    def since(self, start_ms: int) -> Sequence[Bar]:
        """Return the minutes from a time on, oldest first."""
        found: list[Bar] = []
        for bar in reversed(self.minutes):
            if bar.start_ms < start_ms:
                break
            found.append(bar)
        found.reverse()
        return found

    def window(self, now_ms: int, width_ms: int = DAY_MS) -> Bar | None:
        """Return the last `width_ms` as one bar; the minute in which they began counts whole."""
        return total(self.since(now_ms - width_ms - MINUTE_MS + 1))

    def close_before(self, time_ms: int) -> int | None:
        """Return the last price before a time, if it is still known."""
        for bar in reversed(self.minutes):
            if bar.start_ms < time_ms:
                return bar.close
        return None
