"""Who follows which channel of which security: one registry, one feed per pair.

The feeds are fed by the channels of the matching server, so they know what has been committed and
nothing else. One that nobody follows costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from fastbook_server import metrics
from fastbook_server.channels.channel import Channels
from fastbook_server.gateway.feeds.audience import Reader
from fastbook_server.gateway.feeds.book import BookFeed
from fastbook_server.gateway.feeds.candles import CandlesFeed
from fastbook_server.gateway.feeds.depth import DepthFeed
from fastbook_server.gateway.feeds.feed import Feed, Pace
from fastbook_server.gateway.feeds.ticker import TickerFeed
from fastbook_server.gateway.snapshots import Opening, Snapshots
from fastbook_server.gateway.views import MarketData, SecurityView
from fastbook_server.values.events import ExchangeEvent, Traded
from fastbook_wire.words import INTERVALS, Channel

__all__ = ["Channel", "Feeds", "Pace", "Reader"]


class Feeds:
    """The feeds of all securities. `candles_max` is how many candles a joiner gets at first."""

    def __init__(
        self,
        market_data: MarketData,
        snapshots: Snapshots,
        channels: Channels,
        pace: Pace,
        *,
        candles_max: int = 100,
    ) -> None:
        self._market_data = market_data
        self._snapshots = snapshots
        self._pace = pace
        self._candles_max = candles_max
        self._books = {s: self._book(s, view) for s, view in market_data.views.items()}
        self._feeds: dict[tuple[str, Channel], Feed] = {}
        # Those that want to hear of changes, in the order in which they were followed first.
        self._active: dict[str, list[Feed]] = {}
        for security, view in market_data.views.items():
            book = self._books[security]
            others = {c: self._other(view, c) for c in get_args(Channel) if c != "book"}
            self._feeds |= {(security, c): feed for c, feed in others.items()}
            self._feeds[security, "book"] = book
            self._active[security] = [book]
        self.securities = tuple(self._books)
        self._changed: set[str] = set()
        channels.orders.subscribe(self._on_orders)
        channels.trades.subscribe(self._on_trades)
        channels.batch_ends.subscribe(self._on_batch_end)

    def _book(self, security: str, view: SecurityView) -> BookFeed:
        return BookFeed(
            view,
            self._pace,
            kept=lambda: self._snapshots.opening(security),
            build=lambda: self._snapshots.build(security),
        )

    def _other(self, view: SecurityView, channel: Channel) -> Feed:
        if channel == "depth":
            return DepthFeed(view, self._pace)
        if channel == "ticker":
            return TickerFeed(view, self._pace)
        interval = next(i for i in INTERVALS if channel == f"candles:{i}")
        return CandlesFeed(view, interval, self._candles_max, self._pace)

    async def opening(self, security: str, channel: Channel = "book") -> Opening | None:
        """Return what `join` is to be given: of a book, a pair at most a throttle interval old."""
        return await self._feeds[security, channel].opening()

    def join(
        self, reader: Reader, security: str, opening: Opening | None, channel: Channel = "book"
    ) -> None:
        """Send `reader` the first frames of a channel, then everything that follows them.

        Nothing is awaited in between, so nothing is lost or doubled at the join.
        """
        feed, active = self._feeds[security, channel], self._active[security]
        feed.join(reader, opening)
        if feed not in active:
            active.append(feed)

    def leave(self, reader: Reader, security: str, channel: Channel = "book") -> None:
        """Send `reader` nothing more of a channel."""
        self._feeds[security, channel].leave(reader)

    def stop(self) -> None:
        """Publish nothing more."""
        for feed in self._feeds.values():
            feed.stop()

    def _on_orders(self, events: Sequence[ExchangeEvent]) -> None:
        self._changed |= self._market_data.on_orders(events)

    def _on_trades(self, trades: Sequence[Traded]) -> None:
        for trade in trades:
            metrics.TRADES.labels(trade.order.instrument.security).inc()
        for security, seq, payload in self._market_data.on_trades(trades):
            self._books[security].publish_trades(seq, payload)

    def _on_batch_end(self, _mark: None) -> None:
        changed, self._changed = self._changed, set()
        for security in changed:
            active = self._active[security]
            idle = [feed for feed in active if not feed.book_changed()]
            for feed in idle:
                active.remove(feed)
