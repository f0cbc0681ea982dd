"""Opening pairs, built once for everybody who connects within a throttle interval.

The pair is the book and the last trades of one published ``seq``. It is kept in a cache with
stampede protection: a thousand clients who connect together cost one build.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from fastbook_server import metrics
from fastbook_server.gateway import rfc6455
from fastbook_server.gateway.cache import kept
from fastbook_server.gateway.views import MarketData


class Opening(msgspec.Struct, frozen=True):
    """What a client of a security gets first: both frames in one piece of bytes, ready to send.

    ``last_trade_seq`` is the newest trade it can know of: what was published later must follow.
    """

    seq: int
    last_trade_seq: int | None
    data: bytes


class Snapshots:
    """The opening pairs of all securities.

    `interval_s` is how long a pair is served before it is built anew; 0: built for everyone.
    """

    def __init__(self, market_data: MarketData, interval_s: float) -> None:
        self._market_data = market_data
        self.builds = 0
        self.opening: Callable[[str], Awaitable[Opening]] = kept(self._build_async, interval_s)

    async def _build_async(self, security: str) -> Opening:
        return self.build(security)

    def build(self, security: str) -> Opening:
        """Return the pair as of now, past the cache."""
        self.builds += 1
        metrics.SNAPSHOTS.inc()
        view = self._market_data.views[security]
        book = rfc6455.text(view.book_frame())
        return Opening(view.seq, view.last_trade_seq, book + rfc6455.text(view.last_trades_frame()))
