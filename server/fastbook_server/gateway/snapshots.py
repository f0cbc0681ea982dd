"""Opening pairs, built once for all clients that connect within a throttle interval.

A pair is the book and the last trades as of one published ``seq``. It is cached with stampede
protection: a thousand clients that connect together cost one build.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from fastbook_server import metrics
from fastbook_server.gateway import websocket_frames
from fastbook_server.gateway.cache import kept
from fastbook_server.gateway.market_views import MarketViews


class Opening(msgspec.Struct, frozen=True):
    """The first two frames of a book's subscriber, as one piece of bytes that is ready to send.

    ``last_trade_seq`` is the newest trade it contains: later ones must follow.
    """

    seq: int
    last_trade_seq: int | None
    data: bytes


class Snapshots:
    """The opening pairs of all securities.

    A pair is served for `interval_s` seconds before it is rebuilt; 0: each client gets its own.
    """

    def __init__(self, views: MarketViews, interval_s: float) -> None:
        self._views = views
        self.builds = 0
        self.opening: Callable[[str], Awaitable[Opening]] = kept(self._build_async, interval_s)

    async def _build_async(self, security: str) -> Opening:
        return self.build(security)

    def build(self, security: str) -> Opening:
        """Build the current pair, bypassing the cache."""
        self.builds += 1
        metrics.SNAPSHOTS.inc()
        view = self._views.views[security]
        book = websocket_frames.text(view.book_frame())
        return Opening(
            view.seq, view.last_trade_seq, book + websocket_frames.text(view.last_trades_frame())
        )
