"""Batches: the same book, many commands at once, NumPy records in and out."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastbook
from fastbook import (
    COMMAND_DTYPE,
    EVENT_DTYPE,
    EVENT_REJECT,
    EVENT_REST,
    OP_CANCEL,
    OP_LIMIT,
    OP_MARKET,
    OP_REPLACE,
    REJECT_DUPLICATE_ORDER,
    REJECT_INVALID_ORDER,
    REJECT_INVALID_PRICE,
    REJECT_INVALID_QUANTITY,
    REJECT_OVERFLOW,
    REJECT_POST_ONLY,
    REJECT_UNKNOWN_ORDER,
    OrderBook,
    reference,
)

INT64_MAX = 2**63 - 1
FIELDS = ["command", *reference.Event._fields]


def batch(*commands: reference.Command) -> NDArray[np.void]:
    return np.array([tuple(command) for command in commands], COMMAND_DTYPE)


def limit(order_id: int, side: int, price: int, quantity: int, **more: int) -> reference.Command:
    return reference.Command(
        OP_LIMIT, side, order_id=order_id, price=price, quantity=quantity, **more
    )


def test_the_records_have_the_documented_layout() -> None:
    assert COMMAND_DTYPE.itemsize == 40
    assert COMMAND_DTYPE.names == reference.Command._fields
    assert EVENT_DTYPE.itemsize == 64
    assert [name for name in EVENT_DTYPE.names or () if name not in ("pad", "command")] == list(
        reference.Event._fields
    )


def test_a_batch_gives_the_events_of_the_scalar_calls() -> None:
    commands = batch(
        limit(1, 0, 100, 5, owner=7),
        limit(2, 1, 103, 5, tif=1),
        limit(3, 1, 101, 5),
        limit(4, 0, 101, 2, flags=1),
        reference.Command(OP_REPLACE, order_id=3, new_order_id=5, price=101, quantity=3),
        reference.Command(OP_MARKET, 0, owner=8, order_id=6, quantity=4),
        limit(7, 1, 100, 9, owner=7, flags=3 << 1),
        reference.Command(OP_CANCEL, order_id=1),
    )
    scalar = OrderBook()
    answers = [
        scalar.add(1, 0, 100, 5, owner=7),
        scalar.add(2, 1, 103, 5, 1),
        scalar.add(3, 1, 101, 5),
        scalar.add(4, 0, 101, 2, post_only=True),
        scalar.replace(3, 5, 101, 3),
        scalar.market(6, 0, 4, owner=8),
        scalar.add(7, 1, 100, 9, owner=7, self_trade=3),
    ]
    book = OrderBook()

    events = book.process(commands)

    unknown = (7, EVENT_REJECT, 0, REJECT_UNKNOWN_ORDER, 1, 0, 0, 0, 0, 0, 0)
    assert events.dtype == EVENT_DTYPE
    expected = [(index, *event) for index, answer in enumerate(answers) for event in answer]
    assert events[FIELDS].tolist() == [*expected, unknown]
    assert list(book) == list(scalar)


REFUSED = {
    "op 4": (limit(9, 0, 1, 1)._replace(op=4), REJECT_INVALID_ORDER, 0, 9, 0, 1, 1),
    "side 2": (limit(9, 2, 1, 1), REJECT_INVALID_ORDER, 2, 9, 0, 1, 1),
    "tif 3": (limit(9, 1, 1, 1, tif=3), REJECT_INVALID_ORDER, 1, 9, 0, 1, 1),
    "flags 10": (limit(9, 1, 1, 1, flags=10), REJECT_INVALID_ORDER, 1, 9, 0, 1, 1),
    "id 0": (limit(0, 1, 1, 1), REJECT_INVALID_ORDER, 1, 0, 0, 1, 1),
    "id resting": (limit(1, 1, 1, 1), REJECT_DUPLICATE_ORDER, 1, 1, 0, 1, 1),
    "price 0": (limit(9, 1, 0, 1), REJECT_INVALID_PRICE, 1, 9, 0, 0, 1),
    "quantity 0": (limit(9, 1, 1, 0), REJECT_INVALID_QUANTITY, 1, 9, 0, 1, 0),
    "level sum": (
        limit(9, 0, 100, INT64_MAX),
        REJECT_OVERFLOW,
        *(0, 9, 0, 100, INT64_MAX),
    ),
    "crossing post only": (limit(9, 1, 100, 1, flags=1), REJECT_POST_ONLY, 1, 9, 0, 100, 1),
    "market without quantity": (
        reference.Command(OP_MARKET, 1, order_id=9, price=50),
        *(REJECT_INVALID_QUANTITY, 1, 9, 0, 0, 0),
    ),
    "market tif 3": (
        reference.Command(OP_MARKET, 1, 3, order_id=9, quantity=1),
        *(REJECT_INVALID_ORDER, 1, 9, 0, 0, 1),
    ),
    "cancel of nothing": (
        reference.Command(OP_CANCEL, 1, order_id=-9, price=50, quantity=3),
        *(REJECT_UNKNOWN_ORDER, 0, -9, 0, 0, 0),
    ),
    "replace of nothing": (
        reference.Command(OP_REPLACE, 1, order_id=9, new_order_id=10, price=50, quantity=3),
        *(REJECT_UNKNOWN_ORDER, 0, 10, 9, 50, 3),
    ),
    "replace by a resting id": (
        reference.Command(OP_REPLACE, 0, order_id=2, new_order_id=1, price=50, quantity=3),
        *(REJECT_DUPLICATE_ORDER, 1, 1, 2, 50, 3),
    ),
    "replace by id 0": (
        reference.Command(OP_REPLACE, 0, order_id=2, price=50, quantity=3),
        *(REJECT_INVALID_ORDER, 1, 0, 2, 50, 3),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_record_is_a_reject_and_nothing_else(name: str) -> None:
    command, reason, side, order_id, old_id, price, quantity = REFUSED[name]
    book = OrderBook()
    book.add(1, 0, 100, 5)
    book.add(2, 1, 101, 5)
    before = list(book)

    events = book.process(batch(command))

    asked = (order_id, old_id, price, quantity)
    assert events[FIELDS].tolist() == [(0, EVENT_REJECT, side, reason, *asked, 0, 0, 0)]
    assert list(book) == before
    book.check_invariants()


# ---- what counts as commands ----


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, np.array], ids=str)
def test_any_buffer_of_records_will_do(wrap: Any) -> None:
    commands = batch(limit(1, 0, 100, 5), limit(2, 0, 100, 6))
    buffer = wrap(commands) if wrap in (np.array, memoryview) else wrap(commands.tobytes())

    events = OrderBook().process(buffer)

    assert events["level_quantity"].tolist() == [5, 11]


def test_records_may_lie_at_odd_addresses() -> None:
    commands = batch(limit(1, 0, 100, 5), limit(2, 0, 100, 6))
    odd = memoryview(b"x" + commands.tobytes())[1:]

    assert OrderBook().process(odd)["order_id"].tolist() == [1, 2]


def test_no_commands_give_no_events() -> None:
    events = OrderBook().process(b"")

    assert events.shape == (0,)
    assert events.dtype == EVENT_DTYPE


@pytest.mark.parametrize(
    ("commands", "error", "message"),
    [
        (np.zeros(3, "i8"), TypeError, "expected an array of COMMAND_DTYPE, got one of int64"),
        (np.zeros(3, "u1"), TypeError, "COMMAND_DTYPE"),
        (np.zeros(3, EVENT_DTYPE), TypeError, "COMMAND_DTYPE"),
        (np.zeros(6, COMMAND_DTYPE)[::2], ValueError, "contiguous"),
        (bytes(41), ValueError, "records of 40 bytes, got 41 bytes"),
        (memoryview(bytes(80)).cast("q"), ValueError, "items of 8"),
        ([1, 2], TypeError, "bytes-like"),
    ],
)
def test_anything_else_is_an_error(commands: Any, error: type[Exception], message: str) -> None:
    book = OrderBook()

    with pytest.raises(error, match=message):
        book.process(commands)
    assert book.add(1, 0, 100, 5)[0].kind == EVENT_REST, "the book is not left busy"


def test_the_commands_are_not_changed() -> None:
    commands = batch(limit(1, 0, 100, 5), limit(2, 1, 100, 5))
    commands.setflags(write=False)
    before = commands.tobytes()

    OrderBook().process(commands)

    assert commands.tobytes() == before


# ---- the memory under the events ----


def test_events_stay_valid_when_the_book_goes_on_and_goes() -> None:
    """The array refers to counted memory: neither later batches nor the book's end change it."""
    book = OrderBook()
    count = 3000
    commands = batch(*(limit(i, 0, i, i) for i in range(1, count + 1)))
    first = book.process(commands)
    copy = first.copy()
    part = first["level_quantity"][::7]

    commands["order_id"] += count
    for _ in range(5):
        book.process(commands)
        commands["order_id"] += count
    del book, first

    assert part.tolist() == copy["level_quantity"][::7].tolist()
    assert part.base is not None


def test_each_result_has_its_own_memory() -> None:
    book = OrderBook()
    first = book.process(batch(limit(1, 0, 100, 5)))
    second = book.process(batch(limit(2, 0, 100, 5)))

    first["order_id"] = 99

    assert second["order_id"].tolist() == [2]
    assert 1 in book


# ---- threads ----


def test_a_second_thread_gets_a_clear_error_while_a_batch_runs() -> None:
    """The batch releases the GIL, so this thread runs at the same time and finds the book busy."""
    book = OrderBook()
    count = 200_000
    commands = np.zeros(count, COMMAND_DTYPE)
    commands["order_id"] = np.arange(1, count + 1)
    commands["price"], commands["quantity"] = 100, 1
    withdrawn = commands.copy()
    withdrawn["op"] = OP_CANCEL
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            with contextlib.suppress(RuntimeError):  # the other thread was in `process`
                book.process(commands)
                book.process(withdrawn)

    calls = {
        "add": lambda: book.add(1, 0, 1, 1),
        "process": lambda: book.process(commands[:0]),
        "len": lambda: len(book),
        "depth": book.depth,
        "check": book.check_invariants,
    }
    met: dict[str, str] = {}
    thread = threading.Thread(target=work)
    thread.start()
    deadline = time.monotonic() + 60
    try:
        while met.keys() != calls.keys() and time.monotonic() < deadline:
            for name, call in calls.items():
                try:
                    call()
                except RuntimeError as error:
                    met[name] = str(error)
                except ValueError:
                    continue  # the book was idle, and order 1 is resting
    finally:
        stop.set()
        thread.join()

    text = (
        "OrderBook: another thread is in process() on this book, which serves one thread at a time"
    )
    assert met == dict.fromkeys(calls, text)
    book.check_invariants()


# ---- out of memory ----

OUT_OF_MEMORY = """
import resource
import numpy as np
from fastbook import COMMAND_DTYPE, FLAG_DISPLAY, OrderBook
book = OrderBook()
count = 2_000_000
commands = np.zeros(count, COMMAND_DTYPE)
commands["order_id"] = np.arange(1, count + 1) * {step}
commands["price"] = np.arange(1, count + 1) * {spacing}
commands["quantity"] = 1
commands["flags"], commands["new_order_id"] = {display} * FLAG_DISPLAY, {display}
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
soft, hard = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (used + {room}, hard))
try:
    book.process(commands)
except MemoryError as error:
    print("MemoryError", error)
resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
book.check_invariants()
rested = len(book)
assert 0 < rested < count, rested
assert sum(order.quantity for order in book) == rested
events = book.process(commands[rested:rested + 1000])
assert len(book) == rested + 1000, (rested, len(book))
book.check_invariants()
print("whole")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_AS and /proc")
@pytest.mark.parametrize("room", [30, 60, 100, 150])
@pytest.mark.parametrize(
    ("step", "spacing", "display"), [(1, 0, 0), (1, 0, 1), (1, 1, 0), (1, 1, 1), (4_000_037, 50, 0)]
)
def test_without_memory_the_book_stays_whole(
    room: int, step: int, spacing: int, display: int
) -> None:
    """No matter which array cannot grow: events, orders, icebergs, pages or ids."""
    program = OUT_OF_MEMORY.format(
        room=room << 20, step=step, spacing=spacing or "0 + 1", display=display
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "MemoryError process: no memory for the events of the batch; the book is intact",
        "whole",
    ]


# ---- NumPy is no dependency ----


def test_scalar_use_needs_no_numpy_and_nothing_of_the_server() -> None:
    program = """
import sys
sys.modules["numpy"] = None
import fastbook, fastbook.reference
book = fastbook.OrderBook()
book.add(1, 0, 100, 5)
assert not [name for name in sys.modules if name.startswith("fastbook_")]
try:
    book.process(b"")
except ImportError:
    print("ImportError")
try:
    fastbook.EVENT_DTYPE
except ImportError:
    print("ImportError")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert (done.stdout, done.stderr) == ("ImportError\nImportError\n", "")


def test_the_module_names_what_it_lacks() -> None:
    with pytest.raises(AttributeError, match="'fastbook' has no attribute 'TRADE_DTYPE'"):
        _ = fastbook.TRADE_DTYPE
