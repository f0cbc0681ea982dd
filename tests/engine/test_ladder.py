"""The levels of one side wherever prices go: near the market, where it has been, and far away.

Levels near the market are kept otherwise than those elsewhere, within some 65,000 prices, and the
market takes its place along. So these flows wander within that, out of it, and leap.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from engine_events import Book, given
from numpy.typing import NDArray

import fastbook
from fastbook import COMMAND_DTYPE, OP_CANCEL, OP_MARKET, Side, reference

BID, ASK = Side
INT64_MAX = 2**63 - 1
ORDERS = 1200  # of one leg
LEGS = 24
LEAPS = {
    "steps": 3_000,
    "strides": 30_000,
    "leaps": 200_000,
    "flights": 2**58,
}


def leg(
    random: np.random.Generator, side: int, middle: int, first_id: int, stay: float
) -> NDArray[np.void]:
    """Return orders of one side around a price, most of which are cancelled, and then a trade."""
    ids = np.arange(first_id, first_id + ORDERS)
    away = random.integers(-20_000, 20_000, ORDERS)
    gone = random.permutation(ids[random.random(ORDERS) > stay])
    made = np.zeros(ORDERS + len(gone) + 1, COMMAND_DTYPE)
    made["side"] = side
    made["order_id"][:ORDERS] = ids
    made["price"][:ORDERS] = np.clip(middle + away, 1, INT64_MAX - 1)
    made["op"][ORDERS:] = OP_CANCEL
    made["order_id"][ORDERS:-1] = gone
    # As it comes in a market: each cancel some time after its order.
    when = np.concatenate([np.arange(ORDERS), gone - first_id + random.exponential(90, len(gone))])
    made[:-1] = made[:-1][np.argsort(when, kind="stable")]
    made[-1]["op"], made[-1]["order_id"] = OP_MARKET, first_id + ORDERS
    made[-1]["side"], made[-1]["quantity"] = 1 - side, random.integers(1, 400)
    made["quantity"][:-1] = 1
    return made


def expect_same(
    book: fastbook.OrderBook, oracle: reference.OrderBook, made: NDArray[np.void]
) -> None:
    """Execute commands on both books, which must tell the same and be whole."""
    events = book.process(made)[list(reference.Event._fields)].tolist()
    expected = [oracle.apply(reference.Command(*record)) for record in made.tolist()]
    assert events == [tuple(event) for answer in expected for event in answer]
    book.check_invariants()
    assert book.depth() == oracle.depth()


@pytest.mark.parametrize("leap", LEAPS.values(), ids=LEAPS.keys())
@pytest.mark.parametrize("side", Side)
def test_levels_stay_in_order_wherever_the_market_goes(side: Side, leap: int) -> None:
    random = np.random.default_rng(leap % 1000 + side)
    book, oracle = fastbook.OrderBook(), reference.OrderBook()
    middle = 2**62
    for number in range(LEGS):
        stay = 0.3 if number % 5 == 0 else 0.02
        expect_same(book, oracle, leg(random, side, middle, 1 + number * (ORDERS + 1), stay))
        middle += int(random.integers(-leap, leap + 1))
        middle = min(max(middle, 1), INT64_MAX - 1)


@pytest.mark.parametrize("side", Side)
def test_a_market_order_sweeps_all_prices_there_are(side: Side) -> None:
    """Those better than the market has lately been, those around it, and those beyond."""
    book, oracle = fastbook.OrderBook(), reference.OrderBook()
    made = leg(np.random.default_rng(1), side, 10**6, 1, 0.3)
    prices = np.concatenate([np.arange(1, 40_000_000, 100_003), [2**40, INT64_MAX]])
    more = np.zeros(len(prices) + 1, COMMAND_DTYPE)
    more["order_id"] = 10_000 + np.arange(len(more))
    more["side"], more["price"][:-1], more["quantity"] = side, prices, 1
    more[-1]["op"], more[-1]["side"], more[-1]["quantity"] = OP_MARKET, 1 - side, 10_000

    expect_same(book, oracle, made)
    expect_same(book, oracle, more)
    assert len(book) == 0


def test_a_far_better_and_a_far_worse_price_follow_one_another(book: Book) -> None:
    given(book, (1, ASK, 10**6, 1), (2, ASK, 10**12, 2), (3, ASK, 1, 3))

    assert list(book.levels(ASK)) == [(1, 3), (10**6, 1), (10**12, 2)]
    book.cancel(1)
    assert list(book.levels(ASK)) == [(1, 3), (10**12, 2)]
    book.cancel(3)
    assert book.best_ask == (10**12, 2)
    book.check_invariants()


@pytest.mark.parametrize(
    "ask",
    [lambda book, price: book.level(0, price), lambda book, price: book.orders_at(0, price)],
    ids=["level", "orders_at"],
)
def test_questions_about_other_prices_change_nothing(
    ask: Callable[[fastbook.OrderBook, int], object],
) -> None:
    """Nor does what they do to the place where levels are kept."""
    random = np.random.default_rng(5)
    book, oracle = fastbook.OrderBook(), reference.OrderBook()
    for number in range(6):
        made = leg(random, BID, 10**6 + number * 50_000, 1 + number * (ORDERS + 1), 0.1)
        expect_same(book, oracle, made)
        for price in random.integers(1, 10**7, 2000).tolist():
            assert ask(book, price) == ask(oracle, price)  # type: ignore[arg-type]
        book.check_invariants()
        assert book.depth() == oracle.depth()
