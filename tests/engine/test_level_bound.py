"""The bound of a level's total, which a book may be given: `level_quantity_max`."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from engine_events import cancel, discard, fill, rest

import fastbook
from fastbook import (
    COMMAND_DTYPE,
    REASON_BUDGET,
    REASON_IOC,
    REASON_REPLACED,
    REJECT_OVERFLOW,
    OrderBook,
    SelfTrade,
    Side,
    TimeInForce,
    reference,
)

BID, ASK = Side
DOUBLE_MAX = 2**52
INT64_MAX = 2**63 - 1

Make = Callable[[int], Any]

both_books = pytest.mark.parametrize("make", [OrderBook, reference.OrderBook])


@both_books
def test_a_level_holds_exactly_its_bound(make: Make) -> None:
    book = make(DOUBLE_MAX)
    book.add(1, BID, 100, DOUBLE_MAX - 1)
    book.add(2, ASK, 101, DOUBLE_MAX)

    assert book.add(3, BID, 100, 1) == [rest(BID, 3, 100, 1, DOUBLE_MAX)]
    with pytest.raises(
        ValueError, match=r"^quantity: .* at most 4503599627370496 at price 100, go"
    ):
        book.add(4, BID, 100, 1)
    assert book.level_quantity_max == DOUBLE_MAX
    book.check_invariants()


@both_books
def test_without_a_bound_a_level_holds_what_64_bits_hold(make: Callable[[], Any]) -> None:
    assert make().level_quantity_max == INT64_MAX


@both_books
def test_the_whole_quantity_of_an_order_that_may_rest_counts(make: Make) -> None:
    """Even on a level of its own, and although it would trade first."""
    book = make(10)
    book.add(1, ASK, 100, 9)

    with pytest.raises(ValueError, match="a total of at most 10 at price 100, got 11"):
        book.add(2, BID, 100, 11)
    assert book.add(2, BID, 100, 11, TimeInForce.IOC) == [
        fill(BID, 2, 1, 100, 9, 2, 0, 0),
        discard(BID, REASON_IOC, 2, 100, 2),
    ]


@both_books
def test_a_replace_keeps_to_the_bound_and_may_use_what_it_leaves(make: Make) -> None:
    book = make(10)
    book.add(1, BID, 100, 5)
    book.add(2, BID, 100, 4)
    book.add(3, BID, 99, 7)

    with pytest.raises(ValueError, match="a total of at most 10 at price 99, got 5"):
        book.replace(1, 1, 99, 5)
    assert book.replace(1, 1, 100, 6) == [
        cancel(BID, REASON_REPLACED, 1, 100, 5, 4),
        rest(BID, 1, 100, 6, 10),
    ]


@both_books
@pytest.mark.parametrize("left", [0, 2])
def test_a_budget_pays_for_no_more_lots_than_a_level_holds(make: Make, left: int) -> None:
    """Although it would pay for all there are, on several levels."""
    book = make(10)
    book.add(1, ASK, 1, 10 - left)
    book.add(2, ASK, 2, 10)

    assert book.market(3, BID, budget=1000) == [
        fill(BID, 3, 1, 1, 10 - left, 0, 0, 0),
        *([fill(BID, 3, 2, 2, left, 0, 10 - left, 10 - left)] if left else []),
        discard(BID, REASON_BUDGET, 3, 0, 0),
    ]
    assert book.best_ask == (2, 10 - left)
    book.check_invariants()


@both_books
def test_what_a_budget_decrements_counts_against_the_bound(make: Make) -> None:
    book = make(10)
    book.add(1, ASK, 1, 6, owner=7)
    book.add(2, ASK, 2, 9)

    events = book.market(3, BID, owner=7, self_trade=SelfTrade.DECREMENT, budget=1000)
    assert events[-2:] == [
        fill(BID, 3, 2, 2, 4, 0, 5, 5),
        discard(BID, REASON_BUDGET, 3, 0, 0),
    ]


def test_a_record_beyond_the_bound_is_a_reject() -> None:
    commands = np.zeros(2, COMMAND_DTYPE)
    commands["order_id"], commands["price"], commands["quantity"] = [1, 2], 100, [6, 5]
    book = OrderBook(level_quantity_max=10)

    assert book.process(commands)["reason"].tolist() == [0, REJECT_OVERFLOW]
    assert book.best_bid == (100, 6)


@pytest.mark.parametrize(
    "again",
    [
        copy.copy,
        lambda book: pickle.loads(pickle.dumps(book)),
        lambda book: OrderBook.restore(book.snapshot(), book.level_quantity_max),
    ],
)
def test_a_copy_has_the_bound_of_its_book(again: Callable[[OrderBook], OrderBook]) -> None:
    book = OrderBook(10)
    book.add(1, BID, 100, 9)

    assert again(book).level_quantity_max == 10


def test_restoring_beyond_the_bound_is_an_error() -> None:
    book = OrderBook()
    book.add(1, BID, 100, 6)
    book.add(2, BID, 100, 5)

    with pytest.raises(ValueError, match="a total of at most 10 at a price; see record 1"):
        OrderBook.restore(book.snapshot(), 10)


@both_books
@pytest.mark.parametrize("bound", [0, -1, 2**63])
def test_a_bound_is_a_positive_integer_of_64_bits(make: Make, bound: int) -> None:
    with pytest.raises(ValueError, match=r"^level_quantity_max: expected .*, got"):
        make(bound)
    with pytest.raises(TypeError, match=r"^level_quantity_max: expected an int, got float"):
        make(1.5)  # type: ignore[arg-type]


def test_the_bound_may_be_given_by_name() -> None:
    assert fastbook.OrderBook(level_quantity_max=7).level_quantity_max == 7
