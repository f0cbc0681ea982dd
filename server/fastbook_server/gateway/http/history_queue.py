"""The queue in front of the database's history: a few queries at a time, and a bounded wait.

Commits have a connection of their own and never wait for queries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from fastbook_server import metrics
from fastbook_server.gateway.market_views import Past
from fastbook_server.gateway.trade_stats import kept_of
from fastbook_server.store import (
    Amendment,
    ClientOrder,
    FillSpan,
    History,
    OrderSpan,
    OwnFill,
    StoredFill,
    StoreUnavailable,
)
from fastbook_server.values.candles import Candle
from fastbook_server.values.events import Traded
from fastbook_server.values.instruments import Instrument
from fastbook_wire.words import INTERVALS, Interval

ANSWER_S_MAX = 10.0
"""A query that takes longer, its wait in the queue included, counts as a database that is away."""

_ALL = 2**31 - 1

T = TypeVar("T")
S = TypeVar("S", FillSpan, OrderSpan)


class HistoryOverloaded(Exception):
    """The queue is full."""


class HistoryQueue:
    """A `History` behind a queue: `queries_max` run at a time and at most `waiting_max` wait."""

    def __init__(self, history: History, *, queries_max: int, waiting_max: int) -> None:
        self._history = history
        self._free = asyncio.Semaphore(queries_max)
        self._waiting_max = waiting_max
        self._waiting = 0

    async def trades(
        self, security: str, *, before_seq: int | None, limit: int
    ) -> tuple[Sequence[Traded], bool]:
        """Return the newest trades before a ``seq``, oldest first, and whether older ones exist.

        Raises:
            HistoryOverloaded: the queue is full.
            StoreUnavailable: the database is away.
        """
        found = await self._ask(
            lambda: self._history.trades(security, before_seq=before_seq, limit=limit + 1)
        )
        return found[-limit:], len(found) > limit

    async def candles(
        self,
        security: str,
        interval: Interval,
        *,
        start_ms: int | None,
        end_ms: int | None,
        limit: int,
    ) -> tuple[Sequence[Candle], bool]:
        """Return candles, oldest first, and whether more exist in the same direction.

        With `start_ms` the first ones from then on, else the last ones before `end_ms`. Raises like
        `trades`.
        """
        found = await self._ask(
            lambda: self._history.candles(
                security, interval, start_ms=start_ms, end_ms=end_ms, limit=limit + 1
            )
        )
        return found[:limit] if start_ms is not None else found[-limit:], len(found) > limit

    async def fills(self, security: str, span: FillSpan) -> tuple[Sequence[StoredFill], bool]:
        """Return fills, oldest first, and whether more exist in the span's direction.

        Raises like `trades`.
        """
        found = await self._ask(lambda: self._history.fills(security, _one_more(span)))
        return _cut(found, span), len(found) > span.limit

    async def own_fills(
        self, user_id: str, security: str, span: FillSpan
    ) -> tuple[Sequence[OwnFill], bool]:
        """Return a user's fills like `fills`."""
        found = await self._ask(lambda: self._history.own_fills(user_id, security, _one_more(span)))
        fill_ids = sorted({own.fill.fill_id for own in found})
        wanted = frozenset(_cut(fill_ids, span))
        return [own for own in found if own.fill.fill_id in wanted], len(fill_ids) > span.limit

    async def ended_orders(
        self, user_id: str, security: str, span: OrderSpan
    ) -> tuple[Sequence[ClientOrder], bool]:
        """Return a user's ended orders like `fills`."""
        found = await self._ask(
            lambda: self._history.ended_orders(user_id, security, _one_more(span))
        )
        return _cut(found, span), len(found) > span.limit

    async def order(self, order_id: str) -> ClientOrder | None:
        """Return the state of an ended order, or None if there is none. Raises like `trades`."""
        return await self._ask(lambda: self._history.order(order_id))

    async def amendments(self, order_id: str) -> Sequence[Amendment]:
        """Return how a user has changed an order, oldest first. Raises like `trades`."""
        return await self._ask(lambda: self._history.amendments(order_id))

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        if self._free.locked() and self._waiting >= self._waiting_max:
            raise HistoryOverloaded(f"history_waiting_max {self._waiting_max} reached")
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                return await self._in_turn(question)
        except TimeoutError:
            raise StoreUnavailable(f"no answer within {ANSWER_S_MAX:.0f} s") from None

    async def _in_turn(self, question: Callable[[], Awaitable[T]]) -> T:
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        try:
            metrics.HISTORY_QUERIES.inc()
            found = await question()
            await asyncio.sleep(0)  # what is in memory is found at once: others have their turn
            return found
        finally:
            self._free.release()

    async def close(self) -> None:
        """Release the connections."""
        await self._history.close()


async def recent(
    history: History, instruments: Sequence[Instrument], *, candles: int, fills: int
) -> Past:
    """Return the last candles of each security and interval, and its last fills (0: all).

    Raises:
        StoreUnavailable: the database is away.
    """
    candles_of: dict[str, dict[Interval, Sequence[Candle]]] = {}
    fills_of: dict[str, Sequence[StoredFill]] = {}
    for instrument in instruments:
        security = instrument.security
        candles_of[security] = {
            interval: await history.candles(
                security, interval, start_ms=None, end_ms=None, limit=kept_of(interval, candles)
            )
            for interval in INTERVALS
        }
        fills_of[security] = await history.fills(security, FillSpan(limit=fills or _ALL))
    return Past(candles_of, fills_of)


def _one_more(span: S) -> S:
    return msgspec.structs.replace(span, limit=span.limit + 1)


def _cut(found: Sequence[T], span: FillSpan | OrderSpan) -> Sequence[T]:
    """Drop the one row too many that was asked for to see whether there are more."""
    return found[: span.limit] if span.ascends else found[-span.limit :]
