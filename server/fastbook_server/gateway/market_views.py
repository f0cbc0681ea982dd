"""The public view of each security, built from committed batches and from nothing else.

The matcher's books are out of reach: a view is fed by the trade channel, as it would be on another
machine, so book, trades and database agree at every ``seq``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import assert_never

import msgspec

import fastbook
from fastbook_server.gateway import encode, reports
from fastbook_server.gateway.trade_stats import SECOND_MS, TradeStats
from fastbook_server.store.open_orders import levels_of
from fastbook_server.values._unwatched import unwatched
from fastbook_server.values.candles import Candle
from fastbook_server.values.events import (
    Order,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderEvent,
    OrderFilled,
    OrderHeld,
    OrderRested,
    OrderTriggered,
    Traded,
)
from fastbook_server.values.instruments import Instrument
from fastbook_server.values.persisted import Recovered, StoredFill
from fastbook_wire.frames import TickerView
from fastbook_wire.words import Interval, SideName

BID, ASK = fastbook.Side.BID, fastbook.Side.ASK
_SIDES: dict[SideName, fastbook.Side] = {"bid": BID, "ask": ASK}
Levels = list[tuple[int, int]]


class Past(msgspec.Struct, frozen=True):
    """What was before the start, oldest first: candles by security and interval, last fills."""

    candles: Mapping[str, Mapping[Interval, Iterable[Candle]]] = {}
    fills: Mapping[str, Iterable[StoredFill]] = {}


class Watermarks:
    """How far the matcher's time is settled, as of its last message; see `CommittedBatch`."""

    __slots__ = ("settled_ms", "stored_ms")

    def __init__(self, time_ms: int) -> None:
        self.settled_ms = self.stored_ms = time_ms


class MarketPart(msgspec.Struct, frozen=True):
    """The securities of a shard, and the time of its last message."""

    securities: tuple[str, ...]
    time_ms: int


class SecurityView:
    """The depth, the last trades and the statistics of one security, as of ``seq``.

    ``rows_max`` and ``trades_max`` (fills, too) bound what frames show; 0 shows all.
    """

    def __init__(
        self,
        instrument: Instrument,
        *,
        seq: int,
        time_ms: int,
        trades: Iterable[Traded],
        fills: Iterable[StoredFill],
        stats: TradeStats,
        watermarks: Watermarks,
        rows_max: int,
        trades_max: int,
    ) -> None:
        tick, lot = instrument.tick, instrument.lot
        self.instrument = instrument
        self.seq = seq
        self.time_ms = time_ms
        self.depth = fastbook.Depth(
            (tick.numerator, tick.denominator), (lot.numerator, lot.denominator)
        )
        self.trades: deque[Traded] = deque(trades, maxlen=trades_max or None)
        self.last_trade_seq = self.trades[-1].seq if self.trades else None
        self.fills: deque[StoredFill] = deque(fills, maxlen=trades_max or None)
        self.stats = stats
        self.watermarks = watermarks
        self.records_changes = False
        self._changed_asks: dict[int, int] = {}  # the quantities before, by price
        self._changed_bids: dict[int, int] = {}
        self._new_fills: list[OrderFilled] | None = None  # None: nobody takes them
        self._next_asks: dict[int, int] = {}  # taken in, and not shown yet
        self._next_bids: dict[int, int] = {}
        self._next_fills: list[OrderFilled] = unwatched()
        self._next_seconds: list[Candle] = []  # what these add up to
        self._next_seq, self._next_time_ms = seq, time_ms
        self._rows_max = rows_max

    def record_changes(self, wanted: bool) -> None:
        """Start or stop recording changed levels; either way forget those recorded so far."""
        self._changed_asks.clear()
        self._changed_bids.clear()
        self.records_changes = wanted

    def record_fills(self, wanted: bool) -> None:
        """Start or stop recording fills for `take_fills`."""
        self._new_fills = [] if wanted else None

    def advance(self, seq: int, time_ms: int) -> None:
        """Take in a command that has changed the security."""
        self._next_seq = seq
        self._next_time_ms = time_ms

    def add_fill(self, event: OrderFilled) -> None:
        """Take in a fill."""
        self._next_fills.append(event)
        seconds, time_ms = self._next_seconds, event.time_ms
        price, quantity = event.price, event.quantity
        start_ms = time_ms - time_ms % SECOND_MS
        last = seconds[-1] if seconds else None
        if last is not None and last.start_ms == start_ms:
            last.add(price, quantity, event.n == 0)
        else:
            seconds.append(
                Candle(start_ms, price, price, price, price, quantity, int(event.n == 0))
            )

    def set_level(self, side: fastbook.Side, price: int, quantity: int) -> None:
        """Take in the quantity of a price level in lots; 0 removes it."""
        levels = self._next_asks if side is ASK else self._next_bids
        levels[price] = quantity

    def show(self) -> bool:
        """Let readers see what has been taken in; return whether the depth has changed."""
        self.seq, self.time_ms = self._next_seq, self._next_time_ms
        if self._next_fills:
            self._show_fills()
        has_changed = bool(self._next_asks or self._next_bids)
        self._show_levels(ASK, self._next_asks, self._changed_asks)
        self._show_levels(BID, self._next_bids, self._changed_bids)
        return has_changed

    def _show_fills(self) -> None:
        kept = self.fills.maxlen
        fills = self._next_fills
        for second in self._next_seconds:
            self.stats.merge(second)
        self._next_seconds.clear()
        self.fills.extend([stored_fill(event) for event in (fills[-kept:] if kept else fills)])
        if self._new_fills:
            self._new_fills += fills
        elif self._new_fills is not None:
            self._new_fills = fills
        self._next_fills = unwatched()

    def _show_levels(
        self, side: fastbook.Side, levels: dict[int, int], changed: dict[int, int]
    ) -> None:
        depth, records = self.depth, self.records_changes
        for price, quantity in levels.items():
            if records and price not in changed:
                changed[price] = depth.get(side, price)
            depth.set(side, price, quantity)
        levels.clear()

    def take_fills(self) -> list[OrderFilled]:
        """Return the fills that were recorded since the last call."""
        taken, self._new_fills = self._new_fills or [], []
        return taken

    def take_changes(self) -> tuple[Levels, Levels]:
        """Return the asks and the bids that changed since the last call, best first.

        Each is (price in ticks, quantity in lots). A level that has its old quantity again has not
        changed.
        """
        asks = self._taken(ASK, self._changed_asks)
        bids = self._taken(BID, self._changed_bids)
        return sorted(asks), sorted(bids, reverse=True)

    def _taken(self, side: fastbook.Side, changed: dict[int, int]) -> Levels:
        get = self.depth.get
        levels = [(p, now) for p, before in changed.items() if (now := get(side, p)) != before]
        changed.clear()
        return levels

    def ticker(self) -> TickerView:
        """Return the 24 hours before the settled time, and the best prices."""
        now_ms = self.watermarks.settled_ms
        self.stats.flush()
        day, last = self.stats.day, self.stats.last
        day.advance(now_ms)
        bid, ask = self.depth.best(BID), self.depth.best(ASK)
        number = self.instrument.tick.number
        open_, high, low = day.open, day.high, day.low
        return TickerView(
            security=self.instrument.security,
            seq=self.seq,
            time=now_ms,
            open=None if open_ is None else number(open_),
            high=None if high is None else number(high),
            low=None if low is None else number(low),
            last=None if last is None else number(last),
            volume=self.instrument.lot.number(day.volume),
            change=None if last is None or open_ is None else number(last - open_),
            best_bid=None if bid is None else number(bid[0]),
            best_ask=None if ask is None else number(ask[0]),
        )

    def book_frame(self) -> bytes:
        """Return the current ``aggOrderBook`` frame."""
        return encode.agg_order_book(
            self.instrument.security,
            self.seq,
            self.time_ms,
            self.depth.rows_json(ASK, self._rows_max),
            self.depth.rows_json(BID, self._rows_max),
        )

    def last_trades_frame(self) -> bytes:
        """Return the opening ``trades`` frame: the last n trades, with the ``seq`` of the book."""
        return reports.trades(self.instrument.security, self.seq, None, self.trades)

    def add_trades(self, trades: Sequence[Traded]) -> bytes:
        """Append new trades; return their live frame."""
        frame = reports.trades(
            self.instrument.security, trades[-1].seq, self.last_trade_seq, trades
        )
        self.trades.extend(trades)
        self.last_trade_seq = trades[-1].seq
        return frame


def stored_fill(event: OrderFilled) -> StoredFill:
    """Return a fill as it is remembered."""
    return StoredFill(
        event.fill_id,
        event.agg_trade_id,
        event.seq,
        event.time_ms,
        event.taker.side,
        event.price,
        event.quantity,
    )


class MarketViews:
    """The public views of all securities, and how far their time is settled.

    `past` holds candles and fills until the start, of which `candles_max` and `trades_max` are kept
    in memory. The time of each of the `parts` is settled by itself; by default there is one.
    """

    def __init__(
        self,
        recovered: Recovered,
        past: Past = Past(),  # noqa: B008 (frozen)
        *,
        parts: Mapping[str, MarketPart] | None = None,
        rows_max: int = 50,
        trades_max: int = 50,
        candles_max: int = 100,
    ) -> None:
        all_of_it = MarketPart(tuple(i.security for i in recovered.instruments), recovered.time_ms)
        self.parts = dict(parts or {"": all_of_it})
        self.watermarks = {name: Watermarks(part.time_ms) for name, part in self.parts.items()}
        marks = {
            security: self.watermarks[name]
            for name, part in self.parts.items()
            for security in part.securities
        }
        self.views = {
            i.security: SecurityView(
                i,
                seq=recovered.seqs.get(i.security, 0),
                time_ms=recovered.time_ms,
                trades=recovered.last_trades.get(i.security, ()),
                fills=past.fills.get(i.security, ()),
                stats=TradeStats(candles_max, past.candles.get(i.security)),
                watermarks=marks[i.security],
                rows_max=rows_max,
                trades_max=trades_max,
            )
            for i in recovered.instruments
        }
        self._touched: dict[str, SecurityView] = {}  # by what was taken in since the last `show`
        self._last: SecurityView | None = None
        for (security, side, price), lots in levels_of(list(recovered.open_orders)).items():
            assert price is not None, "a market order never rests"
            self.views[security].depth.set(_SIDES[side], price, lots)

    def on_orders(self, events: Sequence[OrderEvent]) -> set[str]:
        """Apply the order events of a batch; return the securities whose book changed."""
        self.take_in(events)
        return self.show()

    def take_in(self, events: Sequence[OrderEvent]) -> None:
        """Take in order events of a batch; readers see them, all at once, after `show`."""
        for event in events:
            match event:
                case OrderAccepted() as accepted:
                    order = accepted.order
                    self._advance(order, order.seq, order.time_ms)
                case OrderRested() as rested:
                    self._level(rested.order, rested.level_quantity)
                case OrderCancelled() as cancelled:
                    self._advance(cancelled.order, cancelled.seq, cancelled.time_ms)
                    if cancelled.rested:
                        self._level(cancelled.order, cancelled.level_quantity)
                case OrderFilled() as filled:
                    order = filled.maker
                    view = self._view(order)
                    view.set_level(_SIDES[order.side], filled.price, filled.level_quantity)
                    view.add_fill(filled)
                case OrderTriggered() as triggered:
                    self._advance(triggered.order, triggered.seq, triggered.time_ms)
                case OrderAmended() as amended:
                    self._advance(amended.order, amended.seq, amended.time_ms)
                    moved = not amended.stays or amended.shown != amended.visible
                    if amended.in_book and moved:
                        self._level(amended.before, amended.level_quantity)
                case OrderHeld():
                    pass
                case _:
                    assert_never(event)

    def show(self) -> set[str]:
        """Let readers see what has been taken in; return the securities whose book changed."""
        changed = {security for security, view in self._touched.items() if view.show()}
        self._touched.clear()
        return changed

    def _view(self, order: Order) -> SecurityView:
        """Return the view of an order's security: most often that of the order before it."""
        view = self._last
        if view is None or view.instrument is not order.instrument:
            self._last = view = self.views[order.instrument.security]
        return view

    def _advance(self, order: Order, seq: int, time_ms: int) -> None:
        """Take in that a command has changed the security of an order."""
        view = self._view(order)
        view.advance(seq, time_ms)
        self._touched[order.instrument.security] = view

    def _level(self, order: Order, quantity: int) -> None:
        """Take in what shows at the price of an order."""
        assert order.price is not None, "a market order never rests"
        self._view(order).set_level(_SIDES[order.side], order.price, quantity)

    def on_trades(self, trades: Sequence[Traded]) -> list[tuple[str, Sequence[Traded], bytes]]:
        """Apply the trades of a batch.

        Returns ``(security, its trades, payload of the trades frame)`` per security that traded.
        """
        by_security: dict[str, list[Traded]] = {}
        for trade in trades:
            by_security.setdefault(trade.order.instrument.security, []).append(trade)
        return [
            (security, batch, self.views[security].add_trades(batch))
            for security, batch in by_security.items()
        ]
