"""The book's memory depends on the orders it holds, not on the ids and prices it has seen."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

import fastbook
from fastbook import COMMAND_DTYPE, FLAG_DISPLAY, OP_CANCEL

INT64_MAX = 2**63 - 1

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/statm")


def resident_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def come_and_go(count: int) -> NDArray[np.void]:
    """Return adds of orders 1 .. count, each followed by its cancel."""
    commands = np.zeros(2 * count, COMMAND_DTYPE)
    commands["order_id"] = np.repeat(np.arange(1, count + 1), 2)
    commands["op"][1::2] = OP_CANCEL
    commands["price"] = 1000
    commands["quantity"] = 1
    return commands


@pytest.mark.parametrize("step", [1, 3, 10**12], ids=["dense", "with gaps", "sparse"])
def test_one_old_order_does_not_keep_the_memory_of_those_after_it(step: int) -> None:
    """Three million orders come and go; the id map stays as small as the book."""
    count = 100_000
    book = fastbook.OrderBook()
    book.add(1, 0, 500, 1)
    commands = come_and_go(count)
    commands["order_id"] = commands["order_id"] * step + 1
    before = 0
    for turn in range(30):
        book.process(commands)
        commands["order_id"] += count * step
        if turn == 2:
            before = resident_bytes()

    assert resident_bytes() - before < 2 << 20
    assert [order.order_id for order in book] == [1]
    book.check_invariants()


def test_a_few_old_orders_of_every_thousand_cost_little() -> None:
    """One in 500 of two million ids stays, so no range of ids is ever empty."""
    count = 100_000
    book = fastbook.OrderBook()
    commands = come_and_go(count)
    stays = commands["order_id"] % 500 == 0
    commands["op"][stays] = 0  # its cancel becomes a second add of the same id: refused
    book.process(commands)
    before = resident_bytes()
    for _ in range(19):
        commands["order_id"] += count
        book.process(commands)

    assert len(book) == 20 * count // 500
    assert resident_bytes() - before < 4 << 20
    book.check_invariants()


def test_icebergs_that_come_and_go_leave_their_places_to_others() -> None:
    book = fastbook.OrderBook()
    commands = come_and_go(100_000)
    commands["flags"], commands["new_order_id"] = FLAG_DISPLAY, 1
    book.process(commands)
    before = resident_bytes()
    for _ in range(10):
        commands["order_id"] += 100_000
        book.process(commands)

    assert resident_bytes() - before < 2 << 20
    book.check_invariants()


def test_far_away_prices_cost_neither_memory_nor_a_scan() -> None:
    """A thousand orders anywhere in the 63 bits of a price, many times over."""
    book = fastbook.OrderBook()
    random = np.random.default_rng(1)
    count = 1000
    commands = np.zeros(count, COMMAND_DTYPE)
    commands["quantity"] = 1
    commands["order_id"] = np.arange(1, count + 1)
    withdrawn = commands.copy()
    withdrawn["op"] = OP_CANCEL
    book.process(commands)
    before = resident_bytes()
    for _ in range(300):
        commands["price"] = random.integers(1, INT64_MAX, count, endpoint=True)
        book.process(commands)
        book.process(withdrawn)

    assert resident_bytes() - before < 2 << 20
    assert len(book) == 0
    book.check_invariants()


def test_dropped_books_and_arrays_give_their_memory_back() -> None:
    commands = come_and_go(20_000)
    commands["op"] = 0
    before = 0
    for turn in range(60):
        book = fastbook.OrderBook()
        events = book.process(commands)
        view = events["order_id"][::2]
        del book, events
        assert view[0] == 1
        if turn == 9:
            before = resident_bytes()

    assert resident_bytes() - before < 4 << 20
