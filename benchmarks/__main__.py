"""Run every benchmark, print the tables and write them to benchmarks/RESULTS.md."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from benchmarks import measure
from benchmarks.flows import Flow, flow
from benchmarks.peers import PEERS
from benchmarks.tables import heading, put_part, table
from fastbook import OrderBook, reference


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--no-peers", action="store_true")
    arguments = parser.parse_args()
    flows = [flow(name, arguments.operations) for name in ("mixed", "deep")]
    for each in flows:
        measure.check(each)
    sections = [
        heading("make bench", changed=len(sys.argv) > 1, libraries=f"NumPy {np.__version__}")
        + "\nCPU time of one thread; median of interleaved rounds. "
        "A checksum proves that all engines make the same trades.",
        flow_tables(flows, arguments.rounds),
        properties(*flows),
        operations(),
    ]
    if not arguments.no_peers:
        sections.append(peer_table())
    text = "\n\n".join(sections) + "\n"
    print(text)
    put_part("make bench", text)


def flow_tables(flows: list[Flow], rounds: int) -> str:
    """Return the table of whole flows: ns per operation of each engine."""
    floors = {name: measure.floor(ahead) for name, ahead in FLOORS.items()}
    columns = [flow_times(each, rounds, floors) for each in flows]
    rows = []
    for name in columns[0]:
        row = [name]
        for times in columns:
            baseline = times["plain Python (`benchmarks/plain.py`)"]
            if times[name]:
                row += [f"{times[name]:.0f}", f"{baseline / times[name]:.1f}"]
            else:
                row += ["absent", ""]
        rows.append(row)
    head = ["ns per operation", "mixed", "speed-up", "deep", "speed-up"]
    note = "The speed-up is over plain Python."
    return "## Order flows\n\n" + table(head, rows) + f"\n\n{note}"


FLOORS = {
    "C floor: no checks, no events, no limits": False,
    "C floor with prefetching": True,
}


def flow_times(each: Flow, rounds: int, floors: dict[str, Path | None]) -> dict[str, float]:
    rows = each.rows()
    engines = {name: measure.floored(each, path) for name, path in floors.items() if path}
    engines |= {
        "**fastbook, `process`**": measure.processed(each, each.commands),
        "fastbook, `process`, random 63-bit ids": measure.processed(each, each.with_sparse_ids()),
        "**fastbook, one call per operation**": measure.called(each, rows, OrderBook),
        "plain Python (`benchmarks/plain.py`)": measure.plain(each, rows),
    }
    times = measure.in_turns(engines, rounds)
    one = measure.called(each, rows, reference.OrderBook)
    times["`fastbook.reference`, one round"] = one()
    return dict.fromkeys(floors, 0.0) | times


def properties(mixed: Flow, deep: Flow) -> str:
    """Return the table of single properties of the book."""
    near, far = measure.far_prices()
    process, restore = measure.restored(deep)
    count, grown = measure.growth(20)
    rows = [
        [
            "memory per resting order, with a million orders",
            f"{measure.bytes_per_order(deep):.0f} bytes",
        ],
        [f"growth while {count:,} orders come and go and one old order rests", f"{grown:,} bytes"],
        ["add near the market / alternately at ticks 1 and 10^12", f"{near:.0f} / {far:.0f} ns"],
        ["a million orders by `process` / by `restore`", f"{process:.0f} / {restore:.0f} ns each"],
        [
            "throughput of two books in two threads over one in one",
            f"{measure.two_threads(mixed):.2f} x",
        ],
    ]
    return "## Properties\n\n" + table(["", "measured"], rows)


def operations() -> str:
    """Run test_operations.py; return the table of ns per call."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "operations.json"
        subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
                *("-p", "no:xdist", "--benchmark-disable-gc", f"--benchmark-json={file}"),
                str(Path(__file__).with_name("test_operations.py")),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        found = json.loads(file.read_text())["benchmarks"]
    times: dict[str, dict[str, float]] = {}
    for each in found:
        taken = each["stats"]["median"] / each["extra_info"]["calls"] * 1e9
        times.setdefault(each["params"]["kind"], {})[each["params"]["maker"]] = taken
    rows = [
        [kind, f"{t['Cython']:.0f}", f"{t['reference']:.0f}", f"{t['reference'] / t['Cython']:.1f}"]
        for kind, t in times.items()
    ]
    head = ["ns per call, loop included", "`OrderBook`", "`reference.OrderBook`", "speed-up"]
    return "## Kinds of operation\n\n" + table(head, rows)


def peer_table() -> str:
    """Return the table of other order books: the first 100,000 operations of `mixed`."""
    short = flow("mixed", 100_000)
    rows = short.rows()
    ours = measure.called(short, rows, OrderBook)()
    lines = [["fastbook, one call per operation", f"{ours:.0f}", "1", "the same"]]
    for other in PEERS:
        try:
            name = f"{other.name} {version(other.name)} ({other.what})"
            taken, trades = measure.peer(short, rows, other)
        except (PackageNotFoundError, ImportError, OSError):
            lines.append([f"{other.name} ({other.what})", "absent", "", ""])
        except Exception as error:  # noqa: BLE001 - whatever a foreign engine raises is a result
            lines.append([name, f"fails: {type(error).__name__}", "", ""])
        else:
            lines.append([name, f"{taken:.0f}", f"{taken / ours:.0f}", trades])
    head = ["ns per operation, one call each", "mixed", "relative time", "trades"]
    return (
        "## Order books that pip can install\n\n"
        f"{table(head, lines)}\n\n"
        "`pip install 'fastbook-exchange[peers]'` installs all of them except orderly-chaos; "
        "those marked absent could not be installed here."
    )


if __name__ == "__main__":
    main()
