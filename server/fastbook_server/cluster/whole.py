"""A market as its gateways see it: the shards, each with a log of its own, put together again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from fastbook_server.gateway.market_views import MarketPart
from fastbook_server.values.persisted import CancelRule, Recovered

T = TypeVar("T")


def whole(
    parts: Mapping[str, Recovered], securities: Sequence[str], rules: Mapping[str, CancelRule]
) -> Recovered:
    """Return what was recovered of all shards, with the `rules` of users, as of one shard.

    Its instruments are in the order of `securities`; number and epoch are the first shard's.
    """
    every = tuple(parts.values())
    instruments = {i.security: i for part in every for i in part.instruments}
    unlisted = {i.security: i for part in every for i in part.unlisted}
    return msgspec.structs.replace(
        every[0],
        time_ms=max(part.time_ms for part in every),
        instruments=tuple(instruments[name] for name in securities),
        seqs=_joined(part.seqs for part in every),
        open_orders=tuple(left for part in every for left in part.open_orders),
        client_orders=tuple(known for part in every for known in part.client_orders),
        last_trades=_joined(part.last_trades for part in every),
        fill_ids=_joined(part.fill_ids for part in every),
        agg_trade_ids=_joined(part.agg_trade_ids for part in every),
        last_prices=_joined(part.last_prices for part in every),
        unlisted=tuple(i for name, i in unlisted.items() if name not in instruments),
        cancel_rules=dict(rules),
        halted=frozenset().union(*(part.halted for part in every)),
    )


def market_parts(parts: Mapping[str, Recovered]) -> dict[str, MarketPart] | None:
    """Return the shards of a market that is divided, None of one that is not."""
    if len(parts) == 1:
        return None
    return {
        name: MarketPart(tuple(i.security for i in part.instruments), part.time_ms)
        for name, part in parts.items()
    }


def _joined(parts: Iterable[Mapping[str, T]]) -> dict[str, T]:
    return {name: value for part in parts for name, value in part.items()}
