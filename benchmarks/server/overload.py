"""Rows about a server that is offered more than it can make durable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.server.databases import cluster
from benchmarks.server.durable import TAKES, TRADERS
from benchmarks.server.processes import Answer, fastbook
from benchmarks.server.row import Figure, Measure, Open, Pair, Size, side

TIMES = 3
"""What is offered, in rates that the server sustains."""


def accepted_rate(answer: Answer) -> float:
    """Return how many commands were accepted per second."""
    return (answer.replies - answer.refused) / answer.seconds


def accepted_p90_ms(answer: Answer) -> float:
    """Return the 90th percentile of the report's latency, of what was accepted."""
    return answer.p90 / 1_000


def at_three_times(value: Callable[[Answer], float]) -> Open:
    """Return what measures a value under an open load of three times the peak, beside the peak.

    The peak is a closed loop of 16 connections with 64 commands in flight each.
    """

    @contextmanager
    def opened(size: Size) -> Iterator[Measure]:
        with ExitStack() as stack:
            database = stack.enter_context(cluster().database())
            ours = side(stack, fastbook("--database-url", database))
            ours.connect(TRADERS)
            ours.trade(size.of(1_000), TAKES)
            ours.load.ask(f"run {size.seconds} 64")  # warm up

            def measure() -> Pair:
                peak = ours.load.ask(f"run {size.seconds} 64")
                rate = max(1, int(TIMES * accepted_rate(peak)))
                loaded = ours.measured(f"rate {size.seconds} {rate}", value)
                return Pair(loaded, Figure(value(peak), None, peak.busy))

            yield measure

    return opened
