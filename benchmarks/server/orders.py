"""Rows about orders and their reports, in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from benchmarks.server.processes import bare, fastbook
from benchmarks.server.row import LIVE, Measure, Open, Side, Size, in_turns, side


def beside_echo(connections: int, depth: int, takes: int = 0) -> Open:
    """Return what measures commands and their replies beside an echo of the same commands.

    `depth` commands of each connection are unanswered; `takes` of 1,000 trade.
    """

    @contextmanager
    def opened(size: Size) -> Iterator[Measure]:
        with ExitStack() as stack:
            sides = [side(stack, fastbook()), side(stack, bare("echo"))]
            for each in sides:
                each.connect(size.of(connections), bare=each is sides[1])
                each.trade(size.of(LIVE), takes)
            yield _runs(sides, size, depth)

    return opened


def beside_reference(connections: int, depth: int) -> Open:
    """Return what measures the server beside itself with the rules in plain Python."""

    @contextmanager
    def opened(size: Size) -> Iterator[Measure]:
        with ExitStack() as stack:
            sides = [side(stack, fastbook(*o)) for o in ((), ("--engine", "reference"))]
            for each in sides:
                each.connect(size.of(connections))
                each.trade(size.of(LIVE))
            yield _runs(sides, size, depth)

    return opened


def _runs(sides: list[Side], size: Size, depth: int) -> Measure:
    for each in sides:
        each.load.ask(f"run {size.seconds / 2} {depth}")  # warm up
    run = f"run {size.seconds} {depth}"
    return in_turns(*(partial(each.rate, run) for each in sides))


@contextmanager
def many_securities(size: Size) -> Iterator[Measure]:
    """Measure the CPU per order with 50 securities and 1M resting orders beside 1 and 1,000."""
    traders, depth = 50, 4
    with ExitStack() as stack:
        markets = min(50, size.of(50))
        sides = [side(stack, fastbook(markets=markets)), side(stack, fastbook())]
        for each, live, count in zip(sides, (20_000, 20), (markets, 1), strict=True):
            each.connect(size.of(traders))
            each.trade(size.of(live), 0, count)
            each.load.ask(f"run {size.seconds / 2} {depth}")
        run = f"run {size.seconds} {depth}"
        yield in_turns(*(partial(each.cpu, run) for each in sides))
