"""A cluster beside one process, by turns on this machine, into RESULTS.md.

    python -m benchmarks.bench_cluster                       7 turns, 20 takeovers and handovers
    python -m benchmarks.bench_cluster --pairs 3 --rate 500

Both write to one PostgreSQL each; the log is kept by three NATS servers. CPU is that of the
processes, per command, at the same rate; waits are those of `fastbook bench`, an open loop.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import fastbook_client
from benchmarks.server.processes import cpu_s
from benchmarks.tables import heading, put_part, table
from fastbook_server.cluster.nats_nodes import NatsNodes
from fastbook_server.embedded.supervisor import EmbeddedPostgres

PATIENCE_S = 60.0
ROLES = ("matcher", "standby", "gateway", "recorder")


class Program:
    """A ``fastbook`` command that serves; ``url`` is where."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fastbook_cli", *arguments, "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def ready(self) -> str:
        assert self._process.stdout is not None, "asked for"
        self.url = self._process.stdout.readline().split()[-1]
        return self.url

    @property
    def cpu_s(self) -> float:
        return cpu_s(self._process.pid)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)
        if number != signal.SIGTERM:
            self._process.wait()

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(PATIENCE_S)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench_cluster",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pairs", type=int, default=7, help="turns of each side")
    parser.add_argument("--rate", type=int, default=1_000, help="commands per second")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each turn")
    parser.add_argument("--takeovers", type=int, default=20, help="and as many handovers")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fastbook-bench-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL's own user must be able to enter
        parts = asyncio.run(_measured(Path(folder), given))
    changed = vars(given) != vars(parser.parse_args([]))
    top = heading("make bench-cluster", changed=changed, libraries="NATS 2.15")
    text = "\n\n".join([top, *parts]) + "\n"
    print(text)
    put_part("make bench-cluster", text)


async def _measured(folder: Path, given: argparse.Namespace) -> list[str]:
    nodes = NatsNodes(folder / "nats", 3)
    postgres = EmbeddedPostgres(folder / "postgres")
    await nodes.start()
    with contextlib.ExitStack() as ends:
        ends.callback(nodes.stop)
        url = await postgres.start()
        try:
            cluster = await _cluster(nodes, url, ends)
            single = Program("serve", "--data-dir", str(folder / "single"))
            try:
                single.ready()
                turns = await _turns(single, cluster, given)
            finally:
                single.stop()
            pauses = await _pauses(nodes, url, cluster, given.takeovers, ends)
            ends.close()
        finally:
            await postgres.stop()
    return [turns, pauses]


def _options(nodes: NatsNodes, url: str) -> tuple[str, ...]:
    return ("--log", ",".join(nodes.urls), "--database-url", url)


async def _cluster(nodes: NatsNodes, url: str, ends: contextlib.ExitStack) -> dict[str, Program]:
    """Return the processes of a cluster by role; the first matcher owns the market."""
    options = _options(nodes, url)
    processes: dict[str, Program] = {}
    for role in ("recorder", "matcher", "gateway", "standby"):
        processes[role] = Program("matcher" if role == "standby" else role, *options)
        ends.callback(processes[role].stop)
        await asyncio.to_thread(processes[role].ready)
        if role == "gateway":
            async with fastbook_client.connect(processes[role].url) as ann:
                await ann.cancel_all()  # now the market has an owner
    return processes


async def _turns(single: Program, cluster: dict[str, Program], given: argparse.Namespace) -> str:
    rows: list[dict[str, float]] = []
    for turn in range(given.pairs):
        print(f"turn {turn + 1} of {given.pairs}", file=sys.stderr)
        alone = await _bench([single], single.url, given)
        together = await _bench(list(cluster.values()), cluster["gateway"].url, given)
        costs = dict(zip(cluster, together["cpu"], strict=True))
        rows.append(
            {
                "p50": together["p50"] / alone["p50"],
                "p99": together["p99"] / alone["p99"],
                "single": alone["cpu"][0],
                **costs,
                "ratio": costs["matcher"] / alone["cpu"][0],
                "p50 single": alone["p50"],
                "p50 cluster": together["p50"],
            }
        )

    def median(name: str) -> float:
        return statistics.median(row[name] for row in rows)

    costs = [["`fastbook serve`", f"{median('single'):.0f}"]]
    costs += [[role, f"{median(role):.0f}"] for role in ROLES]
    return "\n\n".join(
        [
            f"At {given.rate:,} commands per second at one gateway, {given.pairs} turns, medians:",
            table(
                ["cluster against one process", "ratio"],
                [
                    ["wait, p50", f"{median('p50'):.2f}"],
                    ["wait, p99", f"{median('p99'):.2f}"],
                    ["CPU of the matcher against that of the server", f"{median('ratio'):.2f}"],
                ],
            ),
            table(["process", "µs of CPU per command"], costs),
            f"p50: {median('p50 single'):.1f} ms alone, {median('p50 cluster'):.1f} ms together.",
        ]
    )


async def _bench(processes: list[Program], url: str, given: argparse.Namespace) -> dict[str, Any]:
    """Return the waits in ms, and the CPU of each process in microseconds per command."""
    before = [process.cpu_s for process in processes]
    arguments = ("--url", url, "--rate", str(given.rate), "--seconds", str(given.seconds), "--json")
    done = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fastbook_cli", "bench", "--warm-up", "0", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    out, _ = await done.communicate()
    report = json.loads(out)
    used = [
        (p.cpu_s - b) * 1e6 / report["commands"] for p, b in zip(processes, before, strict=True)
    ]
    waits = report["waits"]["all"]
    return {"p50": waits["p50"], "p99": waits["p99"], "cpu": used}


async def _pauses(
    nodes: NatsNodes,
    url: str,
    cluster: dict[str, Program],
    count: int,
    ends: contextlib.ExitStack,
) -> str:
    """Kill the owner, and stop it, again and again; tell how long one order waited."""
    found: dict[str, list[float]] = {"killed": [], "stopped": []}
    owner, standby = cluster["matcher"], cluster["standby"]
    refused = 0
    async with fastbook_client.connect(cluster["gateway"].url) as ann:
        for turn in range(2 * count):
            what, number = (
                ("killed", signal.SIGKILL) if turn % 2 == 0 else ("stopped", signal.SIGTERM)
            )
            print(f"{what}: {turn // 2 + 1} of {count}", file=sys.stderr)
            began_s = time.monotonic()
            owner.signal(number)
            order = await ann.limit("bid", 1, 1)
            found[what].append(time.monotonic() - began_s)
            refused += order.status != "open"
            await ann.cancel_all()
            owner.stop()
            owner, standby = standby, Program("matcher", *_options(nodes, url))
            ends.callback(standby.stop)
            await asyncio.to_thread(standby.ready)
            await asyncio.sleep(1.5)  # the owner's next sign of life is heard by the standby
    rows = [
        [f"the owner is {what}", f"{statistics.median(s):.2f}", f"{max(s):.2f}"]
        for what, s in found.items()
    ]
    shown = table([f"wait of one order, {count} times", "median, s", "longest, s"], rows)
    return f"{shown}\n\nRefused: {refused}."


if __name__ == "__main__":
    main()
