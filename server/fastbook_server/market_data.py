"""What the public sees of each security, built from the committed events and from nothing else.

The matcher's books are never looked into: the view is fed by the two channels, as a gateway on
another machine would be, so book, trades and database agree at every ``seq``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

import fastbook
from fastbook_client.wire.words import SideName
from fastbook_server import frames
from fastbook_server.events import (
    Event,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderRested,
    Traded,
)
from fastbook_server.instruments import Instrument
from fastbook_server.state import Recovered

_SIDES = {"bid": fastbook.Side.BID, "ask": fastbook.Side.ASK}
_OPPOSITE: dict[SideName, fastbook.Side] = {
    "bid": fastbook.Side.ASK,
    "ask": fastbook.Side.BID,
}


class SecurityView:
    """The depth and the last trades of one security, as they stood after ``seq``.

    ``rows_max`` and ``trades_max`` bound what frames show; 0 shows all.
    """

    def __init__(
        self,
        instrument: Instrument,
        *,
        seq: int,
        time_ms: int,
        trades: Iterable[Traded],
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
        self._rows_max = rows_max

    def book_frame(self) -> bytes:
        """Return the ``aggOrderBook`` frame of now."""
        return frames.agg_order_book(
            self.instrument.security,
            self.seq,
            self.time_ms,
            self.depth.rows_json(fastbook.Side.ASK, self._rows_max),
            self.depth.rows_json(fastbook.Side.BID, self._rows_max),
        )

    def last_trades_frame(self) -> bytes:
        """Return the opening ``trades`` frame: the last n trades, ``seq`` that of the book."""
        return frames.trades(self.instrument.security, self.seq, None, self.trades)

    def add_trades(self, trades: Sequence[Traded]) -> bytes:
        """Note new trades; return their live frame."""
        frame = frames.trades(self.instrument.security, trades[-1].seq, self.last_trade_seq, trades)
        self.trades.extend(trades)
        self.last_trade_seq = trades[-1].seq
        return frame


class MarketData:
    """The public views of all securities."""

    def __init__(self, recovered: Recovered, *, rows_max: int = 50, trades_max: int = 50) -> None:
        self.views = {
            i.security: SecurityView(
                i,
                seq=recovered.seqs.get(i.security, 0),
                time_ms=recovered.time_ms,
                trades=recovered.last_trades.get(i.security, ()),
                rows_max=rows_max,
                trades_max=trades_max,
            )
            for i in recovered.instruments
        }
        for resting in recovered.open_orders:
            order = resting.order
            assert order.price is not None, "a market order never rests"
            depth, side = self.views[order.instrument.security].depth, _SIDES[order.side]
            depth.set(side, order.price, depth.get(side, order.price) + resting.remaining)

    def on_orders(self, events: Sequence[Event]) -> set[str]:
        """Follow one batch of the order channel; return the securities whose book changed."""
        changed: set[str] = set()
        for event in events:
            match event:
                case OrderAccepted(order):
                    view = self.views[order.instrument.security]
                    view.seq, view.time_ms = order.seq, order.time_ms
                case OrderFilled():
                    security = event.taker.instrument.security
                    self.views[security].depth.set(
                        _OPPOSITE[event.taker.side], event.price, event.level_quantity
                    )
                    changed.add(security)
                case OrderRested(order):
                    security = order.instrument.security
                    assert order.price is not None, "a market order never rests"
                    self.views[security].depth.set(
                        _SIDES[order.side], order.price, event.level_quantity
                    )
                    changed.add(security)
                case OrderCancelled():
                    order = event.order
                    security = order.instrument.security
                    view = self.views[security]
                    view.seq, view.time_ms = event.seq, event.time_ms
                    if event.rested:
                        assert order.price is not None, "a market order never rests"
                        view.depth.set(_SIDES[order.side], order.price, event.level_quantity)
                        changed.add(security)
        return changed

    def on_trades(self, trades: Sequence[Traded]) -> list[tuple[str, int, bytes]]:
        """Follow one batch of the trade channel.

        Returns ``(security, last seq, frame)`` for each security that traded.
        """
        by_security: dict[str, list[Traded]] = {}
        for trade in trades:
            by_security.setdefault(trade.order.instrument.security, []).append(trade)
        return [
            (security, batch[-1].seq, self.views[security].add_trades(batch))
            for security, batch in by_security.items()
        ]
