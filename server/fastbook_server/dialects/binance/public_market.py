"""The public side of the dialect: what has traded, what may be asked of it, and its streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from aiohttp import web

from fastbook_server.channels.trade_channel import CommittedBatch
from fastbook_server.dialects.binance.bar_history import BarHistory
from fastbook_server.dialects.binance.calls import Offer
from fastbook_server.dialects.binance.klines import Klines
from fastbook_server.dialects.binance.prices import PriceFunctions
from fastbook_server.dialects.binance.refused import DialectRefusal
from fastbook_server.dialects.binance.sockets import Sockets
from fastbook_server.dialects.binance.stream_server import StreamServer
from fastbook_server.dialects.binance.streams import MarketStreams
from fastbook_server.dialects.binance.symbols import Symbols
from fastbook_server.dialects.binance.tickers import Tickers
from fastbook_server.dialects.binance.topics import Topics
from fastbook_server.dialects.binance.trade_flow import KEPT_MS, MINUTE_MS, TradeFlow
from fastbook_server.gateway.http.history_queue import HistoryQueue
from fastbook_server.gateway.market_views import MarketViews
from fastbook_server.store import FillSpan, StoredFill, StoreUnavailable
from fastbook_server.values.clock import Clock
from fastbook_server.values.events import OrderEvent, OrderFilled


class PublicMarket:
    """Flows, klines, tickers and streams of all symbols, over views that somebody else feeds."""

    def __init__(
        self,
        symbols: Symbols,
        views: MarketViews,
        history: HistoryQueue,
        clock: Clock,
    ) -> None:
        self.topics = Topics()
        self._views = views
        self._clock = clock
        self._history = BarHistory(history)
        self._flows = {security: TradeFlow() for security in symbols.by_security}
        self._new: dict[str, list[StoredFill]] = {}  # taken in, and not told yet
        tickers = {
            security: Tickers(symbol, views.views[security], self._flows[security])
            for security, symbol in symbols.by_security.items()
        }
        klines = Klines(self._flows, self._history, lambda: views.watermarks[""].stored_ms)
        self._functions = PriceFunctions(symbols, tickers, klines, self._history)
        self.streams = MarketStreams(symbols, views, tickers, klines, self.topics, clock)

    async def start(self) -> None:
        """Read what the last day has traded.

        Raises:
            StoreUnavailable: the database is away.
        """
        now_ms = self._clock.now_ms()
        from_ms = now_ms - now_ms % MINUTE_MS - KEPT_MS
        end_ms = from_ms + 2 * KEPT_MS  # stamps may be ahead of a clock that was set back
        try:
            for security, flow in self._flows.items():
                found, _ = await self._history.fills(security, FillSpan(limit=1))
                minutes = await self._history.bars(security, "1m", from_ms, end_ms, final_ms=0)
                flow.load(minutes, found[-1] if found else None, from_ms)
        except DialectRefusal as refused:
            raise StoreUnavailable(refused.msg) from None

    def stop(self) -> None:
        """Send nothing more."""
        self.streams.stop()

    def last_price(self, security: str) -> int | None:
        """Return the price of the last fill in ticks; None if nothing has traded."""
        return self._flows[security].price

    def entries(self) -> list[Offer]:
        """Return what may be asked."""
        return self._functions.entries()

    def routes(
        self, mount: str, sockets: Sockets, is_listen_key: Callable[[str], bool]
    ) -> list[web.RouteDef]:
        """Return the routes of the streams."""
        return StreamServer(mount, self.streams, sockets, is_listen_key).routes()

    def on_batch(self, batch: CommittedBatch, changed: Iterable[str]) -> None:
        """Follow a batch that has been taken in, after the views.

        `changed` names the securities whose books did.
        """
        for _ in self.tell_fills():
            pass
        self.streams.on_batch(batch, changed)

    def tell_fills(self) -> Iterator[None]:
        """Tell the fills that have been taken in, in steps."""
        fills, self._new = self._new, {}
        yield from self.streams.on_fills(fills)

    def take_in(self, orders: Iterable[OrderEvent]) -> None:
        """Take in order events of a batch."""
        for security, of_one in _fills(orders).items():
            self._flows[security].add(of_one)
            self._new.setdefault(security, []).extend(of_one)


def _fills(events: Iterable[OrderEvent]) -> dict[str, list[StoredFill]]:
    """Return the fills of a batch by security, oldest first."""
    found: dict[str, list[StoredFill]] = {}
    for event in events:
        if isinstance(event, OrderFilled):
            fill = StoredFill(
                *(event.fill_id, event.agg_trade_id, event.seq, event.time_ms),
                *(event.taker.side, event.price, event.quantity),
            )
            found.setdefault(event.maker.instrument.security, []).append(fill)
    return found
