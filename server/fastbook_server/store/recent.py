"""The past as far as a server remembers it that keeps nothing: the most recent events."""

from __future__ import annotations

import secrets
from typing import Any

from fastbook_server.store import Batch
from fastbook_server.store.memory import MemoryDatabase
from fastbook_server.values.events import Order

TOKEN_KEY_BYTES = 32


class RecentDatabase(MemoryDatabase):
    """A `MemoryDatabase` of bounded size that no later start will ever open.

    It holds the open orders, and of everything else at least the `events_max` most recent events
    and at most a quarter more. Resume tokens are signed with a key of its own, so that no other
    server accepts them.
    """

    def __init__(self, events_max: int) -> None:
        MemoryDatabase.__init__(self, secrets.token_bytes(TOKEN_KEY_BYTES))
        self._events_max = events_max

    def end(self, batch: Batch) -> None:
        """Note a batch whose events have been applied, and forget what is too old."""
        MemoryDatabase.end(self, batch)
        self._forget(self.events)
        for trades in self.trades.values():
            self._forget(trades)

    def _keep(self, order: Order, remaining: int, notional: int) -> None:
        """Keep nothing: the exchange knows client order ids; only a start would read them here."""

    def _forget(self, kept: list[Any]) -> None:
        if len(kept) > self._events_max + self._events_max // 4:
            del kept[: -self._events_max]
