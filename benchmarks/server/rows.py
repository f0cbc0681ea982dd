"""The rows of the table of `benchmarks.bench_server`: the server, each time beside a baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import NamedTuple

from benchmarks.server.processes import Answer, Load, Server, bare, fastbook, load

TRADERS = "/ws?feed=none"
LIVE = 100
"""Open orders of each trader, where a row says nothing else."""


class Size(NamedTuple):
    """How much a row measures: `seconds` of each window, and a share of its counts."""

    seconds: float
    scale: float = 1.0

    def of(self, count: int) -> int:
        """Return a count, scaled down; at least 4."""
        return max(4, int(count * self.scale))


class Figure(NamedTuple):
    """One measurement of one side.

    `cpu_us` is the CPU of the server per message, `generator` the share of its core that the load
    used; None: not measured.
    """

    value: float
    cpu_us: float | None = None
    generator: float | None = None


class Pair(NamedTuple):
    """The server and its baseline, measured one after the other; some rows have no baseline."""

    ours: Figure
    base: Figure | None


Measure = Callable[[], Pair]
Open = Callable[[Size], AbstractContextManager[Measure]]


class Row(NamedTuple):
    """A row: `open` starts both sides and yields what measures one pair.

    `must` and `aim` bound the ratio of both values, or the value itself if there is no baseline;
    from below if `more` is better.
    """

    name: str
    what: str
    against: str
    unit: str
    more: bool
    must: float
    aim: float
    open: Open


# ---- orders and their reports -------------------------------------------------------------------


class Side(NamedTuple):
    """One side of a row: a server and the load on it."""

    server: Server
    load: Load

    def measured(self, command: str) -> tuple[Answer, float]:
        """Return the answer to a command and the CPU us of the server per message."""
        before = self.server.cpu_s
        answer = self.load.ask(command)
        spent = self.server.cpu_s - before
        return answer, spent / max(1, answer.replies or answer.deliveries) * 1e6

    def rate(self, command: str) -> Figure:
        """Return the messages per second while the load obeys a command."""
        answer, cpu_us = self.measured(command)
        count = answer.replies or answer.deliveries
        return Figure(count / answer.seconds, cpu_us, answer.busy)


def side(stack: ExitStack, server: AbstractContextManager[Server]) -> Side:
    """Start a server and a load for it; both end with `stack`."""
    started = stack.enter_context(server)
    return Side(started, stack.enter_context(load(started)))


def in_turns(ours: Callable[[], Figure], base: Callable[[], Figure]) -> Measure:
    """Return what measures both, and goes first with the other one each time."""
    flip = False

    def measure() -> Pair:
        nonlocal flip
        flip = not flip
        if flip:
            return Pair(ours(), base())
        second = base()
        return Pair(ours(), second)

    return measure


def orders(connections: int, depth: int, takes: int = 0, *options: str) -> Open:
    """Return the row of commands and their replies, beside an echo of the same commands."""

    @contextmanager
    def opened(size: Size) -> Iterator[Measure]:
        with ExitStack() as stack:
            sides = [side(stack, fastbook(*options)), side(stack, bare("echo"))]
            for each in sides:
                each.load.ask(f"open {size.of(connections)} {TRADERS} {int(each is sides[0])}")
                each.load.ask(f"flow {size.of(LIVE)} {takes} 1")
                each.load.ask("fill")
                each.load.ask(f"run {size.seconds / 2} {depth}")  # warm up
            run = f"run {size.seconds} {depth}"
            yield in_turns(*(partial(each.rate, run) for each in sides))

    return opened


ROWS = (
    Row(
        "order-64x1",
        "order to own report, in memory: 64 connections, one command in flight each",
        "bare aiohttp echo of the same bytes",
        *("replies/s", True, 0.70, 1.0),
        orders(64, 1),
    ),
    Row(
        "order-16x64",
        "the same pipelined: 16 connections, 64 in flight each",
        "bare aiohttp echo, same pattern",
        *("replies/s", True, 2.5, 4.0),
        orders(16, 64),
    ),
    Row(
        "trade-64x1",
        "64 x 1, 8% of the commands trade twice, which both owners are told",
        "bare aiohttp echo of the same bytes",
        *("replies/s", True, 0.70, 1.0),
        orders(64, 1, 80),
    ),
    Row(
        "trade-16x64",
        "16 x 64, 8% of the commands trade twice",
        "bare aiohttp echo, same pattern",
        *("replies/s", True, 2.5, 4.0),
        orders(16, 64, 80),
    ),
)
