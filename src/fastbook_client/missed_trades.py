"""Fetches the trades that a tape lacks from ``/api/trades``, page by page, newest first."""

from __future__ import annotations

import asyncio

from fastbook_client.api import Api
from fastbook_client.errors import ConnectError
from fastbook_client.patience import Patience, Sleep
from fastbook_client.tape import Filling, Gap, is_known
from fastbook_wire.answers import TradesAnswer
from fastbook_wire.frames import TradeView

GAP_TRADES_MAX = 100_000
"""About how many trades of a gap are fetched; older ones are reported as missed."""


class _Walk:
    """The pages of a gap, from the newest back to the last trade of the tape."""

    def __init__(self, gap: Gap) -> None:
        self.before = gap.proof_seq + 1
        self.is_done = False
        self.missing: str | None = None
        self._behind: str | None = None
        self._gap = gap
        self._pages: list[list[TradeView]] = []
        self._count = 0
        self._is_other = gap.last is not None and gap.before_seq <= gap.last.seq

    def is_behind(self, page: TradesAnswer) -> bool:
        """Return whether the first page comes from a history that lacks the newest trades."""
        if self._pages or self._behind is not None:
            return False
        return not page.trades or page.trades[-1].seq != self._gap.proof_seq

    def accept_behind(self) -> None:
        """Take the history as it is."""
        self._behind = f"the server's history still lacks trade {self._gap.proof_seq}"

    def take(self, page: TradesAnswer) -> None:
        """Add the next page."""
        last = self._gap.last
        here = [trade for trade in page.trades if trade.seq < self._gap.before_seq]
        new = [trade for trade in here if not is_known(trade, last)]
        self._pages.append(new)
        self._count += len(new)
        if last is not None:
            reached = here[-len(new) - 1] if len(new) < len(here) else None
            self._is_other |= any(trade.seq <= last.seq for trade in new)
            self._is_other |= reached is not None and reached.id != last.id
            self.is_done = reached is not None
        if self.is_done:
            return
        if not page.more or not page.trades:
            self.is_done = True
            if last is not None and not self._is_other:
                self.missing = "the server's history does not go back that far"
        elif self._count >= GAP_TRADES_MAX:
            self.missing = f"more than {GAP_TRADES_MAX} trades were missed"
        else:
            self.before = page.trades[0].seq

    def found(self) -> Filling:
        """Return what all pages hold."""
        trades = [trade for page in reversed(self._pages) for trade in page]
        return Filling(trades, self.missing, self._behind, self._is_other)


async def fetch_missed(api: Api, security: str, gap: Gap, sleep: Sleep = asyncio.sleep) -> Filling:
    """Return the trades of a gap, oldest first, and why some are missing.

    A server that answers before it commits (``--durability relaxed``) publishes trades that its
    history does not contain yet. So the first page has to contain the trade ``gap.proof_seq``, and
    is asked for again until it does, for as long as ``BEHIND_PATIENCE`` allows.
    """
    walk, patience = _Walk(gap), Patience(sleep)
    while not walk.is_done and walk.missing is None:
        try:
            page = await patience.page(lambda limit: api.trades_page(security, walk.before, limit))
        except ConnectError as error:
            walk.missing = f"/api/trades failed: {error}"
            break
        if walk.is_behind(page):
            if await patience.wait_behind():
                continue
            walk.accept_behind()
        walk.take(page)
        patience.went_on()
    return walk.found()
