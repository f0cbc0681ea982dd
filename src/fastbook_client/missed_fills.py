"""Fetches the fills that a tape lacks from ``/api/fills``, page by page, oldest first."""

from __future__ import annotations

import asyncio

from fastbook_client.api import Api
from fastbook_client.errors import ConnectError
from fastbook_client.fill_tape import FillGap, FoundFills
from fastbook_client.patience import Patience, Sleep
from fastbook_wire.answers import FillsAnswer
from fastbook_wire.frames import FillView

GAP_FILLS_MAX = 100_000
"""How many fills of a gap are fetched at most; older ones are reported as missed."""


class _Walk:
    """The pages of a gap, from the last fill of the tape, which must be in the first, onwards."""

    def __init__(self, gap: FillGap) -> None:
        self._gap = gap
        first_id = 1 if gap.last is None else gap.last.fill_id
        self.since = max(first_id - 1, gap.before_id - 1 - GAP_FILLS_MAX)
        self._fills: list[FillView] = []
        self._reasons: list[str] = []
        if self.since > first_id - 1:
            self.give_up(f"more than {GAP_FILLS_MAX} fills were missed")

    @property
    def is_done(self) -> bool:
        return self.since == self._gap.before_id - 1

    def take(self, page: FillsAnswer) -> None:
        """Add the next page."""
        if page.fills:
            self._fills += page.fills
            self.since = page.fills[-1].fill_id

    def give_up(self, reason: str) -> None:
        """Go without some of the fills."""
        self._reasons.append(reason)

    def found(self) -> FoundFills:
        """Return what all pages hold."""
        last, fills = self._gap.last, self._fills
        is_other = False
        if last is not None and fills and fills[0].fill_id == last.fill_id:
            is_other = fills[0] != last
            fills = fills if is_other else fills[1:]
        reason = "; ".join(self._reasons) or "the server's history does not go back that far"
        return FoundFills(fills, reason, is_other)


async def fetch_missed_fills(
    api: Api, security: str, gap: FillGap, sleep: Sleep = asyncio.sleep
) -> FoundFills:
    """Return the fills of a gap, oldest first, and why some are missing.

    A server that answers before it commits (``--durability relaxed``) publishes fills that its
    history does not contain yet: it is asked again for as long as ``BEHIND_PATIENCE`` allows.
    """
    walk, patience = _Walk(gap), Patience(sleep)
    while not walk.is_done:
        try:
            page = await patience.page(
                lambda limit: api.fills_page(
                    security, since=walk.since, before=gap.before_id, limit=limit
                )
            )
        except ConnectError as error:
            walk.give_up(f"/api/fills failed: {error}")
            break
        walk.take(page)
        if page.more and page.fills:
            patience.went_on()
        elif not walk.is_done and not await patience.wait_behind():
            walk.give_up(f"the server's history still lacks fill {gap.before_id - 1}")
            break
    return walk.found()
