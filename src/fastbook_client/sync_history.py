"""The history of a blocking market: statistics, candles, trades and fills."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar

from fastbook_client.market import Market
from fastbook_client.tables import Library
from fastbook_wire.frames import CandleView, FillView, TickerView, TradeView
from fastbook_wire.words import Interval

Item = TypeVar("Item")
Result = TypeVar("Result")


class BlockingHistory(ABC):
    """The queries of `fastbook_client.history.MarketHistory`, without ``async``."""

    _market: Market

    @abstractmethod
    def _wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run `work` where the market lives; return its result."""

    def ticker(self, security: str | None = None) -> TickerView:
        """Return the statistics of the last 24 hours and the best prices."""
        return self._wait(self._market.ticker(security))

    def candles(
        self,
        security: str | None = None,
        interval: Interval = "1m",
        start: int | None = None,
        end: int | None = None,
    ) -> list[CandleView]:
        """Return the candles of ``[start, end)`` in Unix ms, oldest first."""
        return self._wait(self._market.candles(security, interval, start, end))

    def trades_history(
        self, security: str | None = None, before: int | None = None
    ) -> Iterator[TradeView]:
        """Iterate over all trades with a ``seq`` below `before` (default: all), newest first."""
        return self._each(self._market.trades_history(security, before))

    def fills_history(
        self,
        security: str | None = None,
        *,
        since: int | None = None,
        before: int | None = None,
        start: int | None = None,
        end: int | None = None,
    ) -> Iterator[FillView]:
        """Iterate over everybody's fills; see `fastbook_client.Market.fills_history`."""
        bounds = {"since": since, "before": before, "start": start, "end": end}
        return self._each(self._market.fills_history(security, **bounds))

    def candles_table(
        self,
        security: str | None = None,
        interval: Interval = "1m",
        start: int | None = None,
        end: int | None = None,
        *,
        library: Library | None = None,
    ) -> Any:
        """Return candles as a DataFrame; see `fastbook_client.Market.candles_table`."""
        return self._wait(
            self._market.candles_table(security, interval, start, end, library=library)
        )

    def trades_table(
        self,
        security: str | None = None,
        before: int | None = None,
        count: int = 1_000,
        *,
        library: Library | None = None,
    ) -> Any:
        """Return the newest trades as a DataFrame; see `fastbook_client.Market.trades_table`."""
        return self._wait(self._market.trades_table(security, before, count, library=library))

    def fills_table(
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
        """Return fills as a DataFrame; see `fastbook_client.Market.fills_table`."""
        bounds = {"since": since, "before": before, "start": start, "end": end}
        work = self._market.fills_table(security, **bounds, count=count, library=library)
        return self._wait(work)

    def _each(self, found: AsyncIterator[Item]) -> Iterator[Item]:
        while True:
            try:
                yield self._wait(_advance(found))
            except StopAsyncIteration:
                return


async def _advance(found: AsyncIterator[Item]) -> Item:
    return await anext(found)
