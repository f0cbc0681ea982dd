"""A book as flat records and back: snapshot, restore, pickle and copy."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from engine_events import Book

from fastbook import COMMAND_DTYPE, FLAG_DISPLAY, OP_LIMIT, ORDER_DTYPE, OrderBook

INT64_MAX = 2**63 - 1


def random_book(seed: int, count: int, id_step: int, spread: int) -> OrderBook:
    """Return a book that has seen trades, cancels and ids with gaps."""
    random = np.random.default_rng(seed)
    commands = np.zeros(count, COMMAND_DTYPE)
    commands["op"] = random.choice(4, count, p=[0.7, 0.2, 0.08, 0.02])
    commands["side"] = random.integers(0, 2, count)
    commands["owner"] = random.integers(0, 5, count)
    commands["order_id"] = random.integers(1, count, count) * id_step
    commands["new_order_id"] = random.integers(1, count, count) * id_step
    commands["price"] = 10**6 + random.integers(0, spread, count) * (2 * commands["side"] - 1.0)
    commands["quantity"] = random.integers(1, 100, count)
    frozen = (random.random(count) < 0.3) & (commands["op"] == OP_LIMIT)
    commands["flags"][frozen] = FLAG_DISPLAY
    commands["new_order_id"][frozen] = commands["quantity"][frozen] // 3 + 1
    book = OrderBook()
    book.process(commands)
    return book


WAYS: dict[str, Callable[[OrderBook], OrderBook]] = {
    "restore": lambda book: OrderBook.restore(book.snapshot()),
    "restore of bytes": lambda book: OrderBook.restore(book.snapshot().tobytes()),
    "pickle": lambda book: pickle.loads(pickle.dumps(book)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("count", "id_step", "spread"),
    [(0, 1, 1), (30, 1, 3), (20_000, 1, 40), (20_000, 10**13, 40), (20_000, 7, 10**6)],
)
def test_the_copy_is_the_same_book(way: str, count: int, id_step: int, spread: int) -> None:
    """The copy responds to later commands as the original does, which is not affected."""
    book = random_book(1, count, id_step, spread)
    orders = list(book)

    again = WAYS[way](book)

    again.check_invariants()
    assert list(again) == orders
    more = np.zeros(2000, COMMAND_DTYPE)
    more["op"] = np.arange(2000) % 3
    more["side"] = np.arange(2000) // 3 % 2
    more["order_id"] = np.arange(1, 2001) * id_step
    more["new_order_id"] = np.arange(2001, 4001) * id_step
    more["price"] = 10**6 - 20 + np.arange(2000) % 41
    more["quantity"] = 50
    events = again.process(more)
    again.check_invariants()
    assert list(book) == orders
    assert events.tobytes() == book.process(more).tobytes()
    assert list(again) == list(book)


def test_a_snapshot_is_a_table_in_priority_order_and_a_copy() -> None:
    book = OrderBook()
    book.add(1, 1, 105, 7, display=3)
    book.add(2, 0, 100, 5, owner=9)
    book.add(3, 0, 100, 6, display=6)
    book.add(4, 0, 101, 1)

    table = book.snapshot()

    assert table.dtype == ORDER_DTYPE
    columns = ["order_id", "price", "quantity", "owner", "side", "display", "hidden"]
    assert table[columns].tolist() == [
        (4, 101, 1, 0, 0, 0, 0),
        (2, 100, 5, 9, 0, 0, 0),
        (3, 100, 6, 0, 0, 6, 0),
        (1, 105, 7, 0, 1, 3, 4),
    ]
    table["quantity"] = 1
    book.cancel(1)
    assert book.depth() == ([(101, 1), (100, 11)], [])


def test_levels_and_the_orders_at_one_of_them() -> None:
    book = OrderBook.restore(
        records((2, 100, 5, 0), (3, 100, 6, 0), (4, 101, 1, 0), (1, 105, 7, 1))
    )

    assert list(book.levels(0)) == [(101, 1), (100, 11)]
    assert list(book.levels(1)) == [(105, 7)]
    assert [order.order_id for order in book.orders_at(0, 100)] == [2, 3]
    assert book.orders_at(1, 100) == book.orders_at(0, 99) == book.orders_at(0, -5) == []


def test_a_level_is_what_shows_at_one_price_of_one_side(book: Book) -> None:
    book.add(1, 1, 100, 8, display=3)
    book.add(2, 1, 100, 5)
    book.add(3, 0, 99, 4)

    assert [book.level(1, 100), book.level(0, 99)] == [8, 4]
    assert [book.level(*where) for where in ((0, 100), (1, 99), (1, 101))] == [0, 0, 0]
    assert [book.level(1, price) for price in (0, -1, 2**63, -(2**64))] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("side", "price", "error", "message"),
    [
        (2, 100, ValueError, "^side: .*, got 2$"),
        (0, 1.5, TypeError, "^price: expected an int, got float$"),
    ],
)
def test_only_a_side_and_an_integer_name_a_level(
    book: Book, side: int, price: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        book.level(side, price)


NAMES = ("order_id", "price", "quantity", "side", "display", "hidden")


def records(*rows: tuple[int, ...]) -> Any:
    """Return rows of (order_id, price, quantity, side, display, hidden) as ORDER_DTYPE records."""
    table = np.zeros(len(rows), ORDER_DTYPE)
    for at, row in enumerate(rows):
        for name, value in zip(NAMES, row, strict=False):
            table[name][at] = value
    return table


def test_an_iceberg_is_restored_as_it_stands() -> None:
    book = OrderBook.restore(records((2, 100, 8, 1, 3, 6), (3, 100, 5, 1), (4, 100, 2, 1, 3, 0)))

    book.check_invariants()
    assert [(o.order_id, o.visible) for o in book.orders_at(1, 100)] == [(2, 2), (3, 5), (4, 2)]
    assert book.best_ask == (100, 9)
    assert [event.quantity for event in book.market(9, 0, 15)] == [2, 5, 2, 3, 3]


def test_prices_may_come_in_any_order() -> None:
    rows = [(i, 100 + 37 * i % 11, i, 0) for i in range(1, 50)]
    book = OrderBook.restore(records(*rows))

    book.check_invariants()
    assert [(o.price, o.order_id) for o in book] == sorted(
        ((price, order_id) for order_id, price, _, _ in rows), key=lambda key: (-key[0], key[1])
    )


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((0, 100, 1, 0), "expected a positive order_id, and side 0 .bid. or 1 .ask.; see record 1"),
        ((-4, 100, 1, 0), "order_id"),
        ((2, 100, 1, 2), "side 0 .bid. or 1 .ask."),
        ((2, 0, 1, 0), "a positive price; see record 1"),
        ((2, -(2**63), 1, 0), "a positive price"),
        ((2, 100, 0, 0), "a positive quantity"),
        ((1, 100, 1, 0), "each order_id only once; see record 1"),
        ((2, 100, INT64_MAX, 0), "a total of at most 2.*63 - 1 at a price"),
        ((2, 100, 1, 1), "expected bids below asks, got 100 and 100"),
        ((2, 7, 1, 1), "expected bids below asks, got 100 and 7"),
        ((2, 100, 5, 0, 0, 1), "nothing hidden without a display, or 1 .. display lots visible"),
        ((2, 100, 5, 0, -1, 0), "nothing hidden without a display"),
        ((2, 100, 5, 0, 3, 5), "1 .. display lots visible; see record 1"),
        ((2, 100, 5, 0, 3, 1), "1 .. display lots visible"),
        ((2, 100, 5, 0, 3, -1), "1 .. display lots visible"),
        ((2, 100, INT64_MAX - 4, 0, 1, INT64_MAX - 5), "a total of at most 2.*63 - 1 at a price"),
    ],
)
@pytest.mark.parametrize("id_step", [1, 10**12])
def test_what_cannot_rest_is_an_error(row: tuple[int, ...], message: str, id_step: int) -> None:
    rows = ((1, 100, 5, 0), row, (3, 90, 1, 0))
    table = records(*((order_id * id_step, *rest) for order_id, *rest in rows))

    with pytest.raises(ValueError, match=message):
        OrderBook.restore(table)


@pytest.mark.parametrize(
    ("orders", "error", "message"),
    [
        (np.zeros(3, "i8"), TypeError, "orders: expected an array of ORDER_DTYPE, got one of int"),
        (np.zeros(6, ORDER_DTYPE)[::2], ValueError, "contiguous"),
        (bytes(49), ValueError, "orders: expected records of 48 bytes, got 49 bytes"),
        ([1], TypeError, "bytes-like"),
    ],
)
def test_what_is_no_table_is_an_error(orders: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        OrderBook.restore(orders)


def test_pickling_needs_no_numpy() -> None:
    program = """
import sys
sys.modules["numpy"] = None
import fastbook, pickle
book = fastbook.OrderBook()
book.add(1, 0, 100, 5)
assert list(pickle.loads(pickle.dumps(book))) == list(book)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
