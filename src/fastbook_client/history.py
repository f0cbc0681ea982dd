"""What a market has been: statistics, candles, trades and fills, as lists and as tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import Any, TypeVar

from fastbook_client import arguments
from fastbook_client.api import Api
from fastbook_client.tables import Library, installed, table_of
from fastbook_wire.frames import CandleView, FillView, TickerView, TradeView
from fastbook_wire.words import Interval

Row = TypeVar("Row")


class MarketHistory(ABC):
    """The queries of a market, over HTTP; `security` is the one they use by default."""

    @property
    @abstractmethod
    def security(self) -> str:
        """The security that methods use unless they are given another."""

    @property
    @abstractmethod
    def api(self) -> Api:
        """The server's HTTP interface, to which the methods below are shortcuts."""

    def _named(self, security: str | None) -> str:
        return self.security if security is None else arguments.text("security", security)

    async def ticker(self, security: str | None = None) -> TickerView:
        """Return the statistics of the last 24 hours and the best prices."""
        return await self.api.ticker(self._named(security))

    async def candles(
        self,
        security: str | None = None,
        interval: Interval = "1m",
        start: int | None = None,
        end: int | None = None,
    ) -> list[CandleView]:
        """Return the candles of ``[start, end)`` in Unix ms, oldest first; see `Api.candles`."""
        return await self.api.candles(self._named(security), interval, start, end)

    def trades_history(
        self, security: str | None = None, before: int | None = None
    ) -> AsyncIterator[TradeView]:
        """Iterate over all trades with a ``seq`` below `before` (default: all), newest first."""
        return self.api.trades_back(self._named(security), before)

    def fills_history(
        self,
        security: str | None = None,
        *,
        since: int | None = None,
        before: int | None = None,
        start: int | None = None,
        end: int | None = None,
    ) -> AsyncIterator[FillView]:
        """Iterate over everybody's fills: single matches, each at its exact price.

        They have `since` < ``fill_id`` < `before`, and were made in ``[start, end)`` in Unix ms.
        With `since` or `start` they come oldest first, otherwise newest first.
        """
        bounds = {"since": since, "before": before, "start": start, "end": end}
        return self.api.fills(self._named(security), **bounds)

    async def candles_table(
        self,
        security: str | None = None,
        interval: Interval = "1m",
        start: int | None = None,
        end: int | None = None,
        *,
        library: Library | None = None,
    ) -> Any:
        """Return `candles` as a DataFrame of polars or pandas; ``time`` is a UTC datetime.

        Without `library`, polars is preferred to pandas if both are installed. The types of the
        columns do not depend on the rows.

        Raises:
            ImportError: `library` is not installed or, without `library`, neither is; nothing has
                been requested from the server.
        """
        library = installed(library)
        found = await self.candles(security, interval, start, end)
        return table_of(CandleView, found, library)

    async def trades_table(
        self,
        security: str | None = None,
        before: int | None = None,
        count: int = 1_000,
        *,
        library: Library | None = None,
    ) -> Any:
        """Return the newest `count` trades with a ``seq`` below `before`, oldest first.

        The result is a DataFrame as from `candles_table`, which raises the same exceptions.
        """
        library = installed(library)
        found = await _first(self.trades_history(security, before), count)
        return table_of(TradeView, found[::-1], library)

    async def fills_table(
        self,
        security: str | None = None,
        *,
        since: int | None = None,
        before: int | None = None,
        start: int | None = None,
        end: int | None = None,
        count: int = 1_000,
        library: Library | None = None,
    ) -> Any:
        """Return the first `count` fills of `fills_history`, oldest first.

        Without `since` and `start` these are the newest. The result is a DataFrame as from
        `candles_table`, which raises the same exceptions.
        """
        library = installed(library)
        bounds = {"since": since, "before": before, "start": start, "end": end}
        found = await _first(self.fills_history(security, **bounds), count)
        if since is None and start is None:
            found.reverse()
        return table_of(FillView, found, library)


async def _first(rows: AsyncIterator[Row], count: int) -> list[Row]:
    """Return the first `count` rows; asks for none if that is 0."""
    found: list[Row] = []
    if arguments.integer("count", count, least=0):
        async for row in rows:
            found.append(row)
            if len(found) == count:
                break
    return found
