"""The public streams of all symbols, on one clock per symbol, whoever listens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from fastbook_server.channels.trade_channel import CommittedBatch
from fastbook_server.dialects.binance.bars import Bar
from fastbook_server.dialects.binance.klines import Klines
from fastbook_server.dialects.binance.live_kline import LiveKline
from fastbook_server.dialects.binance.stream_names import OF_ALL, StreamName, parsed
from fastbook_server.dialects.binance.symbol_streams import SymbolStreams
from fastbook_server.dialects.binance.symbols import Symbols
from fastbook_server.dialects.binance.tickers import Tickers
from fastbook_server.dialects.binance.topics import Make, StreamReader, Topics, event_frame
from fastbook_server.gateway.market_views import MarketViews
from fastbook_server.values.clock import Cancellable, Clock
from fastbook_server.values.persisted import StoredFill

FAST_S = 0.1
SLOW_BEATS = 10
"""So many fast beats make a slow one: a second."""


class MarketStreams:
    """The streams of the market.

    It must be told of each batch after its views have followed it. States (tickers, best prices,
    best levels, open klines) are sent once to whoever joins, so that nobody waits for a quiet
    market; events are not.
    """

    def __init__(
        self,
        symbols: Symbols,
        views: MarketViews,
        tickers: Mapping[str, Tickers],
        klines: Klines,
        topics: Topics,
        clock: Clock,
    ) -> None:
        self.topics = topics
        self._symbols = symbols
        self._klines = klines
        self._clock = clock
        self._watermarks = views.watermarks[""]
        self._of = {
            security: SymbolStreams(symbol, views.views[security], tickers[security], topics)
            for security, symbol in symbols.by_security.items()
        }
        self._second = views.watermarks[""].settled_ms // 1_000
        self._beat: Cancellable | None = None
        self._changed: set[str] = set()  # securities, since the last slow beat

    def on_fills(self, fills: Mapping[str, list[StoredFill]]) -> Iterator[None]:
        """Tell the fills of a batch, by security, in steps."""
        now_ms = self._clock.now_ms()
        for security, of_one in fills.items():
            yield from self._of[security].on_fills(of_one, now_ms)

    def on_batch(self, batch: CommittedBatch, changed: Iterable[str]) -> None:
        """Follow a batch whose fills are told: `changed` are the securities whose books are."""
        for security in changed:
            self._of[security].on_book()
            self._changed.add(security)
        if self._changed and self._beat is None:
            self._set_beat()
        if batch.settled_ms // 1_000 > self._second:
            self._second = batch.settled_ms // 1_000
            self._second_passed(batch.settled_ms)

    def stop(self) -> None:
        """Send nothing more."""
        if self._beat is not None:
            self._beat.cancel()
        for streams in self._of.values():
            for live in streams.live.values():
                live.stop()

    # ---- the clock ----------------------------------------------------------------------------

    def _set_beat(self) -> None:
        """Let the next beat come at the next tenth of a second of the clock."""
        now_s = self._clock.time()
        tick = int(now_s / FAST_S + 1e-6) + 1
        self._beat = self._clock.call_later(tick * FAST_S - now_s, self._on_beat, tick)

    def _on_beat(self, tick: int) -> None:
        slow, now_ms = tick % SLOW_BEATS == 0, self._clock.now_ms()
        for security in self._changed:
            self._of[security].flush(now_ms, slow=slow)
        if slow:
            self._changed.clear()
        self._beat = None
        if self._changed:
            self._set_beat()

    def _second_passed(self, settled_ms: int) -> None:
        for streams in self._of.values():
            streams.second_passed(settled_ms)
        for name in OF_ALL:
            if self.topics.heard(name):
                self._tell_all(name, settled_ms)
        for streams in self._of.values():
            streams.traded = streams.dirty = False

    def _tell_all(self, name: str, now_ms: int) -> None:
        """Tell the tickers that have changed, in one event."""
        what = name.removeprefix("!").removesuffix("@arr")
        changed = [
            streams
            for streams in self._of.values()
            if (streams.traded if what == "miniTicker" else streams.dirty)
        ]
        if changed:
            makes = [streams.ticker(what, now_ms) for streams in changed]
            self.topics.tell(name, lambda scale: [make(scale) for make in makes])

    # ---- who listens --------------------------------------------------------------------------

    def named(self, name: str) -> StreamName | None:
        """Return the stream of a name, or None if there is none."""
        return parsed(self._symbols, name)

    def join(self, stream: StreamName, reader: StreamReader) -> None:
        """Send `reader` the state that a stream is in, if it has one, then every event."""
        self.topics.join(stream.name, reader)
        if stream.symbol is None:
            return
        streams = self._of[stream.symbol.security]
        if stream.interval is not None:
            self._join_kline(stream, streams, reader)
        elif (make := streams.state(stream.what, self._clock.now_ms())) is not None:
            _send(reader, stream.name, make)

    def leave(self, name: str, reader: StreamReader) -> None:
        """Send a stream to `reader` no more."""
        self.topics.leave(name, reader)
        if self.topics.heard(name):
            return
        stream = self.named(name)
        if stream is not None and stream.symbol is not None and stream.interval is not None:
            live = self._of[stream.symbol.security].live.pop(name, None)
            if live is not None:
                live.stop()

    def _join_kline(self, stream: StreamName, streams: SymbolStreams, reader: StreamReader) -> None:
        live = streams.live.get(stream.name)
        if live is None:
            live = streams.live[stream.name] = self._live(stream)
        live.when_ready(partial(self._open_kline, stream.name, streams, reader))

    def _open_kline(self, name: str, streams: SymbolStreams, reader: StreamReader) -> None:
        make = streams.kline(name, self._clock.now_ms())
        if make is not None and self.topics.has(name, reader):
            _send(reader, name, make)

    def _live(self, stream: StreamName) -> LiveKline:
        assert stream.symbol is not None, "klines are of one symbol"
        assert stream.interval is not None, "it is of klines"
        security, interval, offset_ms = stream.symbol.security, stream.interval, stream.offset_ms

        async def load() -> list[Bar]:
            # What is still to come is stamped with the settled time or later: none is older than
            # this kline.
            now_ms = self._watermarks.settled_ms
            return await self._klines.bars(
                security, interval, now_ms=now_ms, limit=1, offset_ms=offset_ms
            )

        return LiveKline(interval, offset_ms, load)


def _send(reader: StreamReader, name: str, make: Make) -> None:
    reader.send(event_frame(name, make, reader.combined, reader.scale))
