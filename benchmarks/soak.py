"""A long run at half of what the server sustains: its memory and its descriptors must stay flat.

    python -m benchmarks.soak                  30 minutes, with a database of its own
    python -m benchmarks.soak --minutes 2      a look
    python -m benchmarks.soak --rate 2000      at this rate instead of half the peak

Prints a line per interval and ends with how both have moved since the first quarter of the time.
The exit code is 1 if the memory has grown by more than ``GROWTH_MAX`` since then, or descriptors
are left.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack
from typing import NamedTuple

from benchmarks.server.databases import cluster
from benchmarks.server.processes import NoLoadError, Server, cores, fastbook, load_program, pin
from benchmarks.server.row import side

TRADERS = 64
LIVE = 200
TAKES = 75
PEAK_S = 5
GROWTH_MAX = 0.05
IDS_MAX = "2000"
"""Client order ids remembered for each trader: by default so many that memory grows for hours."""


class Look(NamedTuple):
    """What the server holds at one moment."""

    rss_bytes: int
    descriptors: int

    @classmethod
    def at(cls, server: Server) -> Look:
        """Look now."""
        return cls(server.rss_bytes, len(os.listdir(f"/proc/{server.pid}/fd")))


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=30.0, help="default: %(default)g")
    parser.add_argument("--rate", type=int, help="commands per second; default: half the peak")
    parser.add_argument(
        "--interval", type=float, default=30.0, help="seconds; default: %(default)g"
    )
    given = parser.parse_args()
    try:
        load_program()
    except NoLoadError as error:
        sys.exit(f"soak: {error}")
    pin(0, cores().others)
    return soak(given.minutes * 60, given.rate, given.interval)


def soak(seconds: float, rate: int | None, interval_s: float) -> int:
    """Load a server for so long; return the exit code."""
    with ExitStack() as stack:
        database = stack.enter_context(cluster().database())
        ours = side(stack, fastbook("--database-url", database, "--client-order-ids-max", IDS_MAX))
        ours.connect(TRADERS)
        ours.trade(LIVE, TAKES)
        if rate is None:
            peak = ours.load.ask(f"run {PEAK_S} 16")
            rate = max(1, int(peak.replies / peak.seconds / 2))
        print(f"{rate:,} commands/s, {TRADERS} connections, {seconds / 60:g} minutes", flush=True)
        looks = []
        for n in range(max(4, int(seconds / interval_s))):
            cpu_s = ours.server.cpu_s
            answer = ours.load.ask(f"rate {interval_s:g} {rate}")
            looks.append(Look.at(ours.server))
            spent_us = (ours.server.cpu_s - cpu_s) / answer.replies * 1e6
            print(
                f"{(n + 1) * interval_s / 60:6.1f} min  "
                f"RSS {looks[-1].rss_bytes / 2**20:7.1f} MiB  "
                f"{looks[-1].descriptors} descriptors  {answer.replies / answer.seconds:,.0f}/s  "
                f"p50 {answer.p50 / 1_000:.1f} ms  p99 {answer.p99 / 1_000:.1f} ms  "
                f"CPU {spent_us:.1f} us",
                flush=True,
            )
        return verdict(looks)


def verdict(looks: list[Look]) -> int:
    """Print how memory and descriptors have moved since the first quarter; return the exit code."""
    first, last = looks[len(looks) // 4], looks[-1]
    growth = last.rss_bytes / first.rss_bytes - 1
    more = last.descriptors - first.descriptors
    print(f"since the first quarter: RSS {growth:+.1%}, descriptors {more:+d}")
    return int(growth > GROWTH_MAX or more > 0)


if __name__ == "__main__":
    sys.exit(main())
