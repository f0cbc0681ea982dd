"""The server's speed, beside the least that could do the same work: the bare baselines.

    python -m benchmarks.bench_server                        the whole table, into RESULTS.md
    python -m benchmarks.bench_server order-64x1 order-16x64 some rows
    python -m benchmarks.bench_server --quick order-64x1     one pair each, into no file

Server and baseline run at the same time and are measured in turns, a window each, so that what
slows the machine slows both. The server has the first core for itself, PostgreSQL and the load
share the second. A figure is the median over the pairs, a ratio the median of the pairs' ratios.
The load is a C program (``server/load.c``); how busy it was stands beside each rate: what it could
not have sent faster is no measurement of a server.
"""

from __future__ import annotations

import argparse
import contextlib
import operator
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.server.processes import LoadError, NoLoadError, cores, load_program, pin
from benchmarks.server.row import AbsentError, Figure, Pair, Row, Size
from benchmarks.server.rows import ROWS
from benchmarks.tables import heading, put_part, table
from fastbook_server.embedded.supervisor import EmbeddedError

PAIRS = 7
SECONDS = 2.0
BUSY_MAX = 0.9
"""Beyond this share of its core, the load may be what limits a rate."""
STARVED_MAX = 0.05
"""Beyond this share of the time without a core, other programs disturbed the measurement."""


class Result(NamedTuple):
    """A row with its pairs, or the reason why there are none."""

    row: Row
    pairs: Sequence[Pair]
    failure: str = ""

    def ratio(self) -> float:
        """Return the median ratio, or the median value of a row without a baseline."""
        return statistics.median(
            pair.ours.value / pair.base.value if pair.base else pair.ours.value
            for pair in self.pairs
        )

    def verdict(self) -> str:
        """Return whether the row reaches what it must, or even what it aims at."""
        better = operator.ge if self.row.more else operator.le
        ratio = self.ratio()
        if better(ratio, self.row.aim):
            return "aim"
        return "yes" if better(ratio, self.row.must) else "no"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench_server",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [row.name for row in ROWS]
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"default: {', '.join(names)}")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="one short pair, nothing is written")
    given = parser.parse_args()
    for name in given.rows:
        if name not in names:
            parser.error(f"{name}: expected rows among {', '.join(names)}")
    rows = [row for row in ROWS if row.name in (given.rows or names)]
    pairs, seconds = (1, min(1.0, given.seconds)) if given.quick else (given.pairs, given.seconds)
    try:
        load_program()
    except NoLoadError as error:
        sys.exit(f"bench_server: {error}")
    pin(0, cores().others)
    text = report(measured(rows, pairs, Size(seconds)), pairs, seconds)
    print(text)
    if not given.quick and not given.rows:
        put_part("make bench-server", text)


def measured(rows: Sequence[Row], pairs: int, size: Size) -> list[Result]:
    """Measure some rows, with a progress bar; a row that cannot be measured says why."""
    found = []
    console = Console(stderr=True)
    with progress(console, len(rows) * pairs) as advance:
        for row in rows:
            advance(row.name, 0)
            got: list[Pair] = []
            try:
                with row.open(size) as measure:
                    for _ in range(pairs):
                        got.append(measure())
                        advance(row.name, 1)
                found.append(Result(row, got))
            except (AbsentError, EmbeddedError, LoadError, OSError) as error:
                found.append(Result(row, got, str(error)))
                advance(row.name, pairs - len(got))
    return found


@contextlib.contextmanager
def progress(console: Console, total: int) -> Iterator[Callable[[str, int], None]]:
    """Yield what shows a name and counts so many pairs more."""
    columns = (
        TextColumn("{task.description:16}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda name, count: bar.update(task, description=name, advance=count)


# ---- the report ---------------------------------------------------------------------------------


def report(results: Sequence[Result], pairs: int, seconds: float) -> str:
    """Return the part of RESULTS.md: what was measured, and how."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "uvloop", "asyncpg"))
    where = (
        "server on one core, PostgreSQL and load on another"
        if cores().server
        else "nothing was pinned to a core"
    )
    first = heading("make bench-server", changed=len(sys.argv) > 1, libraries=libraries)
    how = (
        f"Median of {pairs} pairs of windows of {seconds:g} s, both sides in turns; {where}. "
        "CPU is that of the server per message; load is how busy the generator was at most."
    )
    head = ["", "fastbook", "CPU", "against", "CPU", "ratio", "of CPU", "must", "aim", "reached"]
    head.append("load")
    lines = [cells(result) for result in results]
    return f"{first}\n{how}{disturbed(results)}\n\n{table(head, lines)}\n"


def disturbed(results: Sequence[Result]) -> str:
    """Return a line that says how much other programs disturbed the servers, if they did."""
    pairs = [pair for result in results for pair in result.pairs]
    sides = [figure for pair in pairs for figure in pair if figure]
    starved = [figure.starved for figure in sides if figure.starved is not None]
    share = statistics.median(starved) if starved else 0.0
    if share <= STARVED_MAX:
        return ""
    return (
        f"\nFor {share:.0%} of the time, other programs had the core that a server wanted: "
        "rates and waits could be better; CPU and its ratios hold."
    )


def cells(result: Result) -> list[str]:
    """Return the cells of a row; one that could not be measured says why."""
    row = result.row
    if not result.pairs:
        return [row.what, f"not measured: {result.failure}", *[""] * 9]
    ours = [pair.ours for pair in result.pairs]
    base = [pair.base for pair in result.pairs if pair.base]
    busiest = max((f.busy for f in (*ours, *base) if f.busy is not None), default=None)
    sign = "≥" if row.more else "≤"
    suffix = "x" if base else f" {row.unit}"
    return [
        f"{row.what} (`{row.name}`)",
        value(ours, row.unit),
        cpu(ours),
        f"{row.against}: {value(base, row.unit)}" if base else row.against,
        cpu(base),
        f"{result.ratio():.2f}x" if base else "",
        cpu_ratio(result.pairs),
        f"{sign} {row.must:g}{suffix}",
        f"{sign} {row.aim:g}{suffix}",
        result.verdict(),
        "" if busiest is None else f"{busiest:.0%}" + (" (limits)" if busiest > BUSY_MAX else ""),
    ]


def cpu_ratio(pairs: Sequence[Pair]) -> str:
    """Return how often the server's CPU per message fits into the baseline's, as a rate would.

    On a machine that others use too, it says more than the ratio of two rates.
    """
    known = [
        pair.base.cpu_us / pair.ours.cpu_us
        for pair in pairs
        if pair.base and pair.base.cpu_us and pair.ours.cpu_us
    ]
    return f"{statistics.median(known):.2f}x" if known else ""


def value(figures: Sequence[Figure], unit: str) -> str:
    """Return the median of some values with its unit."""
    middle = statistics.median(f.value for f in figures)
    digits = 0 if middle >= 100 else 1 if middle >= 10 else 2
    return f"{middle:,.{digits}f} {unit}"


def cpu(figures: Sequence[Figure]) -> str:
    """Return the median CPU time per message."""
    known = [f.cpu_us for f in figures if f.cpu_us is not None]
    return f"{statistics.median(known):.1f} us" if known else ""


if __name__ == "__main__":
    main()
