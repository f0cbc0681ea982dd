"""The past as far as a server remembers it that keeps nothing: the most recent events."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from fastbook_server.store import Batch
from fastbook_server.store.memory import MemoryDatabase
from fastbook_server.values.candles import CandleSeries
from fastbook_server.values.events import Order, OrderFilled, StoredEvent
from fastbook_wire.words import INTERVALS

TOKEN_KEY_BYTES = 32
PORTION = 2_000
"""Events that are forgotten at once: about a millisecond."""

CANDLES_KEPT = 5_000
"""Of each security and interval: more than three days of minutes."""


class RecentDatabase(MemoryDatabase):
    """A `MemoryDatabase` of bounded size that no later start will ever open.

    It holds the open orders, and of everything else at least the `events_max` most recent events
    and about a quarter more; what one batch brings beyond that is forgotten portion by portion,
    with the batches that follow. Of the fills before them, candles are left. Resume tokens are
    signed with a key of its own, so that no other server accepts them.
    """

    def __init__(self, events_max: int) -> None:
        MemoryDatabase.__init__(self, secrets.token_bytes(TOKEN_KEY_BYTES))
        self._events_max = events_max
        self._shrinking: set[int] = set()  # ids of lists that have had a quarter too much

    def end(self, batch: Batch) -> None:
        """Note a batch whose events have been applied, and forget what is too old."""
        MemoryDatabase.end(self, batch)
        self._forget_old()

    def take(self, events: Sequence[StoredEvent]) -> None:
        """Apply some events of a batch, and forget as many that are too old."""
        MemoryDatabase.take(self, events)
        if self._shrinking:
            self._forget_old()

    def _forget_old(self) -> None:
        for event in self._forget(self.events):
            if type(event) is OrderFilled:
                self._keep_candles(event)
        for trades in self.trades.values():
            self._forget(trades)

    def _keep(self, order: Order, remaining: int, notional: int) -> None:
        """Keep nothing: the exchange knows client order ids; only a start would read them here."""

    def _keep_candles(self, fill: OrderFilled) -> None:
        """Add a fill that is forgotten to the candles of its security."""
        security = fill.taker.instrument.security
        kept = self.candles.get(security)
        if kept is None:
            kept = {name: CandleSeries(ms, CANDLES_KEPT) for name, ms in INTERVALS.items()}
            self.candles[security] = kept
        for series in kept.values():
            series.add(fill.time_ms, fill.price, fill.quantity, fill.n == 0)

    def _forget(self, kept: list[Any]) -> list[Any]:
        """Drop the oldest of what is too much, a portion at most; return it."""
        too_many = len(kept) - self._events_max
        if too_many > self._events_max // 4:
            self._shrinking.add(id(kept))
        elif id(kept) not in self._shrinking:
            return []
        if too_many <= PORTION:
            self._shrinking.discard(id(kept))
        forgotten = kept[: max(0, min(too_many, PORTION))]
        del kept[: len(forgotten)]
        return forgotten
