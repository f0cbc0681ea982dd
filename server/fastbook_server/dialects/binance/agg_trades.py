"""Aggregate trades: what one order took at one price, told as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastbook_server.dialects.binance.bar_history import BarHistory
from fastbook_server.dialects.binance.symbols import Symbol
from fastbook_server.store import FillSpan, StoredFill

PAGES_MAX = 20
"""So many pages of fills are read for one answer, at most."""


@dataclass
class AggTrade:
    """Fills of one taker at one price; ``first`` is the oldest of them."""

    first: StoredFill
    last_id: int
    quantity: int


def aggregated(fills: Sequence[StoredFill]) -> list[AggTrade]:
    """Return the aggregate trades of fills, both oldest first."""
    found: list[AggTrade] = []
    for fill in fills:
        newest = found[-1] if found else None
        if newest is not None and newest.first.agg_trade_id == fill.agg_trade_id:
            newest.last_id, newest.quantity = fill.fill_id, newest.quantity + fill.quantity
        else:
            found.append(AggTrade(fill, fill.fill_id, fill.quantity))
    return found


def told(symbol: Symbol, trade: AggTrade, scale: int = 1) -> dict[str, Any]:
    """Return what answers and events say of it; `scale` is 1 for milliseconds, 1000 for less."""
    fill = trade.first
    return {
        "a": fill.agg_trade_id,
        "p": symbol.price(fill.price),
        "q": symbol.quantity(trade.quantity),
        "f": fill.fill_id,
        "l": trade.last_id,
        "T": fill.time_ms * scale,
        "m": fill.side == "ask",
        "M": True,
    }


async def read(
    history: BarHistory,
    security: str,
    *,
    limit: int,
    from_id: int | None = None,
    start_ms: int | None = None,
    end_ms: int | None = None,
) -> list[AggTrade]:
    """Return at most `limit` aggregate trades, oldest first.

    With `from_id` or `start_ms` the first from there on, else the last; `end_ms` is inclusive.

    Raises:
        DialectRefusal: the database is away or too busy.
    """
    until_ms = None if end_ms is None else end_ms + 1
    if from_id is None and start_ms is None:
        return (await _newest(history, security, limit, until_ms))[-limit:]
    fills: list[StoredFill] = []
    since, begins = None, from_id
    for _ in range(PAGES_MAX):
        span = FillSpan(
            since=since,
            from_agg_trade=begins,
            start_ms=start_ms,
            end_ms=until_ms,
            limit=limit + 1,
        )
        found, more = await history.fills(security, span)
        fills += found
        trades = aggregated(fills)
        if not more or len(trades) > limit:
            break
        since, begins = found[-1].fill_id, None
    return trades[:limit]


async def _newest(
    history: BarHistory, security: str, limit: int, until_ms: int | None
) -> list[AggTrade]:
    fills: list[StoredFill] = []
    before = None
    for _ in range(PAGES_MAX):
        span = FillSpan(before=before, end_ms=until_ms, limit=limit + 1)
        found, more = await history.fills(security, span)
        fills = [*found, *fills]
        trades = aggregated(fills)
        if not more:
            return trades
        if len(trades) > limit:
            break
        before = found[0].fill_id
    return trades[1:]  # the oldest may have begun before the page
