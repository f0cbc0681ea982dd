"""Market orders with a budget instead of a quantity, on both books."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engine_events import Book, cancel, discard, fill, given, reduce

from fastbook import (
    COMMAND_DTYPE,
    FLAG_BUDGET,
    OP_LIMIT,
    OP_MARKET,
    OP_REPLACE,
    REASON_BUDGET,
    REASON_NO_LIQUIDITY,
    REASON_SELF_TRADE,
    REJECT_INVALID_ORDER,
    REJECT_INVALID_QUANTITY,
    Order,
    OrderBook,
    SelfTrade,
    Side,
    TimeInForce,
    reference,
)

BID, ASK = Side
INT64_MAX = 2**63 - 1


def test_a_bid_buys_whole_lots_as_long_as_it_can_pay(book: Book) -> None:
    given(book, (1, ASK, 100, 5), (2, ASK, 110, 5), (3, ASK, 120, 5))

    assert book.market(4, BID, budget=500 + 2 * 110 + 109) == [
        fill(BID, 4, 1, 100, 5, 0, 0, 0),
        fill(BID, 4, 2, 110, 2, 0, 3, 3),
        discard(BID, REASON_BUDGET, 4, 0, 0),
    ]
    assert book.depth() == ([], [(110, 3), (120, 5)])


def test_an_ask_sells_until_it_has_earned_its_budget(book: Book) -> None:
    """Only the best price counts: 99 of 199 are left, which a bid at 90 could still pay."""
    given(book, (1, BID, 100, 5), (2, BID, 90, 5))

    assert book.market(3, ASK, budget=199) == [
        fill(ASK, 3, 1, 100, 1, 0, 4, 4),
        discard(ASK, REASON_BUDGET, 3, 0, 0),
    ]


def test_a_budget_that_is_spent_to_the_last_ends_as_one_that_is_not(book: Book) -> None:
    """Even if nothing is left to buy."""
    given(book, (1, ASK, 100, 5))

    assert book.market(2, BID, budget=500) == [
        fill(BID, 2, 1, 100, 5, 0, 0, 0),
        discard(BID, REASON_BUDGET, 2, 0, 0),
    ]


def test_a_budget_for_less_than_a_lot_buys_nothing(book: Book) -> None:
    given(book, (1, ASK, 100, 5))

    assert book.market(2, BID, budget=99) == [discard(BID, REASON_BUDGET, 2, 0, 0)]
    assert book.depth() == ([], [(100, 5)])


def test_a_budget_may_outlast_the_book(book: Book) -> None:
    given(book, (1, ASK, 100, 5))

    assert book.market(2, BID, budget=501) == [
        fill(BID, 2, 1, 100, 5, 0, 0, 0),
        discard(BID, REASON_NO_LIQUIDITY, 2, 0, 0),
    ]
    assert book.market(3, BID, budget=1) == [discard(BID, REASON_NO_LIQUIDITY, 3, 0, 0)]


def test_no_product_of_price_and_quantity_overflows(book: Book) -> None:
    given(book, (1, ASK, 2**62, INT64_MAX), (2, ASK, INT64_MAX, INT64_MAX), (3, BID, 1, INT64_MAX))

    assert book.market(4, BID, budget=INT64_MAX) == [
        fill(BID, 4, 1, 2**62, 1, 0, INT64_MAX - 1, INT64_MAX - 1),
        discard(BID, REASON_BUDGET, 4, 0, 0),
    ]
    assert book.market(5, ASK, budget=INT64_MAX) == [
        fill(ASK, 5, 3, 1, INT64_MAX, 0, 0, 0),
        discard(ASK, REASON_BUDGET, 5, 0, 0),
    ]
    book.cancel(1)
    assert book.market(6, BID, budget=INT64_MAX)[0].quantity == 1


# ---- self-trade ----


@pytest.fixture
def own_second(book: Book) -> Book:
    given(book, (1, ASK, 100, 5, 8), (2, ASK, 100, 5, 7), (3, ASK, 110, 5, 8))
    return book


def test_meeting_its_owners_order_may_end_it(own_second: Book) -> None:
    assert own_second.market(4, BID, budget=900, owner=7, self_trade=SelfTrade.CANCEL_NEWEST) == [
        fill(BID, 4, 1, 100, 5, 0, 0, 5),
        discard(BID, REASON_SELF_TRADE, 4, 0, 0),
    ]
    assert list(own_second) == [Order(2, ASK, 100, 5, 7), Order(3, ASK, 110, 5, 8)]


def test_it_may_go_on_without_its_owners_order(own_second: Book) -> None:
    assert own_second.market(4, BID, budget=900, owner=7, self_trade=SelfTrade.CANCEL_OLDEST) == [
        fill(BID, 4, 1, 100, 5, 0, 0, 5),
        cancel(ASK, REASON_SELF_TRADE, 2, 100, 5, 0),
        fill(BID, 4, 3, 110, 3, 0, 2, 2),
        discard(BID, REASON_BUDGET, 4, 0, 0),
    ]


def test_it_may_be_decremented_by_what_its_owners_order_is_worth(own_second: Book) -> None:
    assert own_second.market(4, BID, budget=1119, owner=7, self_trade=SelfTrade.DECREMENT) == [
        fill(BID, 4, 1, 100, 5, 0, 0, 5),
        cancel(ASK, REASON_SELF_TRADE, 2, 100, 5, 0),
        discard(BID, REASON_SELF_TRADE, 4, 0, 5),
        fill(BID, 4, 3, 110, 1, 0, 4, 4),
        discard(BID, REASON_BUDGET, 4, 0, 0),
    ]


def test_its_owners_order_may_be_decremented_by_what_it_can_pay(own_second: Book) -> None:
    assert own_second.market(4, BID, budget=750, owner=7, self_trade=SelfTrade.DECREMENT) == [
        fill(BID, 4, 1, 100, 5, 0, 0, 5),
        reduce(ASK, 2, 2, 100, 2, 3, 3, REASON_SELF_TRADE),
        discard(BID, REASON_SELF_TRADE, 4, 0, 2),
        discard(BID, REASON_BUDGET, 4, 0, 0),
    ]


# ---- what is refused ----


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"budget": -1}, r"^budget: expected 0 \(none\) or a positive .*, got -1$"),
        ({"budget": 2**63}, r"^budget: .*64 bits, got 9223372036854775808$"),
        ({"budget": 5, "quantity": 3}, r"^quantity: expected 0, because a budget is given, got 3$"),
        ({"budget": 5, "tif": TimeInForce.FOK}, r"^tif: .* because a budget is given, got 2$"),
        ({}, r"^quantity: expected a positive integer below 2\*\*63, got 0$"),
    ],
)
def test_an_error_names_the_argument(book: Book, arguments: dict[str, Any], message: str) -> None:
    given(book, (1, ASK, 100, 5))

    with pytest.raises(ValueError, match=message):
        book.market(2, BID, **arguments)
    assert list(book) == [Order(1, ASK, 100, 5, 0)]


@pytest.mark.parametrize(
    ("op", "tif", "quantity", "reason"),
    [
        (OP_LIMIT, 0, 5, REJECT_INVALID_ORDER),
        (OP_REPLACE, 0, 5, REJECT_INVALID_ORDER),
        (OP_MARKET, 2, 5, REJECT_INVALID_ORDER),
        (OP_MARKET, 0, 0, REJECT_INVALID_QUANTITY),
        (OP_MARKET, 0, -5, REJECT_INVALID_QUANTITY),
    ],
)
def test_a_record_with_an_impossible_budget_is_a_reject(
    op: int, tif: int, quantity: int, reason: int
) -> None:
    command = reference.Command(op, BID, tif, FLAG_BUDGET, 0, 1, 2, 100, quantity)

    events = OrderBook().process(np.array([tuple(command)], COMMAND_DTYPE))

    assert events["reason"].tolist() == [reason]
    assert [event.reason for event in reference.OrderBook().apply(command)] == [reason]
