"""An exchange and its feeds in the tests' own time: what is matched is public when they say so."""

from __future__ import annotations

from typing import Any

from fakes import FakeReader, FakeTimers
from trading import T0, Floor, recovered

from fastbook_server.channels.channel import Channels
from fastbook_server.gateway.feeds import Feeds, Pace
from fastbook_server.gateway.snapshots import Snapshots
from fastbook_server.gateway.views import MarketData
from fastbook_server.values.events import ExchangeEvent
from fastbook_wire.words import Channel

INTERVAL_S = 0.1


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
        self.timers = FakeTimers()
        self.channels = Channels()
        self.held: list[ExchangeEvent] = []
        self.held_since_ms = 0
        self.data = MarketData(past, candles, candles_max=candles_max, **options)
        self.view = self.data.views["COIN"]
        self.snapshots = Snapshots(self.data, 0)
        pace = Pace(self.timers, interval_s, self.settled_ms)
        self.feeds = Feeds(self.data, self.snapshots, self.channels, pace, candles_max=candles_max)

    def now_ms(self) -> int:
        """Return the Unix time, which goes with the timers."""
        return T0 + int((self.timers.time() - 1000.0) * 1_000 + 0.001)

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
        self.channels.publish(events)

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
        """Let time pass."""
        self.timers.advance(seconds)
