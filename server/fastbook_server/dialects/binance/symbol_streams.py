"""The streams of one symbol: what each tells, and when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fastbook_server.dialects.binance import agg_trades, klines
from fastbook_server.dialects.binance.bars import Bar
from fastbook_server.dialects.binance.live_kline import LiveKline
from fastbook_server.dialects.binance.stream_names import LEVELS
from fastbook_server.dialects.binance.symbols import Symbol
from fastbook_server.dialects.binance.tickers import WINDOWS, Tickers
from fastbook_server.dialects.binance.topics import Make, Topics
from fastbook_server.gateway.market_views import ASK, BID, SecurityView
from fastbook_server.values.persisted import StoredFill

Levels = list[tuple[str, str]]

PORTION = 250
"""Fills of a batch that are told at once: a millisecond or two."""


class Depths:
    """The changes of one symbol's book at one pace, and its best levels.

    ``U`` of an event is one more than ``u`` of the one before, whoever has listened to it: both
    are the ``seq`` of the book at its flush. Nothing is told while no level has changed.
    """

    def __init__(self, symbol: Symbol, view: SecurityView, topics: Topics, pace: str) -> None:
        self._symbol = symbol
        self._view = view
        self._topics = topics
        low = symbol.name.lower()
        slow = pace == "1000ms"
        self._names = [f"{low}@depth@{pace}", *([f"{low}@depth"] if slow else [])]
        self._partial = {
            levels: [f"{low}@depth{levels}@{pace}", *([f"{low}@depth{levels}"] if slow else [])]
            for levels in LEVELS
        }
        self._shown: dict[int, tuple[Levels, Levels]] = {}
        self._changed: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self._u = view.seq

    def change(self, asks: Sequence[tuple[int, int]], bids: Sequence[tuple[int, int]]) -> None:
        """Note changed levels, (price in ticks, quantity in lots), until the next flush."""
        self._changed[0].update(asks)
        self._changed[1].update(bids)

    def flush(self, now_ms: int) -> None:
        """Tell what has changed since the last flush."""
        asks, bids = self._changed
        if not asks and not bids:
            return
        self._changed = ({}, {})
        first, self._u = self._u + 1, self._view.seq
        self._tell(self._names, self._diff(now_ms, first, asks, bids))
        for count, names in self._partial.items():
            if any(map(self._topics.heard, names)):
                top = self._top(count)
                if self._shown.get(count) != top:
                    self._shown[count] = top
                    self._tell(names, self._partial_event(self._view.seq, *top))
            else:
                self._shown.pop(count, None)

    def _tell(self, names: list[str], make: Make) -> None:
        for name in names:
            self._topics.tell(name, make)

    def _diff(self, now_ms: int, first: int, asks: dict[int, int], bids: dict[int, int]) -> Make:
        symbol, last = self._symbol, self._u

        def make(scale: int) -> dict[str, Any]:
            return {
                "e": "depthUpdate",
                "E": now_ms * scale,
                "s": symbol.name,
                "U": first,
                "u": last,
                "b": _texts(symbol, sorted(bids.items(), reverse=True)),
                "a": _texts(symbol, sorted(asks.items())),
            }

        return make

    def partial(self, count: int) -> Make:
        """Return what the best `count` levels of each side are now."""
        return self._partial_event(self._view.seq, *self._top(count))

    def _top(self, count: int) -> tuple[Levels, Levels]:
        depth = self._view.depth
        return (
            _texts(self._symbol, depth.top(BID, count)),
            _texts(self._symbol, depth.top(ASK, count)),
        )

    def _partial_event(self, seq: int, bids: Levels, asks: Levels) -> Make:
        return lambda _: {"lastUpdateId": seq, "bids": bids, "asks": asks}


class SymbolStreams:
    """All streams of one symbol. It follows its view, which records what changes."""

    def __init__(
        self, symbol: Symbol, view: SecurityView, tickers: Tickers, topics: Topics
    ) -> None:
        low = symbol.name.lower()
        self.symbol = symbol
        self.tickers = tickers
        self.live: dict[str, LiveKline] = {}  # by the name of the stream
        self.traded = self.dirty = False  # since the last second
        self._view = view
        self._topics = topics
        self._fast = Depths(symbol, view, topics, "100ms")
        self._slow = Depths(symbol, view, topics, "1000ms")
        self._best = self._best_now()
        self._trade, self._agg_trade = f"{low}@trade", f"{low}@aggTrade"
        self._book_ticker = f"{low}@bookTicker"
        self._low = low
        view.record_changes(True)

    # ---- what happens -------------------------------------------------------------------------

    def on_fills(self, fills: Sequence[StoredFill], now_ms: int) -> Iterator[None]:
        """Tell the trades of a batch, and follow them, in steps."""
        self.traded = self.dirty = True
        symbol, topics = self.symbol, self._topics
        for name, live in tuple(self.live.items()):  # who comes later knows these fills
            for start in range(0, len(fills), PORTION):
                for bar, end_ms in live.add(fills[start : start + PORTION]):
                    self._tell_kline(name, bar, end_ms, now_ms, closed=True)
                yield
        if topics.heard(self._trade):
            for n, fill in enumerate(fills):
                topics.tell(self._trade, _trade(symbol, fill, now_ms))
                if n % PORTION == PORTION - 1:
                    yield
        if topics.heard(self._agg_trade):
            for n, trade in enumerate(agg_trades.aggregated(fills)):
                topics.tell(self._agg_trade, _agg_trade(symbol, trade, now_ms))
                if n % PORTION == PORTION - 1:
                    yield

    def on_book(self) -> None:
        """Note the levels that a batch has changed; tell a change of the best ones.

        They are noted batch by batch: a level that is again as it was at the last flush must be
        told to whoever took a snapshot in between.
        """
        asks, bids = self._view.take_changes()
        self._fast.change(asks, bids)
        self._slow.change(asks, bids)
        best = self._best_now()
        if best != self._best:
            self._best, self.dirty = best, True
            if self._topics.heard(self._book_ticker):
                self._topics.tell(self._book_ticker, self._book_event())

    def flush(self, now_ms: int, *, slow: bool) -> None:
        """Tell what has changed in the book: every 100 ms, and every second for others."""
        self._fast.flush(now_ms)
        if slow:
            self._slow.flush(now_ms)

    def second_passed(self, settled_ms: int) -> None:
        """Tell klines and tickers that have changed; end klines whose time is over."""
        for name, live in self.live.items():
            for bar, end_ms in live.advance(settled_ms):
                self._tell_kline(name, bar, end_ms, settled_ms, closed=True)
            if (changed := live.take_change()) is not None:
                self._tell_kline(name, *changed, settled_ms, closed=False)
        if self.dirty:
            for what in ("ticker", *(f"ticker_{window}" for window in WINDOWS)):
                self._tell_if_heard(what, settled_ms)
        if self.traded:
            for what in ("miniTicker", "avgPrice"):
                self._tell_if_heard(what, settled_ms)

    def _tell_if_heard(self, what: str, now_ms: int) -> None:
        name = f"{self._low}@{what}"
        if self._topics.heard(name):
            self._topics.tell(name, self.ticker(what, now_ms))

    # ---- what is told -------------------------------------------------------------------------

    def state(self, what: str, now_ms: int) -> Make | None:
        """Return what a stream of states begins with; None if it tells events, or of nothing."""
        if what == "bookTicker":
            return None if self._best_now() == (None, None) else self._book_event()
        if what.startswith("depth") and (levels := what[5:].partition("@")[0]):
            return self._fast.partial(int(levels))
        if what.startswith(("ticker", "miniTicker", "avgPrice")) and self.tickers.have_traded:
            return self.ticker(what, now_ms)
        return None

    def ticker(self, what: str, now_ms: int) -> Make:
        """Return a ticker as of now."""
        tickers = self.tickers
        if what == "ticker":
            return lambda scale: tickers.day_event(now_ms, scale)
        if what == "miniTicker":
            return lambda scale: tickers.mini_event(now_ms, scale)
        if what == "avgPrice":
            return lambda scale: tickers.average_event(now_ms, scale)
        window = what.removeprefix("ticker_")
        return lambda scale: tickers.window_event(window, now_ms, scale)

    def kline(self, name: str, now_ms: int) -> Make | None:
        """Return the open kline of a stream; None before the first trade."""
        live = self.live.get(name)
        if live is None or live.now is None:
            return None
        return self._kline_event(name, *live.now, now_ms, closed=False)

    def _tell_kline(self, name: str, bar: Bar, end_ms: int, now_ms: int, *, closed: bool) -> None:
        self._topics.tell(name, self._kline_event(name, bar, end_ms, now_ms, closed=closed))

    def _kline_event(self, name: str, bar: Bar, end_ms: int, now_ms: int, *, closed: bool) -> Make:
        symbol, interval = self.symbol, name.partition("@kline_")[2].partition("@")[0]
        kline = klines.told(symbol, interval, bar, end_ms, closed=closed)

        def make(scale: int) -> dict[str, Any]:
            times = {"t": kline["t"] * scale, "T": end_ms * scale - 1}
            return {"e": "kline", "E": now_ms * scale, "s": symbol.name, "k": kline | times}

        return make

    def _book_event(self) -> Make:
        event = self.tickers.book_event()
        return lambda _: event

    def _best_now(self) -> tuple[object, object]:
        depth = self._view.depth
        return depth.best(BID), depth.best(ASK)


def _texts(symbol: Symbol, levels: Sequence[tuple[int, int]]) -> Levels:
    return [(symbol.price(price), symbol.quantity(quantity)) for price, quantity in levels]


def _trade(symbol: Symbol, fill: StoredFill, now_ms: int) -> Make:
    return lambda scale: {
        "e": "trade",
        "E": now_ms * scale,
        "s": symbol.name,
        "t": fill.fill_id,
        "p": symbol.price(fill.price),
        "q": symbol.quantity(fill.quantity),
        "T": fill.time_ms * scale,
        "m": fill.side == "ask",
        "M": True,
    }


def _agg_trade(symbol: Symbol, trade: agg_trades.AggTrade, now_ms: int) -> Make:
    return lambda scale: {
        "e": "aggTrade",
        "E": now_ms * scale,
        "s": symbol.name,
        **agg_trades.told(symbol, trade, scale),
    }
