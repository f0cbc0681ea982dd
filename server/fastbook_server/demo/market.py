"""What the demo shows of one security: the latest book, the last trades, how fast it goes.

``MarketWatch`` is fed with the frames of a connection and never does I/O; ``terminal`` draws it.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal

from fastbook_client.connection import Json
from fastbook_client.wire.frames import Welcome

TRADES_KEPT = 200
RATE_WINDOW_S = 5.0


class MarketWatch:
    """The latest state of one security; ``url`` is where it comes from, as people open it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ws_url = websocket_url(url)
        self.security = ""  # until meet()
        self.others = 0
        self.price_digits = self.amount_digits = 0
        self.seq = 0
        self.asks: list[Json] = []
        self.bids: list[Json] = []
        self.trades: deque[Json] = deque(maxlen=TRADES_KEPT)
        self.trades_seen = 0
        self.bought_seen = 0
        self._opened = False
        self._samples: deque[tuple[float, int, int]] = deque()  # (monotonic s, seq, trades seen)

    def meet(self, welcome: Welcome) -> None:
        """Note what a connection says first."""
        self.security = welcome.security
        self.others = len(welcome.instruments) - 1
        terms = next(i for i in welcome.instruments if i.security == self.security)
        self.price_digits = decimals(terms.tick_size)
        self.amount_digits = decimals(terms.lot_size)

    def take(self, event: Json, now_s: float) -> None:
        """Note a frame; `now_s` is monotonic."""
        if event.get("security") != self.security:
            return
        if event["event"] == "aggOrderBook":
            self.seq = event["seq"]
            self.asks = event["aggOrderBook"]["ask"]
            self.bids = event["aggOrderBook"]["bid"]
        elif event["event"] == "trades":
            known = self.trades[-1]["seq"] if self.trades else -1
            new = [trade for trade in event["trades"] if trade["seq"] > known]
            self.trades.extend(new)
            if self._opened:  # what was traded before we came is shown, but not counted
                self.trades_seen += len(new)
                self.bought_seen += sum(trade["type"] == "bid" for trade in new)
            self._opened = True
        self._samples.append((now_s, self.seq, self.trades_seen))
        while now_s - self._samples[0][0] > RATE_WINDOW_S:
            self._samples.popleft()

    @property
    def spread(self) -> float | None:
        """Best ask less best bid; None without both."""
        if not self.asks or not self.bids:
            return None
        difference: float = self.asks[0]["price"] - self.bids[0]["price"]
        return difference

    def rates(self, now_s: float) -> tuple[float, float]:
        """Return commands and trades per second of the last seconds."""
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
