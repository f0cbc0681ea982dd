"""Fetches the trades that a tape lacks from ``/api/trades``, page by page, newest first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fastbook_client.api import BUSY, Api
from fastbook_client.backoff import Backoff
from fastbook_client.errors import ConnectError, Refused
from fastbook_client.tape import Filling, Gap, is_known
from fastbook_wire.answers import TradesAnswer
from fastbook_wire.frames import TradeView
from fastbook_wire.words import LIMIT_MAX

PAGE_FIRST = 100
"""Trades in the first page of a gap, as most gaps are small; each later page doubles."""
PAGE_LEAST = 10
"""Trades that a page shrinks to while requests fail: bad lines pass short answers more often."""
PATIENCE = Backoff(first_s=0.05, max_s=2.0)
"""Delays between attempts to fetch missed trades, repeated while the connection lasts."""
BEHIND_PATIENCE = Backoff(first_s=0.05, max_s=2.0, attempts_max=10)
"""Delays between looks at a history that lacks the newest trades: about eight seconds in all."""
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


async def fetch_missed(
    api: Api,
    security: str,
    gap: Gap,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> Filling:
    """Return the trades of a gap, oldest first, and why some are missing.

    A server that answers before it commits (``--durability relaxed``) publishes trades that its
    history does not contain yet. So the first page has to contain the trade ``gap.proof_seq``, and
    is asked for again until it does, for as long as ``BEHIND_PATIENCE`` allows.
    """
    walk = _Walk(gap)
    limit, failures, behind = PAGE_FIRST, 0, 0
    while not walk.is_done and walk.missing is None:
        try:
            page = await api.trades_page(security, walk.before, limit)
        except ConnectError as error:
            failures += 1
            delay_s = PATIENCE.delay_s(failures)
            if delay_s is None or (isinstance(error, Refused) and error.status not in BUSY):
                walk.missing = f"/api/trades failed: {error}"
                break
            limit = max(PAGE_LEAST, limit // 2)
            await sleep(delay_s)
            continue
        failures = 0
        if walk.is_behind(page):
            behind += 1
            delay_s = BEHIND_PATIENCE.delay_s(behind)
            if delay_s is not None:
                await sleep(delay_s)
                continue
            walk.accept_behind()
        walk.take(page)
        limit = min(2 * limit, LIMIT_MAX)
    return walk.found()
