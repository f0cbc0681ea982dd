"""A market of two shards beside the same market in one, by turns, into RESULTS.md.

    python -m benchmarks.bench_shards                        5 turns at 1,000 commands per second
    python -m benchmarks.bench_shards --pairs 3 --rate 500

Both have two securities, each with half of the commands, at one gateway, with logs and a PostgreSQL
of their own. CPU is that of the matchers that decide, at the same total rate: the less of its core
one takes, the more commands two carry, where cores allow.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import fastbook_client
from benchmarks.bench_cluster import Program
from benchmarks.tables import heading, put_part, table
from fastbook_server.cluster.nats_nodes import NatsNodes
from fastbook_server.embedded.supervisor import EmbeddedPostgres

SECURITIES = ("BTC-USD", "ETH-USD")
INSTRUMENTS = ("--instrument", "BTC-USD:0.01:0.0001", "--instrument", "ETH-USD:0.01:0.001")


class Side:
    """A cluster: its gateway, its recorder and the matcher of each shard."""

    def __init__(self, gateway: Program, recorder: Program, matchers: list[Program]) -> None:
        self.gateway, self.recorder, self.matchers = gateway, recorder, matchers


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench_shards",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pairs", type=int, default=5, help="turns of each side")
    parser.add_argument("--rate", type=int, default=1_000, help="commands per second")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each turn")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fastbook-bench-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL's own user must be able to enter
        part = asyncio.run(_measured(Path(folder), given))
    changed = vars(given) != vars(parser.parse_args([]))
    top = heading("make bench-shards", changed=changed, libraries="NATS 2.15")
    text = f"{top}\n\n{part}\n"
    print(text)
    put_part("make bench-shards", text)


async def _measured(folder: Path, given: argparse.Namespace) -> str:
    async with contextlib.AsyncExitStack() as ends:
        one = await _side(folder / "one", 1, ends)
        two = await _side(folder / "two", 2, ends)
        rows = []
        for turn in range(given.pairs):
            print(f"turn {turn + 1} of {given.pairs}", file=sys.stderr)
            rows.append((await _bench(one, given), await _bench(two, given)))
    return _told(rows, given)


async def _side(folder: Path, shards: int, ends: contextlib.AsyncExitStack) -> Side:
    """Return a cluster whose shards have owners."""
    nodes, postgres = NatsNodes(folder / "nats", 3), EmbeddedPostgres(folder / "postgres")
    await nodes.start()
    ends.callback(nodes.stop)
    url = await postgres.start()
    ends.push_async_callback(postgres.stop)
    options = ("--log", ",".join(nodes.urls), "--database-url", url, *INSTRUMENTS)
    options = (*options, "--shards", str(shards))

    async def started(*arguments: str) -> Program:
        program = Program(*arguments, *options)
        ends.callback(program.stop)
        await asyncio.to_thread(program.ready)
        return program

    recorder = await started("recorder")
    matchers = [await started("matcher", "--shard", str(n + 1)) for n in range(shards)]
    gateway = await started("gateway")
    async with fastbook_client.connect(gateway.url) as ann:
        await ann.cancel_all()  # now all shards have owners
    return Side(gateway, recorder, matchers)


async def _bench(side: Side, given: argparse.Namespace) -> dict[str, Any]:
    """Return the CPU in microseconds per command, of the whole market's, and the waits in ms."""
    programs = [*side.matchers, side.gateway, side.recorder]
    before = [program.cpu_s for program in programs]
    reports = await asyncio.gather(*(_load(side, each, given) for each in SECURITIES))
    commands = sum(report["commands"] for report in reports)
    used = [(p.cpu_s - b) * 1e6 / commands for p, b in zip(programs, before, strict=True)]
    return {
        "matchers": used[: len(side.matchers)],
        "gateway": used[-2],
        "recorder": used[-1],
        "p50": statistics.mean(report["waits"]["all"]["p50"] for report in reports),
    }


async def _load(side: Side, security: str, given: argparse.Namespace) -> dict[str, Any]:
    rate = str(given.rate // len(SECURITIES))
    where = ("--url", side.gateway.url, "--security", security)
    what = ("--rate", rate, "--seconds", str(given.seconds), "--warm-up", "0", "--json")
    done = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fastbook_cli", "bench", *where, *what),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    out, _ = await done.communicate()
    return dict(json.loads(out))


def _told(rows: list[tuple[dict[str, Any], dict[str, Any]]], given: argparse.Namespace) -> str:
    """Return the tables: medians of all turns."""

    def median(values: list[float]) -> float:
        return statistics.median(values)

    one = median([of_one["matchers"][0] for of_one, _ in rows])
    busiest = median([max(of_two["matchers"]) for _, of_two in rows])
    carries = median([a["matchers"][0] / max(b["matchers"]) for a, b in rows])
    costs = [["the matcher of the only shard", f"{one:.0f}"]]
    costs += [["the busier of the matchers of two", f"{busiest:.0f}"]]
    for name in ("gateway", "recorder"):
        ours = [f"{median([pair[n][name] for pair in rows]):.0f}" for n in (0, 1)]
        costs += [[f"the {name}, one shard", ours[0]], [f"the {name}, two shards", ours[1]]]
    waits = [f"{median([pair[n]['p50'] for pair in rows]):.1f} ms" for n in (0, 1)]
    return "\n\n".join(
        [
            f"At {given.rate:,} commands per second at one gateway, {given.pairs} turns, medians:",
            table(["process", "µs of CPU per command of the market"], costs),
            f"So two shards have room for {carries:.2f} x the commands of one, a core for each. "
            f"Waits, p50: {waits[0]} with one shard, {waits[1]} with two.",
        ]
    )


if __name__ == "__main__":
    main()
