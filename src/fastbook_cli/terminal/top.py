"""``fastbook top``: book, trades, rates and round trips in a terminal, or as JSON."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar

import msgspec
from rich.console import Console
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.widgets import Static

from fastbook_cli.errors import CommandError, NoServerError
from fastbook_cli.output import abandon_stdout
from fastbook_cli.signals import EXIT_CODES, stop_signals
from fastbook_cli.terminal import draw
from fastbook_cli.terminal.watch import MarketWatch
from fastbook_client.errors import ConnectionClosed, FastbookError
from fastbook_client.events import Disconnected, Resynced
from fastbook_client.market import Market, connect
from fastbook_wire.words import Channel

CHANNELS: tuple[Channel, ...] = ("book", "fills")
PING_S = 1.0
REDRAW_S = 0.125
LINE_S = 1.0
SETTLE_S = 1.0
"""How long to measure rates and a round trip before the first line."""
DEPTH_MAX = 500
DEPTH_FIRST = 10
"""The number of rows that the first step from "as many as fit" starts at."""
TRADES_PRINTED = 10


class TopOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to show: server, security (None: the first), rows per side (0: as many as fit)."""

    url: str
    security: str | None = None
    depth: int = 0


class Following:
    """A connection, and the state of the security shown."""

    def __init__(self, url: str, market: Market) -> None:
        self._url = url
        self._market = market
        self.names = tuple(market.instruments)
        self.watch = MarketWatch(url, market.security, market.welcome)
        self.trouble: str | None = None

    async def read(self) -> None:
        """Take the market's events until the connection is lost for good."""
        now = asyncio.get_running_loop().time
        async for event in self._market:
            if isinstance(event, Disconnected):
                self.trouble = f"no connection: {event.reason}"
            elif isinstance(event, Resynced):
                self.trouble = None
            self.watch.take(event, now())

    async def ping(self) -> None:
        """Measure a round trip each second."""
        while True:
            started_s = time.perf_counter()  # a loop's clock may tick in whole milliseconds
            with suppress(FastbookError):  # not connected
                await self._market.ping()
                self.watch.answered((time.perf_counter() - started_s) * 1_000)
            await asyncio.sleep(PING_S)

    async def show(self, security: str) -> None:
        """Show another security instead of this one."""
        before = self.watch.security
        if security == before:
            return
        self.watch = MarketWatch(self._url, security, self._market.welcome)
        for channel in CHANNELS:
            await self._market.subscribe(channel, security)
            await self._market.unsubscribe(channel, before)

    def next_security(self) -> str:
        """Return the security after this one; the first follows the last."""
        return self.names[(self.names.index(self.watch.security) + 1) % len(self.names)]


@asynccontextmanager
async def following(options: TopOptions) -> AsyncIterator[Following]:
    """Connect, and follow the market within the context.

    Raises:
        NoServerError: no server answers at the URL, or it refused or closed the connection.
    """
    try:
        async with connect(options.url, security=options.security) as market:
            followed = Following(options.url, market)
            reading = asyncio.create_task(followed.read())
            pinging = asyncio.create_task(followed.ping())
            try:
                await market.subscribe("fills")
                yield followed
            finally:
                for task in (reading, pinging):
                    task.cancel()
                    with suppress(asyncio.CancelledError, ConnectionClosed):
                        await task
    except FastbookError as error:
        raise NoServerError.at(options.url, error) from None


def state(watch: MarketWatch, now_s: float, depth: int) -> dict[str, Any]:
    """Return the state shown, for JSON; rates are per second, times in milliseconds."""
    commands, trades = watch.rates(now_s)
    asks, bids = (side[: depth or None] for side in (watch.asks, watch.bids))
    round_trip = watch.round_trip_ms()
    return {
        "security": watch.security,
        "seq": watch.seq,
        "time": watch.time_ms,
        "bestBid": watch.bids[0].price if watch.bids else None,
        "bestAsk": watch.asks[0].price if watch.asks else None,
        "last": watch.last,
        "ordersPerSecond": round(commands, 1),
        "tradesPerSecond": round(trades, 1),
        "roundTripMs": None
        if round_trip is None
        else dict(zip(("last", "p50", "p99"), (round(ms, 3) for ms in round_trip), strict=True)),
        "ageMs": None if watch.heard_s is None else round((now_s - watch.heard_s) * 1_000),
        "aggOrderBook": {"ask": asks, "bid": bids},
        "trades": tuple(watch.trades)[-TRADES_PRINTED:],
    }


async def print_out(options: TopOptions, *, once: bool, as_json: bool) -> int:
    """Print the market once or each second, as JSON or as text; return the exit code.

    Raises:
        NoServerError: no server answers at the URL, or it refused or closed the connection.
    """
    try:
        await _print_out(options, once=once, as_json=as_json)
    except BrokenPipeError:
        abandon_stdout()
    return 0


async def _print_out(options: TopOptions, *, once: bool, as_json: bool) -> None:
    loop = asyncio.get_running_loop()
    console = Console(highlight=False)
    async with following(options) as followed:
        await asyncio.sleep(SETTLE_S)
        while True:
            watch = followed.watch
            if as_json:
                line = msgspec.json.encode(state(watch, loop.time(), options.depth))
                print(line.decode(), flush=True)
            elif once:
                unicode = console.encoding.startswith("utf")
                rows = max(draw.HEIGHT_MIN, 2 * (options.depth or DEPTH_FIRST) + draw.ROWS_BESIDE)
                size = (console.width, rows)
                drawn = draw.screen(watch, loop.time(), size, depth=options.depth, unicode=unicode)
                console.print(drawn, height=rows)
            else:
                print(followed.trouble or draw.line(watch, loop.time()), flush=True)
            if once:
                return
            await asyncio.sleep(LINE_S)


class Top(App[None]):
    """The interactive view; `draw.screen` draws it, with the keys in its foot."""

    CSS = "Static { width: 100%; height: 100%; }"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        ("q", "quit", "quit"),
        ("ctrl+c", "interrupt", "quit"),
        ("space", "pause", "pause"),
        ("plus,equals_sign,up", "deeper(1)", "more rows"),
        ("minus,down", "deeper(-1)", "fewer rows"),
        ("0", "all_rows", "as many as fit"),
        ("s,tab", "next_security", "next security"),
    ]

    def __init__(self, options: TopOptions) -> None:
        super().__init__()
        self.depth = options.depth
        self.paused = False
        self._options = options
        self._followed: Following | None = None
        self._stopped = asyncio.Event()
        self.failure: Exception | None = None

    def compose(self) -> ComposeResult:
        """Fill the screen with one widget."""
        yield Static(id="market")

    def on_mount(self) -> None:
        """Connect, and start to redraw."""
        self.run_worker(self._follow(), exclusive=True, exit_on_error=False)
        self.set_interval(REDRAW_S, self.redraw)

    async def _follow(self) -> None:
        try:
            async with following(self._options) as followed:
                self._followed = followed
                await self._stopped.wait()
        except (CommandError, OSError) as error:
            self.failure = error
            self.exit(return_code=1)

    def redraw(self) -> None:
        """Show the latest state, unless paused."""
        if not self.paused:
            self._draw()

    def _draw(self) -> None:
        if self._followed is None:
            return
        size = (self.size.width, self.size.height)
        now_s = asyncio.get_running_loop().time()
        drawn = draw.screen(self._followed.watch, now_s, size, self._foot(), depth=self.depth)
        self.query_one("#market", Static).update(drawn)

    def _foot(self) -> tuple[Text, ...]:
        assert self._followed is not None
        rows = f"{self.depth} rows per side" if self.depth else "as many rows as fit"
        several = "   s next security" if len(self._followed.names) > 1 else ""
        keys = Text(f"q quit   space pause   + - depth ({rows}), 0 fit{several}", style=draw.DIM)
        if self._followed.trouble is not None:
            return keys, Text(self._followed.trouble, style="yellow")
        return keys, Text("paused" if self.paused else "", style="bold yellow")

    def action_pause(self) -> None:
        """Freeze the screen, or resume."""
        self.paused = not self.paused
        self._draw()

    def action_deeper(self, by: int) -> None:
        """Show more rows per side, or fewer."""
        self.depth = max(1, min(DEPTH_MAX, (self.depth or DEPTH_FIRST) + by))

    def action_all_rows(self) -> None:
        """Show as many rows as fit."""
        self.depth = 0

    async def action_next_security(self) -> None:
        """Show the next security."""
        if self._followed is not None:
            with suppress(FastbookError):
                await self._followed.show(self._followed.next_security())

    async def action_quit(self) -> None:
        """Leave, and restore the terminal."""
        self.stop(0)

    def action_interrupt(self) -> None:
        """Leave as by a signal: a terminal that hands out keys sends none."""
        self.stop(EXIT_CODES[signal.SIGINT])

    def stop(self, code: int) -> None:
        """Restore the terminal, and end with an exit code."""
        self._stopped.set()
        self.exit(return_code=code)


async def run(options: TopOptions) -> int:
    """Show the market until the user quits; return the exit code of the process.

    Raises:
        NoServerError: no server answers at the URL, or it refused or closed the connection.
    """
    app = Top(options)
    with stop_signals() as stopped:
        stopped.add_done_callback(lambda signalled: app.stop(signalled.result()))
        await app.run_async()
    if app.failure is not None:
        raise app.failure
    return app.return_code or 0
