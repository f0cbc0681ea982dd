"""The state of one security that a terminal shows: the book, the last fills, the rates.

``MarketWatch`` takes the events of a client and does no I/O; ``draw`` draws it.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal

from fastbook_client.events import Event
from fastbook_wire.frames import (
    AggOrderBook,
    Fills,
    FillView,
    LevelView,
    Trades,
    TradeView,
    Welcome,
)
from fastbook_wire.grid import Grid

TRADES_KEPT = 200
FILLS_KEPT = 200
RATE_WINDOW_S = 5.0
ROUND_TRIPS_KEPT = 120


class MarketWatch:
    """The latest state of one security; ``url`` is the server's page, which may change."""

    def __init__(self, url: str, security: str, welcome: Welcome) -> None:
        terms = next(i for i in welcome.instruments if i.security == security)
        self.url = url
        self.security = security
        self.others = len(welcome.instruments) - 1
        self._tick = Grid.of(terms.tick_size)
        self.price_digits = decimals(terms.tick_size)
        self.amount_digits = decimals(terms.lot_size)
        self.seq = 0
        self.time_ms = 0  # of the book
        self.asks: tuple[LevelView, ...] = ()
        self.bids: tuple[LevelView, ...] = ()
        self.fills: deque[FillView] = deque(maxlen=FILLS_KEPT)
        self.trades: deque[TradeView] = deque(maxlen=TRADES_KEPT)
        self.trades_seen = 0
        self.bought_seen = 0
        self.heard_s: float | None = None  # time of the last event, monotonic
        self._opened = False
        self._samples: deque[tuple[float, int, int]] = deque()  # (monotonic s, seq, trades seen)
        self._round_trips_ms: deque[float] = deque(maxlen=ROUND_TRIPS_KEPT)

    @property
    def ws_url(self) -> str:
        """The server's WebSocket endpoint."""
        return websocket_url(self.url)

    def take(self, event: Event, now_s: float) -> None:
        """Take an event; `now_s` is monotonic."""
        if not isinstance(event, AggOrderBook | Trades | Fills) or event.security != self.security:
            return
        self.heard_s = now_s
        if isinstance(event, AggOrderBook):
            self.seq, self.time_ms = event.seq, event.time
            self.asks, self.bids = event.agg_order_book.ask, event.agg_order_book.bid
        elif isinstance(event, Fills):
            known = self.fills[-1].fill_id if self.fills else 0
            self.fills.extend(fill for fill in event.fills if fill.fill_id > known)
        else:
            known = self.trades[-1].seq if self.trades else -1
            new = [trade for trade in event.trades if trade.seq > known]
            self.trades.extend(new)
            if self._opened:  # earlier trades are shown but not counted
                self.trades_seen += len(new)
                self.bought_seen += sum(trade.type == "bid" for trade in new)
            self._opened = True
        self._samples.append((now_s, self.seq, self.trades_seen))
        while now_s - self._samples[0][0] > RATE_WINDOW_S:
            self._samples.popleft()

    @property
    def last(self) -> float | None:
        """Price of the newest fill; None without any."""
        return self.fills[-1].price if self.fills else None

    @property
    def spread(self) -> float | None:
        """Best ask less best bid; None without both."""
        if not self.asks or not self.bids:
            return None
        ticks = self._tick.nearest(self.asks[0].price) - self._tick.nearest(self.bids[0].price)
        return self._tick.number(ticks)

    def answered(self, round_trip_ms: float) -> None:
        """Record how long the server took to answer a ping."""
        self._round_trips_ms.append(round_trip_ms)

    def round_trip_ms(self) -> tuple[float, float, float] | None:
        """Return the last, the median and the 99th percentile of the newest round trips."""
        if not self._round_trips_ms:
            return None
        ordered = sorted(self._round_trips_ms)
        last = len(ordered) - 1
        return self._round_trips_ms[-1], ordered[last // 2], ordered[round(last * 0.99)]

    def rates(self, now_s: float) -> tuple[float, float]:
        """Return commands and trades per second, over the last ``RATE_WINDOW_S``."""
        recent = [s for s in self._samples if now_s - s[0] <= RATE_WINDOW_S]
        if len(recent) < 2:
            return 0.0, 0.0
        elapsed_s = max(0.5, now_s - recent[0][0])
        commands = recent[-1][1] - recent[0][1]
        trades = recent[-1][2] - recent[0][2]
        return commands / elapsed_s, trades / elapsed_s

    def price(self, value: float) -> str:
        """Return a price with the decimals of the tick."""
        return f"{value:,.{self.price_digits}f}"

    def amount(self, value: float) -> str:
        """Return an amount with the decimals of the lot."""
        return f"{value:,.{self.amount_digits}f}"


def decimals(step: float) -> int:
    """Return how many decimals a multiple of `step` has."""
    exponent = Decimal(repr(step)).normalize().as_tuple().exponent
    assert isinstance(exponent, int), "a step is a finite number"
    return max(0, -exponent)


def websocket_url(url: str) -> str:
    """Return the WebSocket endpoint of a server's ``http://HOST:PORT``."""
    return "ws" + url.removeprefix("http") + "/ws"
