"""An exchange and its feeds in the tests' own time: what is matched is public when they say so."""

from __future__ import annotations

from typing import Any

from fakes import FakeClock, FakeReader
from trading import Floor, recovered

from fastbook_server.channels.trade_channel import CommittedBatch, committed
from fastbook_server.gateway.feeds import Feeds, Pace
from fastbook_server.gateway.market_views import MarketViews, Past
from fastbook_server.gateway.snapshots import Snapshots
from fastbook_server.values.events import CommandTaken, ExchangeEvent
from fastbook_wire.words import Channel

INTERVAL_S = 0.1


def batch_of(events: list[ExchangeEvent], settled_ms: int, number: int = 0) -> CommittedBatch:
    """Return the batch of these events, all of them stored."""
    taken = {e.gateway: e.number for e in events if isinstance(e, CommandTaken)}
    held = {e.holds: e.gateway for e in events if isinstance(e, CommandTaken) and e.holds}
    return committed(
        events, number=number, settled_ms=settled_ms, stored_ms=settled_ms, taken=taken, held=held
    )


class Hall:
    """``do`` matches and publishes at once; ``match`` leaves it to a later ``publish``."""

    def __init__(
        self,
        past: Any = None,
        candles: Any = None,
        *,
        interval_s: float = INTERVAL_S,
        candles_max: int = 100,
        **options: Any,
    ) -> None:
        past = past or recovered()
        self.floor = Floor(past)
        self.timers = FakeClock()
        self.held: list[ExchangeEvent] = []
        self.held_since_ms = 0
        self.data = MarketViews(past, Past(candles or {}), candles_max=candles_max, **options)
        self.view = self.data.views["COIN"]
        self.snapshots = Snapshots(self.data, 0)
        pace = Pace(self.timers, interval_s)
        self.feeds = Feeds(self.data, self.snapshots, pace, candles_max=candles_max)
        self.mark()  # as a server does before anybody can join

    def now_ms(self) -> int:
        """Return the Unix time, which goes with the timers."""
        return self.timers.now_ms()

    def settled_ms(self) -> int:
        """Return a time before which nothing more will be published."""
        return self.held_since_ms if self.held else self.now_ms()

    def match(self, user_id: str, *commands: Any) -> None:
        """Apply commands, and hold back what happens."""
        self.floor.now_ms = self.now_ms()
        if not self.held:
            self.held_since_ms = self.floor.now_ms
        self.held += [e for c in commands for e in self.floor.do(user_id, c)]

    def publish(self) -> None:
        """Publish what is held back as one batch."""
        events, self.held = self.held, []
        self.feeds.on_batch(batch_of(events, self.settled_ms()))

    def mark(self) -> None:
        """Publish an idle mark."""
        self.feeds.on_batch(batch_of([], self.settled_ms()))

    def do(self, user_id: str, *commands: Any) -> None:
        """Apply and publish commands as one batch."""
        self.match(user_id, *commands)
        self.publish()

    def join(self, opening: Any = None) -> FakeReader:
        """Return a new reader of COIN's book."""
        reader = FakeReader()
        self.feeds.join(reader, "COIN", opening or self.snapshots.build("COIN"))
        return reader

    def follow(self, channel: Channel, reader: FakeReader | None = None) -> FakeReader:
        """Return a reader that follows a channel of COIN from now on."""
        reader = reader or FakeReader()
        self.feeds.join(reader, "COIN", None, channel)
        return reader

    def advance(self, seconds: float) -> None:
        """Let time pass, with an idle mark at each whole second, later at each whole minute."""
        since_ms = self.now_ms()
        until_ms = since_ms + round(seconds * 1_000)
        while True:
            now_ms = self.now_ms()
            every_ms = 1_000 if now_ms - since_ms <= 60_000 else 60_000
            next_ms = now_ms // every_ms * every_ms + every_ms
            if next_ms > until_ms:
                break
            self.timers.advance((next_ms - now_ms) / 1_000)
            self.mark()
        self.timers.advance((until_ms - self.now_ms()) / 1_000)
