"""The measurements behind the tables, in nanoseconds or bytes.

Times are the CPU time of this thread and of the measured operations alone. Engines that are
compared take turns, so that a slowdown of the machine affects them all.
"""

from __future__ import annotations

import gc
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.flows import Flow
from benchmarks.peers import Peer
from benchmarks.plain import PlainBook, Row
from fastbook import (
    COMMAND_DTYPE,
    EVENT_FILL,
    OP_CANCEL,
    OP_LIMIT,
    OP_REPLACE,
    OrderBook,
    reference,
)

BATCH = 4096
WORD = 2**64 - 1
Commands = NDArray[np.void]
Engine = Callable[[], float]  # measures once: ns per operation


def timed(work: Callable[[], object]) -> float:
    """Return the CPU time of a call in nanoseconds."""
    gc.collect()
    gc.freeze()  # the collector runs as usual, but skips the tuples of the flow
    try:
        begun = time.thread_time_ns()
        work()
        return time.thread_time_ns() - begun
    finally:
        gc.unfreeze()


def in_turns(engines: dict[str, Engine], rounds: int) -> dict[str, float]:
    """Return the median time of each engine over interleaved rounds."""
    times: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(rounds):
        for name, engine in engines.items():
            times[name].append(engine())
    return {name: statistics.median(found) for name, found in times.items()}


def batches(commands: Commands) -> list[Commands]:
    return [commands[at : at + BATCH] for at in range(0, len(commands), BATCH)]


def processed(flow: Flow, commands: Commands) -> Engine:
    """Return the engine that calls `process` with BATCH records at a time, events included."""

    def measure() -> float:
        book = OrderBook()
        for batch in batches(commands[: flow.first]):
            book.process(batch)
        parts = batches(commands[flow.first :])
        process = book.process

        def work() -> None:
            for part in parts:
                process(part)

        return timed(work) / flow.measured

    return measure


def called(
    flow: Flow, rows: list[Row], make: Callable[[], OrderBook | reference.OrderBook]
) -> Engine:
    """Return the engine that makes one scalar call per operation; times include the loop."""

    def measure() -> float:
        book = make()
        add, cancel, replace, market = book.add, book.cancel, book.replace, book.market

        def run(part: list[Row]) -> None:
            for op, side, order_id, new_order_id, price, quantity in part:
                if op == 0:
                    add(order_id, side, price, quantity)
                elif op == 1:
                    cancel(order_id)
                elif op == 2:
                    replace(order_id, new_order_id, price, quantity)
                else:
                    market(order_id, side, quantity)

        run(rows[: flow.first])
        part = rows[flow.first :]
        return timed(lambda: run(part)) / len(part)

    return measure


def plain(flow: Flow, rows: list[Row]) -> Engine:
    """Return the plain-Python baseline, whose totals must be those of the flow."""

    def measure() -> float:
        book = PlainBook()
        book.run(rows[: flow.first])
        part = rows[flow.first :]
        taken = timed(lambda: book.run(part)) / len(part)
        if (book.trades, book.volume, book.check) != (flow.trades, flow.volume, flow.check):
            raise AssertionError("the plain book does not reproduce its own flow")
        return taken

    return measure


def peer(flow: Flow, rows: list[Row], other: Peer) -> tuple[float, str]:
    """Run a peer once; return the ns per operation and how its trades compare."""
    run, totals = other.make()
    run(rows[: flow.first])
    part = rows[flow.first :]
    taken = timed(lambda: run(part)) / len(part)
    expected = (flow.trades, flow.volume)
    found = totals()
    if found == (None, None):
        return taken, "not reported"
    return taken, "the same" if found == expected else f"differ: {found}, expected {expected}"


def check_of(events: NDArray[np.void], check: int = 0) -> int:
    """Return the checksum over every (maker, taker, price, quantity), as the plain book does."""
    fills = events[events["kind"] == EVENT_FILL]
    names = ["maker_order_id", "order_id", "price", "quantity"]
    for maker, taker, price, quantity in fills[names].tolist():
        check = (check * 1000003 + maker * 31 + taker * 17 + price * 7 + quantity) & WORD
    return check


def check_of_calls(rows: list[Row]) -> int:
    """Return the same checksum over the fills of one scalar call per operation."""
    book, check = OrderBook(), 0
    for op, side, order_id, new_order_id, price, quantity in rows:
        if op == OP_LIMIT:
            events = book.add(order_id, side, price, quantity)
        elif op == OP_CANCEL:
            events = [book.cancel(order_id)]
        elif op == OP_REPLACE:
            events = book.replace(order_id, new_order_id, price, quantity)
        else:
            events = book.market(order_id, side, quantity)
        for e in events:
            if e.kind == EVENT_FILL:
                traded = e.maker_order_id * 31 + e.order_id * 17 + e.price * 7 + e.quantity
                check = (check * 1000003 + traded) & WORD
    return check


def check(flow: Flow) -> None:
    """Raise unless batches and scalar calls make the same trades as the plain book."""
    book, batched = OrderBook(), 0
    for batch in batches(flow.commands):
        batched = check_of(book.process(batch), batched)
    called = check_of_calls(flow.rows())
    if not batched == called == flow.check:
        words = f"expected {flow.check}, got {batched} by batches and {called} by calls"
        raise AssertionError(f"{flow.name}: checksum: {words}")


# ---- the C floor ----


def floor(ahead: bool) -> Path | None:
    """Compile the floor and return its path; None if there is no compiler."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return None
    program = Path(tempfile.mkdtemp()) / "floor"
    source = Path(__file__).with_name("floor.c")
    options = ["-O3", "-march=native", *(["-DAHEAD"] if ahead else [])]
    subprocess.run([compiler, *options, "-o", program, source], check=True)
    return program


def floored(flow: Flow, program: Path) -> Engine:
    """Return the engine that runs the floor, takes its median and verifies its checksum."""
    file = program.with_suffix(f".{flow.name}")
    flow.commands.tofile(file)

    def measure() -> float:
        done = subprocess.run(
            [program, file, str(flow.first)], check=True, capture_output=True, text=True
        )
        lines = [line.split() for line in done.stdout.splitlines()]
        if any(int(line[3]) != flow.check for line in lines):
            raise AssertionError("the floor makes other trades than the plain book")
        return statistics.median(float(line[0]) for line in lines)

    return measure


# ---- single properties ----


def limits(count: int, prices: Commands | int, side: object = 0, first_id: int = 1) -> Commands:
    commands = np.zeros(count, COMMAND_DTYPE)
    commands["order_id"] = np.arange(first_id, first_id + count)
    commands["side"], commands["price"], commands["quantity"] = side, prices, 1
    return commands


def resident() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def bytes_per_order(flow: Flow) -> float:
    """Return the growth of the process, per order, while the first orders of a flow are added."""
    OrderBook().process(flow.commands[:BATCH])
    gc.collect()
    before = resident()
    book = OrderBook()
    for batch in batches(flow.commands[: flow.first]):
        book.process(batch)
    return (resident() - before) / len(book)


def growth(turns: int, count: int = 500_000) -> tuple[int, int]:
    """Return how many orders came and went while an old one rested, and the growth in bytes."""
    book = OrderBook()
    book.add(1, 0, 500, 1)
    commands = np.repeat(limits(count, 1000, first_id=2), 2)
    commands["op"][1::2] = OP_CANCEL
    before = 0
    for turn in range(turns):
        for batch in batches(commands):
            book.process(batch)
        commands["order_id"] += count
        if turn == 0:
            before = resident()
    return turns * count, resident() - before


def far_prices() -> tuple[float, float]:
    """Return the ns per add near a busy market, and alternately far away on both sides."""
    count = 100_000
    at = np.arange(count) % 2
    near = limits(count, 10**6 + np.where(at, 40, -40), at)
    far = limits(count, np.where(at, 10**12, 1), at)

    def measure(commands: Commands) -> Engine:
        def once() -> float:
            book = OrderBook()
            book.process(limits(2, np.array([10**6 - 1, 10**6 + 1]), [0, 1], 10**6))
            parts, gone = batches(commands), batches(commands.copy())
            for part in gone:
                part["op"] = OP_CANCEL
            taken = 0.0
            for part, cancels in zip(parts, gone, strict=True):
                taken += timed(lambda part=part: book.process(part))  # type: ignore[misc]
                book.process(cancels)
            return taken / count

        return once

    found = in_turns({"near": measure(near), "far": measure(far)}, 7)
    return found["near"], found["far"]


def restored(flow: Flow) -> tuple[float, float]:
    """Return the ns per order of `process` with adds, and of `restore` of the resulting book."""
    commands = flow.commands[: flow.first]
    book = OrderBook()
    book.process(commands)
    table = book.snapshot()

    def adds() -> float:
        book = OrderBook()
        parts = batches(commands)
        return timed(lambda: [book.process(part) for part in parts]) / flow.first

    def restore() -> float:
        kept = []
        return timed(lambda: kept.append(OrderBook.restore(table))) / flow.first

    found = in_turns({"process": adds, "restore": restore}, 7)
    return found["process"], found["restore"]


def two_threads(flow: Flow) -> float:
    """Return the throughput of two books in two threads, relative to one book in one thread."""

    def run() -> None:
        book = OrderBook()
        for _ in range(3):
            book.process(flow.commands)

    def wall(count: int) -> float:
        threads = [threading.Thread(target=run) for _ in range(count)]
        begun = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - begun

    # The fastest of each: another program on the second core would slow only the two threads.
    return 2 * min(wall(1) for _ in range(7)) / min(wall(2) for _ in range(7))


def python_version() -> str:
    return sys.version.split()[0]
