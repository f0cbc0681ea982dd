"""What a row of the table of `benchmarks.bench_server` is, and the two sides that it measures."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import NamedTuple

from benchmarks.server.processes import Answer, Program, Server, load

TRADERS = "/ws?feed=none"
READERS = "/ws"
OPENING_FRAMES = {TRADERS: 1, READERS: 3}
LIVE = 100
"""Open orders of each trader, where a row says nothing else."""


class AbsentError(Exception):
    """What a row needs is not installed."""


class Size(NamedTuple):
    """How much a row measures: `seconds` of each window, and a share of its counts."""

    seconds: float
    scale: float = 1.0

    def of(self, count: int) -> int:
        """Return a count, scaled down; at least 4."""
        return max(4, int(count * self.scale))


class Figure(NamedTuple):
    """One measurement of one side.

    `cpu_us` is the CPU of the server per message, `busy` the share of its core that the load used,
    `starved` the share of the time in which the server wanted its core and other programs had it;
    None: not measured.
    """

    value: float
    cpu_us: float | None = None
    busy: float | None = None
    starved: float | None = None


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


class Side(NamedTuple):
    """A server, or a bare one, and the load on it."""

    server: Server
    load: Program

    def connect(self, count: int, path: str = TRADERS, *, bare: bool = False) -> Answer:
        """Open so many connections at once; wait for their opening frames."""
        return self.load.ask(f"open {count} {path} {0 if bare else OPENING_FRAMES[path]}")

    def trade(self, live: int, takes: int = 0, markets: int = 1, *, first: int = 0) -> None:
        """Let the traders from `first` on have so many open orders each; see ``load.c``."""
        self.load.ask(f"flow {live} {takes} {markets} {first}")
        self.load.ask("fill")

    def measured(self, command: str, value: Callable[[Answer], float]) -> Figure:
        """Return a value of the load's answer to a command, and what it took."""
        before, starved = self.server.cpu_s, self.server.starved_s
        answer = self.load.ask(command)
        spent_us = (self.server.cpu_s - before) / answer.messages * 1e6
        starved = (self.server.starved_s - starved) / answer.seconds
        return Figure(value(answer), spent_us, answer.busy, starved)

    def rate(self, command: str) -> Figure:
        """Return the messages per second while the load obeys a command."""
        return self.measured(command, lambda answer: answer.messages / answer.seconds)

    def cpu(self, command: str) -> Figure:
        """Return the CPU us of the server per message while the load obeys a command."""
        figure = self.measured(command, lambda _: 0.0)
        assert figure.cpu_us is not None, "just measured"
        return figure._replace(value=figure.cpu_us)


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
