"""``fastbook bench``: connections, pace, progress, signals, and what is left at the end."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from fastbook_cli.access import server_token
from fastbook_cli.bench.line import Line
from fastbook_cli.bench.mix import Mix
from fastbook_cli.bench.pacer import TURN_S, Schedule, every
from fastbook_cli.bench.report import BenchReport
from fastbook_cli.bench.trader import Band, BenchTrader, Tally
from fastbook_cli.bench.waits import Waits
from fastbook_cli.errors import CommandError, NoServerError
from fastbook_cli.signals import stop_signals
from fastbook_client.connection import dial
from fastbook_client.errors import ConnectError, ConnectionClosed
from fastbook_wire.frames import AggOrderBook, InstrumentView, ServerFrame, Trades
from fastbook_wire.grid import Grid

FIRST_TICKS = 10_000
"""The price around which orders are placed if nobody has ever quoted or traded, in ticks."""
SHOW_S = 0.25
LINE_EVERY_S = 5.0
END_S = 10.0
"""How long the last answers may take."""

_decode = msgspec.json.Decoder(ServerFrame).decode


class BenchError(CommandError):
    """The server cannot be measured like that."""


class BenchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to send; without `rate` as many commands as are answered."""

    url: str
    security: str | None
    rate: float | None
    connections: int
    in_flight: int
    seconds: float
    warm_up: float
    mix: Mix
    open_orders: int
    seed: int


async def run(options: BenchOptions, console: Console, *, as_json: bool) -> int:
    """Measure and print the report; return the exit code of the process.

    Progress goes to `console`, the report to stdout. A signal ends the measurement early: the
    orders are cancelled, and what was measured is reported.

    Raises:
        NoServerError: no server answers at the URL, or a connection was refused or lost.
        BenchError: the security is unknown or halted.
    """
    with stop_signals() as stop:
        try:
            band = await first_band(options)
            async with _lines(options, band) as (lines, lost):
                bench = Bench(options, lines)
                with shown(console, options, bench) as show:
                    await bench.measure((stop, lost), show)
                cancelled = await bench.end(lost)
                failure = lost.exception() if lost.done() else None
        except (ConnectError, ConnectionClosed) as error:
            raise NoServerError.at(options.url, error) from None
    report = bench.report(band.security, cancelled)
    print(msgspec.json.encode(report.json()).decode() if as_json else report.text(), flush=True)
    if failure is not None:
        raise NoServerError.at(options.url, failure)
    return stop.result() if stop.done() else 0


# ---- before -------------------------------------------------------------------------------------


async def first_band(options: BenchOptions) -> Band:
    """Return the prices to use: around the middle of the book, or the last trade, if there is one.

    Raises:
        BenchError: the security is halted.
        ConnectError: the server cannot be reached, or refused the connection.
    """
    token = server_token()
    async with dial(options.url, security=options.security, token=token) as connection:
        welcome = connection.welcome
        instrument = next(i for i in welcome.instruments if i.security == welcome.security)
        if instrument.status != "open":
            raise BenchError(f"{instrument.security} is {instrument.status}: it takes no orders")
        book = trades = None
        while book is None or trades is None:
            frame = _decode(await connection.receive_bytes())
            book = frame if isinstance(frame, AggOrderBook) else book
            trades = frame if isinstance(frame, Trades) else trades
    return Band(instrument, _first_ticks(instrument, book, trades))


def _first_ticks(instrument: InstrumentView, book: AggOrderBook, trades: Trades) -> int:
    sides = (book.agg_order_book.bid, book.agg_order_book.ask)
    prices = [side[0].price for side in sides if side] or [t.price for t in trades.trades[-1:]]
    grid = Grid.of(instrument.tick_size)
    return grid.nearest(sum(prices) / len(prices)) if prices else FIRST_TICKS


@contextlib.asynccontextmanager
async def _lines(
    options: BenchOptions, band: Band
) -> AsyncIterator[tuple[list[Line], asyncio.Future[Any]]]:
    """Yield the open connections, and a future that fails as soon as one of them is lost.

    Whatever ends this process, the server then cancels the orders of each.
    """
    chance = random.Random(options.seed)
    async with contextlib.AsyncExitStack() as stack:
        lines = []
        for _ in range(options.connections):
            opened = dial(
                options.url,
                security=band.security,
                feed=False,
                cancel_on_disconnect=True,
                token=server_token(),
            )
            connection = await stack.enter_async_context(opened)
            trader = BenchTrader(
                band, options.mix, options.open_orders, random.Random(chance.random())
            )
            paced = options.rate is not None
            lines.append(Line(connection, trader, in_flight=options.in_flight, paced=paced))
        lost = asyncio.gather(*(line.hear() for line in lines))
        try:
            yield lines, lost
        finally:
            lost.cancel()
            await asyncio.gather(lost, return_exceptions=True)


# ---- measuring ----------------------------------------------------------------------------------


class _Spent(NamedTuple):
    """The time in which this process had a core, and in which it wanted one and got none."""

    cpu_s: float
    starved_s: float

    @classmethod
    def now(cls) -> _Spent:
        """Return both so far; the second is 0 where the system does not tell."""
        with contextlib.suppress(OSError):
            _, waited_ns, _ = Path("/proc/self/schedstat").read_text().split()
            return cls(time.process_time(), int(waited_ns) / 1e9)
        return cls(time.process_time(), 0.0)


class Bench:
    """The measurement: `lines` send at the pace of `options`, first unheeded, then counted."""

    def __init__(self, options: BenchOptions, lines: Sequence[Line]) -> None:
        self._options = options
        self._lines = lines
        self._turn = 0
        self._began_s: float | None = None
        self._seconds = 0.0
        self._spent = _Spent(0.0, 0.0)

    @property
    def seconds(self) -> float:
        """How long it has been measured."""
        return time.perf_counter() - self._began_s if self._began_s is not None else self._seconds

    @property
    def tally(self) -> Tally:
        """The tally so far."""
        total = Tally()
        for line in self._lines:
            total += line.trader.tally
        return total

    async def measure(self, ended: Sequence[asyncio.Future[Any]], show: Callable[[], None]) -> None:
        """Send until the time is over, or one of the futures `ended` is done."""
        options, start_s = self._options, time.perf_counter()
        if options.rate is None:
            for line in self._lines:
                line.send()
            interval_s, schedule = SHOW_S, Schedule(1.0, float("inf"))
        else:
            interval_s, schedule = max(TURN_S, 1 / options.rate), Schedule(options.rate, start_s)
        with every(interval_s, start_s, lambda: self._offer(schedule)):
            await _passed(options.warm_up, ended, show)
            self._count(True)
            await _passed(options.seconds, ended, show)
            self._count(False)
        show()

    def _offer(self, schedule: Schedule) -> None:
        """Give each moment that is due to the next connection in turn."""
        offered = set()
        for due_s in schedule.due(time.perf_counter()):
            line = self._lines[self._turn]
            line.offer(due_s)
            offered.add(self._turn)
            self._turn = (self._turn + 1) % len(self._lines)
        for number in offered:
            self._lines[number].send()

    def _count(self, counting: bool) -> None:
        spent = _Spent.now()
        if counting:
            self._began_s, self._spent = time.perf_counter(), spent
        else:
            self._seconds, self._began_s = self.seconds, None
            self._spent = _Spent(*(b - a for a, b in zip(self._spent, spent, strict=True)))
        for line in self._lines:
            line.trader.counting = counting

    async def end(self, lost: asyncio.Future[Any]) -> int | None:
        """Hear what is unanswered and cancel all orders; return how many.

        Return None if the answers take too long, or a connection is lost: then the server cancels
        the orders of a connection as it ends.
        """
        for line in self._lines:
            line.end()
        heard = asyncio.gather(*(line.ended.wait() for line in self._lines))
        await asyncio.wait((heard, lost), timeout=END_S, return_when=asyncio.FIRST_COMPLETED)
        if not heard.done():
            heard.cancel()
            await asyncio.gather(heard, return_exceptions=True)
            return None
        return sum(line.trader.left or 0 for line in self._lines)

    def report(self, security: str, cancelled: int | None) -> BenchReport:
        """Return the report on all that was counted."""
        options, late = self._options, Waits()
        for line in self._lines:
            late += line.late
        return BenchReport(
            url=options.url,
            security=security,
            mix=options.mix.text(),
            connections=options.connections,
            in_flight=options.in_flight,
            rate=options.rate,
            seconds=self._seconds,
            tally=self.tally,
            late=late,
            held_back=sum(line.held_back for line in self._lines),
            unsent=sum(line.waiting for line in self._lines),
            cpu_share=self._spent.cpu_s / self._seconds if self._seconds else 0.0,
            starved_share=self._spent.starved_s / self._seconds if self._seconds else 0.0,
            cancelled=cancelled,
        )


async def _passed(
    seconds: float, ended: Sequence[asyncio.Future[Any]], show: Callable[[], None]
) -> None:
    """Wait so long, or until one of the futures is done."""
    until_s = time.perf_counter() + seconds
    while not any(future.done() for future in ended):
        left_s = until_s - time.perf_counter()
        if left_s <= 0:
            return
        await asyncio.wait(ended, timeout=min(SHOW_S, left_s), return_when=asyncio.FIRST_COMPLETED)
        show()


# ---- progress -----------------------------------------------------------------------------------


@contextlib.contextmanager
def shown(console: Console, options: BenchOptions, bench: Bench) -> Iterator[Callable[[], None]]:
    """Yield what shows how far the bench is: a bar on a terminal, else a line now and then."""
    if not console.is_terminal:
        yield _Lines(console, options.seconds, bench).show
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress:
        task = progress.add_task("warming up", total=options.seconds)
        yield lambda: progress.update(
            task, description=_so_far(bench) or "warming up", completed=bench.seconds
        )


class _Lines:
    """A line every few seconds, for logs and pipes."""

    def __init__(self, console: Console, total_s: float, bench: Bench) -> None:
        self._console = console
        self._total_s = total_s
        self._bench = bench
        self._next_s = LINE_EVERY_S

    def show(self) -> None:
        seconds = self._bench.seconds
        if seconds >= self._next_s:
            self._next_s = seconds + LINE_EVERY_S
            text = f"{seconds:.0f} of {self._total_s:g} s, {_so_far(self._bench)}"
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def _so_far(bench: Bench) -> str:
    tally, seconds = bench.tally, bench.seconds
    if not seconds:
        return ""
    waits = tally.all_waits
    rate = tally.answers / seconds
    return f"{rate:,.0f} commands/s, p50 {waits.percentile_ms(50):.2f} ms, " + (
        f"p99 {waits.percentile_ms(99):.2f} ms"
    )
