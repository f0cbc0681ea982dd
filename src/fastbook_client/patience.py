"""Asks for the pages of a history with patience: again while the server is away, busy or behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastbook_client.api import BUSY
from fastbook_client.backoff import Backoff
from fastbook_client.errors import ConnectError, Refused
from fastbook_wire.words import LIMIT_MAX

PAGE_FIRST = 100
"""Rows of the first page of a gap, as most gaps are small; each later page doubles."""
PAGE_LEAST = 10
"""Rows that a page shrinks to while requests fail: bad lines pass short answers more often."""
PATIENCE = Backoff(first_s=0.05, max_s=2.0)
"""Delays between attempts to fetch a page, repeated while the connection lasts."""
BEHIND_PATIENCE = Backoff(first_s=0.05, max_s=2.0, attempts_max=10)
"""Delays between looks at a history that lacks the newest rows: about eight seconds in all."""

Sleep = Callable[[float], Awaitable[object]]
Page = TypeVar("Page")


class Patience:
    """The state of one walk through a history: the size of the next page, and the delays so far."""

    def __init__(self, sleep: Sleep = asyncio.sleep) -> None:
        self._sleep = sleep
        self._limit = PAGE_FIRST
        self._behind = 0

    async def page(self, ask: Callable[[int], Awaitable[Page]]) -> Page:
        """Return the page that `ask` returns for a number of rows, however many attempts it takes.

        Raises:
            ConnectError: another attempt would be pointless.
        """
        failures = 0
        while True:
            try:
                return await ask(self._limit)
            except ConnectError as error:
                failures += 1
                delay_s = PATIENCE.delay_s(failures)
                if delay_s is None or (isinstance(error, Refused) and error.status not in BUSY):
                    raise
            self._limit = max(PAGE_LEAST, self._limit // 2)
            await self._sleep(delay_s)

    def went_on(self) -> None:
        """Ask for more rows the next time."""
        self._limit = min(2 * self._limit, LIMIT_MAX)

    async def wait_behind(self) -> bool:
        """Give a history that is behind some time; return False if it has had enough."""
        self._behind += 1
        delay_s = BEHIND_PATIENCE.delay_s(self._behind)
        if delay_s is None:
            return False
        await self._sleep(delay_s)
        return True
