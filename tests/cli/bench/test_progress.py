"""How far a bench is: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

from rich.console import Console

from fastbook_cli.bench.mix import Mix
from fastbook_cli.bench.run import BenchOptions, shown
from fastbook_cli.bench.trader import Tally

OPTIONS = BenchOptions(
    url="http://x",
    security=None,
    rate=100.0,
    connections=1,
    in_flight=1,
    seconds=20.0,
    warm_up=0.0,
    mix=Mix(),
    open_orders=1,
    seed=1,
)


def at(bench: Any, seconds: float) -> None:
    """Let a bench be so far, with 100 answers a second."""
    bench.seconds = seconds
    bench.tally.answers = round(100 * seconds)


def bench_that_answers() -> Any:
    tally = Tally()
    tally.waits["place"].add(0.75)
    return SimpleNamespace(seconds=0.0, tally=tally)


def test_without_a_terminal_there_is_a_line_every_five_seconds():
    file, bench = io.StringIO(), bench_that_answers()
    with shown(Console(file=file), OPTIONS, bench) as show:
        for seconds in (0.0, 1.0, 5.1, 6.0, 9.9, 10.2):
            at(bench, seconds)
            show()
    assert file.getvalue().splitlines() == [
        "5 of 20 s, 100 commands/s, p50 0.75 ms, p99 0.75 ms",
        "10 of 20 s, 100 commands/s, p50 0.75 ms, p99 0.75 ms",
    ]


def test_on_a_terminal_a_bar_moves():
    file, bench = io.StringIO(), bench_that_answers()
    console = Console(file=file, force_terminal=True, width=120)
    with shown(console, OPTIONS, bench) as show:
        show()
        at(bench, 10.0)
        show()
    assert "warming up" in file.getvalue()
    assert "100 commands/s, p50 0.75 ms" in file.getvalue()
