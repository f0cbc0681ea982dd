"""Rows about orders that are durable before they are acknowledged, beside bare loops of commits."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.server.databases import cluster
from benchmarks.server.processes import Answer, Program, Server, commits, fastbook
from benchmarks.server.row import LIVE, Figure, Measure, Open, Pair, Side, Size, in_turns, side

TRADERS = 16
OPEN = 200_000
"""Open orders of a large market; the bare loop has as many."""
TAKES = 75
"""Of 1,000 commands: as the bare loop, in which 15% of the orders trade."""


def _sides(stack: ExitStack, traders: int, live: int, takes: int) -> tuple[Side, Program]:
    """Return a server with so many open orders of each trader, and a bare loop with as many."""
    databases = [stack.enter_context(cluster().database()) for _ in range(2)]
    ours = side(stack, fastbook("--database-url", databases[0]))
    ours.connect(traders)
    ours.trade(live, takes)
    return ours, stack.enter_context(commits(databases[1], traders * live))


def _of_bare(bare: Program, command: str) -> Figure:
    """Return the commands per second of a bare loop, and its own CPU for each."""
    answer = bare.ask(command)
    return Figure(answer.replies / answer.seconds, answer.cpu / answer.replies * 1e6)


@contextmanager
def small_batches(size: Size) -> Iterator[Measure]:
    """Measure the report's p50, 64 x 1, beside one statement that commits 64 commands; in ms."""
    with ExitStack() as stack:
        ours, bare = _sides(stack, size.of(64), size.of(LIVE), TAKES)

        def waits() -> Figure:
            return ours.measured(f"run {size.seconds} 1", lambda answer: answer.p50 / 1_000)

        def commit() -> Figure:
            answer = bare.ask(f"one {size.seconds} {size.of(64)}")
            return Figure(answer.p50 / 1_000, answer.cpu / answer.replies * 1e6)

        waits()
        yield in_turns(waits, commit)


@contextmanager
def sustained(size: Size) -> Iterator[Measure]:
    """Measure commands per second, 16 x 64, beside a bare loop of batches of 1,000."""
    with ExitStack() as stack:
        ours, bare = _sides(stack, TRADERS, size.of(OPEN // TRADERS), TAKES)
        ours.load.ask(f"run {size.seconds} 64")
        yield in_turns(
            lambda: ours.rate(f"run {size.seconds} 64"),
            lambda: _of_bare(bare, f"loop {size.seconds} {size.of(1_000)}"),
        )


def at_half(percentile: str) -> Open:
    """Return what measures a percentile of the report's latency at half the sustained rate.

    The baseline is the same percentile of the bare loop's transactions, of as many commands as the
    server commits at once under this load; in ms.
    """

    def milliseconds(answer: Answer) -> float:
        time_us: float = getattr(answer, percentile)
        return time_us / 1_000

    @contextmanager
    def opened(size: Size) -> Iterator[Measure]:
        with ExitStack() as stack:
            ours, bare = _sides(stack, TRADERS, size.of(OPEN // TRADERS), TAKES)
            most = ours.rate(f"run {size.seconds} 64").value
            rate = f"rate {size.seconds} {max(1, int(most / 2))}"

            def measure() -> Pair:
                before = batches(ours.server)
                waited = ours.measured(rate, milliseconds)
                commands, count = (b - a for a, b in zip(before, batches(ours.server), strict=True))
                committed = bare.ask(f"loop {size.seconds} {max(1, round(commands / count))}")
                spent_us = committed.cpu / committed.replies * 1e6
                return Pair(waited, Figure(milliseconds(committed), spent_us))

            yield measure

    return opened


def batches(server: Server) -> tuple[float, float]:
    """Return how many commands a server has committed, and in how many batches."""
    with urllib.request.urlopen(f"{server.url}/metrics") as answer:
        text = answer.read().decode()
    found = (
        re.search(rf"^fastbook_batch_commands_{name} (\S+)$", text, re.M)
        for name in ("sum", "count")
    )
    commands, count = (float(match[1]) for match in found if match)
    return commands, count


@contextmanager
def start(size: Size) -> Iterator[Measure]:
    """Measure a start with 1M open orders, beside a COPY of their table; in seconds."""
    with ExitStack() as stack:
        database = stack.enter_context(cluster().database())
        with ExitStack() as first:
            ours = side(first, fastbook("--database-url", database))
            ours.connect(10)
            ours.trade(size.of(100_000))

        def starts() -> Figure:
            began = time.perf_counter()
            with fastbook("--database-url", database) as server:
                return Figure(time.perf_counter() - began, server.cpu_s * 1e6 / size.of(1_000_000))

        def copied() -> Figure:
            began = time.perf_counter()
            cluster().copied_out(database, "SELECT * FROM fastbook.open_orders")
            return Figure(time.perf_counter() - began)

        starts()
        yield in_turns(starts, copied)
