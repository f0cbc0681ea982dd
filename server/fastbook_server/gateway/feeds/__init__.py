"""The subscriptions to all channels of all securities: one feed per pair.

Feeds follow committed batches and nothing else. One without readers costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from fastbook_server import metrics
from fastbook_server.channels.trade_channel import CommittedBatch, portions
from fastbook_server.gateway.feeds.audience import Reader
from fastbook_server.gateway.feeds.book import BookFeed
from fastbook_server.gateway.feeds.candles import CandlesFeed
from fastbook_server.gateway.feeds.depth import DepthFeed
from fastbook_server.gateway.feeds.feed import Feed, Pace
from fastbook_server.gateway.feeds.fills import FillsFeed
from fastbook_server.gateway.feeds.ticker import TickerFeed
from fastbook_server.gateway.market_views import MarketViews, SecurityView
from fastbook_server.gateway.snapshots import Opening, Snapshots
from fastbook_server.values.instruments import Instrument
from fastbook_wire.words import INTERVALS, Channel

__all__ = ["Channel", "Feeds", "Pace", "Reader"]


class Feeds:
    """The feeds of all securities. `candles_max` is how many candles a joiner gets first."""

    def __init__(
        self,
        views: MarketViews,
        snapshots: Snapshots,
        pace: Pace,
        *,
        candles_max: int = 100,
    ) -> None:
        self._views = views
        self._snapshots = snapshots
        self._pace = pace
        self._candles_max = candles_max
        self._books = {s: self._book(s, view) for s, view in views.views.items()}
        self._feeds: dict[tuple[str, Channel], Feed] = {}
        # Those with readers, in the order in which they were first joined.
        self._active: dict[str, list[Feed]] = {}
        for security, view in views.views.items():
            book = self._books[security]
            others = {c: self._other(view, c) for c in get_args(Channel) if c != "book"}
            self._feeds |= {(security, c): feed for c, feed in others.items()}
            self._feeds[security, "book"] = book
            self._active[security] = [book]
        self.securities = tuple(self._books)
        self._settled_s = {p: marks.settled_ms // 1_000 for p, marks in views.watermarks.items()}

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
        if channel == "fills":
            return FillsFeed(view, self._pace)
        if channel == "ticker":
            return TickerFeed(view, self._pace)
        interval = next(i for i in INTERVALS if channel == f"candles:{i}")
        return CandlesFeed(view, interval, self._candles_max, self._pace)

    def instrument(self, security: str) -> Instrument:
        """Return the instrument of a security."""
        return self._views.views[security].instrument

    async def opening(self, security: str, channel: Channel = "book") -> Opening | None:
        """Return what `join` must be given: for a book, a pair at most a throttle interval old."""
        return await self._feeds[security, channel].opening()

    def join(
        self, reader: Reader, security: str, opening: Opening | None, channel: Channel = "book"
    ) -> None:
        """Send `reader` the opening frames of a channel, then every later frame.

        Nothing is awaited in between, so nothing is lost or doubled at the join.
        """
        feed, active = self._feeds[security, channel], self._active[security]
        feed.join(reader, opening)
        if feed not in active:
            active.append(feed)

    def leave(self, reader: Reader, security: str, channel: Channel = "book") -> None:
        """Stop sending a channel to `reader`."""
        self._feeds[security, channel].leave(reader)

    def stop(self) -> None:
        """Stop sending."""
        for feed in self._feeds.values():
            feed.stop()

    def on_batch(self, batch: CommittedBatch) -> None:
        """Follow a committed batch: trades first, then whatever its orders and its time change."""
        self._views.take_in(batch.orders)
        self._follow(batch)

    def on_large_batch(self, batch: CommittedBatch) -> Iterator[None]:
        """Do the same in steps: all that readers see changes in the last."""
        for orders in portions(batch.orders):
            self._views.take_in(orders)
            yield
        self._follow(batch)

    def _follow(self, batch: CommittedBatch) -> None:
        """Let readers see what has been taken in."""
        marks = self._views.watermarks[batch.shard]
        marks.settled_ms, marks.stored_ms = batch.settled_ms, batch.stored_ms
        changed = self._views.show()
        for security, trades, payload in self._views.on_trades(batch.trades):
            metrics.TRADES.labels(security).inc(len(trades))
            self._books[security].publish_trades(trades[-1].seq, payload)
        for security in changed:
            active = self._active[security]
            idle = [feed for feed in active if not feed.book_changed()]
            for feed in idle:
                active.remove(feed)
        # Candles and the ticker's minutes end at whole seconds.
        if batch.settled_ms // 1_000 > self._settled_s[batch.shard]:
            self._settled_s[batch.shard] = batch.settled_ms // 1_000
            for security in self._views.parts[batch.shard].securities:
                for feed in self._active[security]:
                    feed.time_passed()
