"""The server's HTTP interface: instruments, books, trades, fills, candles and tickers.

Queries change nothing, so they are retried automatically while the server is down or busy.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeVar

import aiohttp
import msgspec

from fastbook_client import arguments
from fastbook_client.backoff import Backoff
from fastbook_client.connection import in_plain_words, refused
from fastbook_client.errors import ConnectError, ConnectionClosed, Refused
from fastbook_wire.answers import (
    BookAnswer,
    CandlesAnswer,
    FillsAnswer,
    InstrumentsAnswer,
    TradesAnswer,
)
from fastbook_wire.frames import CandleView, FillView, InstrumentView, TickerView, TradeView
from fastbook_wire.words import LIMIT_MAX, Interval

PATIENCE = Backoff(first_s=0.1, max_s=2.0, attempts_max=8)
"""The default for retries: up to eight, within about ten seconds."""
BUSY = (429, 503)
TIMEOUT_S = 30.0

Answer = TypeVar("Answer")


def _check(**integers: int | None) -> None:
    for name, value in integers.items():
        if value is not None:
            arguments.integer(name, value)


class Api:
    """The ``/api`` of a server; ``base`` is its ``http://HOST:PORT``, which may change.

    Every method retries as `patience` allows while the server cannot be reached or answers 429 or
    503. `security` defaults to the server's first instrument.

    Raises:
        TypeError, ValueError: an argument has a wrong type or is no known word; nothing was sent.
        Refused: the server refused the request; in case of 429 and 503, after the last retry.
        ConnectError: the server could not be reached, or its answer was invalid.
        ConnectionClosed: the market has been closed.
    """

    def __init__(
        self, http: aiohttp.ClientSession, base: str, patience: Backoff = PATIENCE
    ) -> None:
        self._http = http
        self.base = base
        self._patience = patience

    async def instruments(self) -> tuple[InstrumentView, ...]:
        """Return all instruments."""
        return (await self._get("instruments", InstrumentsAnswer, {})).instruments

    async def book(self, security: str | None = None, depth: int | None = None) -> BookAnswer:
        """Return the aggregated book, at most `depth` (default: 50) levels per side, best first."""
        _check(depth=depth)
        return await self._get("book", BookAnswer, {"security": security, "depth": depth})

    async def ticker(self, security: str | None = None) -> TickerView:
        """Return the statistics of the last 24 hours and the best prices."""
        return await self._get("ticker", TickerView, {"security": security})

    async def trades_page(
        self, security: str | None, before: int | None = None, limit: int = LIMIT_MAX
    ) -> TradesAnswer:
        """Return the newest `limit` trades with a ``seq`` below `before`, oldest first."""
        _check(before=before, limit=limit)
        query = {"security": security, "before": before, "limit": limit}
        return await self._get("trades", TradesAnswer, query)

    async def trades_back(
        self, security: str | None = None, before: int | None = None
    ) -> AsyncIterator[TradeView]:
        """Iterate over all trades with a ``seq`` below `before` (default: all), newest first."""
        while True:
            page = await self.trades_page(security, before)
            for trade in reversed(page.trades):
                yield trade
            if not page.more or not page.trades:
                return
            before = page.trades[0].seq

    async def fills_page(
        self,
        security: str | None = None,
        *,
        since: int | None = None,
        before: int | None = None,
        start: int | None = None,
        end: int | None = None,
        limit: int = LIMIT_MAX,
    ) -> FillsAnswer:
        """Return fills with `since` < ``fill_id`` < `before`, made in ``[start, end)`` (Unix ms).

        With `since` or `start` these are the first `limit`, else the last; always oldest first.
        """
        query = {"since": since, "before": before, "start": start, "end": end, "limit": limit}
        _check(**query)
        return await self._get("fills", FillsAnswer, {"security": security} | query)

    async def fills(
        self,
        security: str | None = None,
        *,
        since: int | None = None,
        before: int | None = None,
        start: int | None = None,
        end: int | None = None,
    ) -> AsyncIterator[FillView]:
        """Iterate over the fills that `fills_page` bounds, fetching page after page.

        With `since` or `start` they come oldest first, else newest first.
        """
        ascends = since is not None or start is not None
        while True:
            page = await self.fills_page(security, since=since, before=before, start=start, end=end)
            for fill in page.fills if ascends else reversed(page.fills):
                yield fill
            if not page.more or not page.fills:
                return
            if ascends:
                since = page.fills[-1].fill_id
            else:
                before = page.fills[0].fill_id

    async def candles(
        self,
        security: str | None = None,
        interval: Interval = "1m",
        start: int | None = None,
        end: int | None = None,
    ) -> list[CandleView]:
        """Return the candles of ``[start, end)`` in Unix ms, oldest first.

        Fetches as many pages as it takes. Without `start` it returns the last 1,000 before `end`.
        """
        arguments.word("interval", interval, Interval)
        _check(start=start, end=end)
        found: list[CandleView] = []
        while True:
            page = await self._get(
                "candles",
                CandlesAnswer,
                {
                    "security": security,
                    "interval": interval,
                    "start": start,
                    "end": end,
                    "limit": LIMIT_MAX,
                },
            )
            found += page.candles
            if start is None or not page.more or not page.candles:
                return found
            start = page.candles[-1].time + 1

    async def _get(self, path: str, kind: type[Answer], query: Mapping[str, Any]) -> Answer:
        if query.get("security") is not None:
            arguments.text("security", query["security"])
        failures = 0
        while True:
            try:
                return await self._try(path, kind, query)
            except ConnectError as error:
                if isinstance(error, Refused) and error.status not in BUSY:
                    raise
                failures += 1
                delay_s = self._patience.delay_s(failures)
                if delay_s is None:
                    raise
            await asyncio.sleep(delay_s)

    async def _try(self, path: str, kind: type[Answer], query: Mapping[str, Any]) -> Answer:
        params = {name: str(value) for name, value in query.items() if value is not None}
        url = f"{self.base}/api/{path}"
        if self._http.closed:
            raise ConnectionClosed(1000, "closed by the client")
        try:
            async with asyncio.timeout(TIMEOUT_S), self._http.get(url, params=params) as answer:
                body = await answer.read()
        except TimeoutError:
            raise ConnectError(f"{url}: no answer within {TIMEOUT_S:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise ConnectError(f"{url}: {in_plain_words(error)}") from None
        if answer.status != 200:
            raise refused(answer.status, body, answer.reason)
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.MsgspecError as error:
            raise ConnectError(f"{url}: not a valid answer of /api/{path}: {error}") from None
