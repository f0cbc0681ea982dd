"""Compare `fastbook.OrderBook` with `fastbook.reference` over millions of random commands.

    python -m benchmarks.compare 100_000_000

The flows are those of tests/engine/test_bulk.py, each time with a new seed. Every event of batches
and scalar calls must agree and, after each batch, so must all resting orders; the invariants of
each book must hold. Runs one process per core.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from itertools import count
from multiprocessing import Pool

from tests.engine.test_bulk import COMMANDS, FLOWS, Flow, compare


def compare_one(flow: Flow) -> int:
    """Compare the books over a flow, which is named by whatever goes wrong."""
    try:
        return compare(flow)
    except Exception as error:
        error.add_note(f"flow {flow.name}, seed {flow.seed}")
        raise


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare")
    parser.add_argument("commands", type=int, nargs="?", default=100_000_000)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    runs = -(-arguments.commands // COMMANDS)
    seeds = count(arguments.first_seed)
    flows: list[Flow] = [replace(FLOWS[i % len(FLOWS)], seed=next(seeds)) for i in range(runs)]
    fills, begun = 0, time.monotonic()
    with Pool(arguments.processes) as pool:
        for done, found in enumerate(pool.imap_unordered(compare_one, flows), 1):
            fills += found
            if done % 8 == 0 or done == runs:
                minutes = (time.monotonic() - begun) / 60
                so_far = f"{done * COMMANDS:,} commands, {fills:,} fills: equal"
                print(f"{so_far} ({minutes:.1f} minutes)", flush=True)


if __name__ == "__main__":
    main()
