"""The behaviour of the order book, command by command, for the Cython and the Python book."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from engine_events import Book, cancel, discard, fill, given, reduce, reject, rest

from fastbook import (
    EVENT_FILL,
    REASON_FOK,
    REASON_IOC,
    REASON_NO_LIQUIDITY,
    REASON_REPLACED,
    REASON_SELF_TRADE,
    REASON_USER,
    REJECT_POST_ONLY,
    Order,
    SelfTrade,
    Side,
    TimeInForce,
)

BID, ASK = Side
GTC, IOC, FOK = TimeInForce
ALLOW, NEWEST, OLDEST, BOTH, DECREMENT = SelfTrade
INT64_MAX = 2**63 - 1

# ---- resting ----


def test_an_order_that_meets_nobody_rests(book: Book) -> None:
    events = book.add(1, BID, 100, 5)

    assert events == [rest(BID, 1, 100, 5, 5)]
    assert book.depth() == ([(100, 5)], [])
    assert (book.best_bid, book.best_ask) == ((100, 5), None)
    assert len(book) == 1
    assert 1 in book


def test_a_rest_tells_the_whole_level(book: Book) -> None:
    given(book, (1, ASK, 100, 5))

    assert book.add(2, ASK, 100, 3) == [rest(ASK, 2, 100, 3, 8)]


def test_depth_shows_both_sides_best_first(book: Book) -> None:
    given(book, (1, BID, 98, 1), (2, BID, 99, 2), (3, BID, 97, 3))
    given(book, (4, ASK, 102, 4), (5, ASK, 101, 5), (6, ASK, 103, 6), (7, BID, 99, 7))

    assert book.depth() == ([(99, 9), (98, 1), (97, 3)], [(101, 5), (102, 4), (103, 6)])
    assert book.depth(2) == ([(99, 9), (98, 1)], [(101, 5), (102, 4)])
    assert book.depth(9) == book.depth(0)


def test_iteration_is_in_priority_order(book: Book) -> None:
    given(book, (5, ASK, 103, 1), (4, ASK, 101, 2), (3, BID, 99, 3, 7), (2, BID, 100, 4))
    given(book, (1, BID, 100, 5), (6, ASK, 101, 6))

    assert list(book) == [
        Order(2, BID, 100, 4, 0),
        Order(1, BID, 100, 5, 0),
        Order(3, BID, 99, 3, 7),
        Order(4, ASK, 101, 2, 0),
        Order(6, ASK, 101, 6, 0),
        Order(5, ASK, 103, 1, 0),
    ]


def test_the_book_may_change_while_it_is_iterated(book: Book) -> None:
    given(book, *((i, BID, i, 1) for i in range(1, 50)))

    assert [book.cancel(order.order_id).order_id for order in book] == list(range(49, 0, -1))
    assert len(book) == 0


def test_get_shows_an_order_as_it_is_now(book: Book) -> None:
    given(book, (1, BID, 100, 5, 9))
    book.market(2, ASK, 2)

    assert book.get(1) == Order(1, BID, 100, 3, 9)
    assert book.get(2) is None
    assert 2 not in book


def test_an_id_that_no_order_can_have_is_just_not_there(book: Book) -> None:
    for order_id in (0, -1, 2**63, -(2**63) - 1, 2**200):
        assert order_id not in book
        assert book.get(order_id) is None


# ---- matching ----


@pytest.mark.parametrize(("side", "other"), [(BID, ASK), (ASK, BID)])
def test_a_fill_happens_at_the_makers_price(book: Book, side: int, other: int) -> None:
    given(book, (1, other, 100, 5))
    limit = 110 if side == BID else 90

    assert book.add(2, side, limit, 5) == [fill(side, 2, 1, 100, 5, 0, 0, 0)]
    assert book.depth() == ([], [])


def test_the_best_price_trades_first(book: Book) -> None:
    given(book, (1, ASK, 102, 1), (2, ASK, 100, 2), (3, ASK, 101, 3))

    assert book.add(4, BID, 102, 6) == [
        fill(BID, 4, 2, 100, 2, 4, 0, 0),
        fill(BID, 4, 3, 101, 3, 1, 0, 0),
        fill(BID, 4, 1, 102, 1, 0, 0, 0),
    ]


def test_the_oldest_order_of_a_price_trades_first(book: Book) -> None:
    given(book, (3, BID, 100, 1), (1, BID, 100, 2), (2, BID, 100, 3))

    assert book.add(4, ASK, 100, 4) == [
        fill(ASK, 4, 3, 100, 1, 3, 0, 5),
        fill(ASK, 4, 1, 100, 2, 1, 0, 3),
        fill(ASK, 4, 2, 100, 1, 0, 2, 2),
    ]
    assert book.depth() == ([(100, 2)], [])


def test_a_partly_filled_maker_keeps_its_place(book: Book) -> None:
    given(book, (1, ASK, 100, 5), (2, ASK, 100, 5))

    assert book.add(3, BID, 100, 2) == [fill(BID, 3, 1, 100, 2, 0, 3, 8)]
    assert book.add(4, BID, 100, 4) == [
        fill(BID, 4, 1, 100, 3, 1, 0, 5),
        fill(BID, 4, 2, 100, 1, 0, 4, 4),
    ]


def test_the_remainder_of_a_limit_order_rests_at_its_own_price(book: Book) -> None:
    given(book, (1, ASK, 100, 5))

    assert book.add(2, BID, 101, 8) == [fill(BID, 2, 1, 100, 5, 3, 0, 0), rest(BID, 2, 101, 3, 3)]
    assert book.depth() == ([(101, 3)], [])


def test_an_order_does_not_trade_beyond_its_price(book: Book) -> None:
    given(book, (1, ASK, 100, 1), (2, ASK, 102, 1))

    assert book.add(3, BID, 101, 2) == [fill(BID, 3, 1, 100, 1, 1, 0, 0), rest(BID, 3, 101, 1, 1)]
    assert book.depth() == ([(101, 1)], [(102, 1)])


def test_an_id_is_free_again_when_its_order_is_gone(book: Book) -> None:
    given(book, (1, ASK, 100, 1))
    book.market(2, BID, 1)

    assert book.add(1, BID, 100, 1) == [rest(BID, 1, 100, 1, 1)]
    assert book.cancel(1) == cancel(BID, REASON_USER, 1, 100, 1, 0)
    assert book.add(1, ASK, 100, 1) == [rest(ASK, 1, 100, 1, 1)]


def test_a_crash_through_thousands_of_levels(book: Book) -> None:
    count = 5000
    given(book, *((i, BID, 10 * i, 1) for i in range(1, count + 1)))

    events = book.add(count + 1, ASK, 10, count + 1)

    makers = list(range(count, 0, -1))
    assert events == [
        *(fill(ASK, count + 1, i, 10 * i, 1, i, 0, 0) for i in makers),
        rest(ASK, count + 1, 10, 1, 1),
    ]
    book.check_invariants()


# ---- market orders and time in force ----


def test_a_market_order_trades_at_any_price_and_never_rests(book: Book) -> None:
    given(book, (1, ASK, 1, 1), (2, ASK, INT64_MAX, 1))

    assert book.market(3, BID, 5) == [
        fill(BID, 3, 1, 1, 1, 4, 0, 0),
        fill(BID, 3, 2, INT64_MAX, 1, 3, 0, 0),
        discard(BID, REASON_NO_LIQUIDITY, 3, 0, 3),
    ]
    assert len(book) == 0


def test_a_market_order_into_nothing_is_discarded(book: Book) -> None:
    given(book, (1, BID, 100, 5))

    assert book.market(2, BID, 5) == [discard(BID, REASON_NO_LIQUIDITY, 2, 0, 5)]


def test_the_remainder_of_an_ioc_order_is_discarded(book: Book) -> None:
    given(book, (1, ASK, 100, 5), (2, ASK, 101, 5))

    assert book.add(3, BID, 100, 8, IOC) == [
        fill(BID, 3, 1, 100, 5, 3, 0, 0),
        discard(BID, REASON_IOC, 3, 100, 3),
    ]
    assert book.add(4, BID, 100, 8, IOC) == [discard(BID, REASON_IOC, 4, 100, 8)]


def test_a_fok_order_fills_whole(book: Book) -> None:
    given(book, (1, ASK, 100, 5), (2, ASK, 101, 5))

    assert book.add(3, BID, 101, 10, FOK) == [
        fill(BID, 3, 1, 100, 5, 5, 0, 0),
        fill(BID, 3, 2, 101, 5, 0, 0, 0),
    ]


def test_a_fok_order_that_lacks_one_lot_changes_nothing(book: Book) -> None:
    given(book, (1, ASK, 100, 5), (2, ASK, 101, 5), (3, ASK, 102, 5))

    assert book.add(4, BID, 101, 11, FOK) == [discard(BID, REASON_FOK, 4, 101, 11)]
    assert book.depth() == ([], [(100, 5), (101, 5), (102, 5)])


def test_a_fok_order_counts_levels_whose_sum_exceeds_int64(book: Book) -> None:
    given(book, (1, ASK, 100, INT64_MAX), (2, ASK, 101, INT64_MAX))

    assert book.add(3, BID, 101, INT64_MAX, FOK) == [fill(BID, 3, 1, 100, INT64_MAX, 0, 0, 0)]
    given(book, (4, ASK, 100, INT64_MAX - 1))
    assert book.add(5, BID, 101, INT64_MAX, FOK) == [
        fill(BID, 5, 4, 100, INT64_MAX - 1, 1, 0, 0),
        fill(BID, 5, 2, 101, 1, 0, INT64_MAX - 1, INT64_MAX - 1),
    ]


def test_a_market_order_may_fill_or_kill(book: Book) -> None:
    given(book, (1, ASK, 100, 5), (2, ASK, INT64_MAX, 5))

    assert book.market(3, BID, 11, tif=FOK) == [discard(BID, REASON_FOK, 3, 0, 11)]
    assert book.depth() == ([], [(100, 5), (INT64_MAX, 5)])
    assert book.market(4, BID, 10, tif=FOK) == [
        fill(BID, 4, 1, 100, 5, 5, 0, 0),
        fill(BID, 4, 2, INT64_MAX, 5, 0, 0, 0),
    ]


def test_a_market_order_that_kills_counts_only_what_it_may_trade(book: Book) -> None:
    given(book, (1, BID, 100, 5), (2, BID, 99, 5, 7), (3, BID, 98, 5))

    killed = book.market(4, ASK, 6, owner=7, self_trade=NEWEST, tif=FOK)
    filled = book.market(5, ASK, 10, owner=7, self_trade=OLDEST, tif=FOK)

    assert killed == [discard(ASK, REASON_FOK, 4, 0, 6)]
    assert filled == [
        fill(ASK, 5, 1, 100, 5, 5, 0, 0),
        cancel(BID, REASON_SELF_TRADE, 2, 99, 5, 0),
        fill(ASK, 5, 3, 98, 5, 0, 0, 0),
    ]


@pytest.mark.parametrize("tif", [GTC, IOC])
def test_a_market_order_never_rests(book: Book, tif: TimeInForce) -> None:
    assert book.market(1, BID, 5, tif=tif) == [discard(BID, REASON_NO_LIQUIDITY, 1, 0, 5)]


# ---- post only ----


def test_a_post_only_order_rests_one_tick_from_the_touch(book: Book) -> None:
    given(book, (1, ASK, 100, 5))

    assert book.add(2, BID, 99, 5, post_only=True) == [rest(BID, 2, 99, 5, 5)]


@pytest.mark.parametrize("owner", [0, 7])
def test_a_post_only_order_at_the_touch_is_rejected(book: Book, owner: int) -> None:
    """Even if it would only match an order of its own owner."""
    given(book, (1, ASK, 100, 5, owner))

    events = book.add(2, BID, 100, 5, post_only=True, owner=owner, self_trade=OLDEST)

    assert events == [reject(BID, REJECT_POST_ONLY, 2, 0, 100, 5)]
    assert list(book) == [Order(1, ASK, 100, 5, owner)]


def test_a_post_only_order_of_immediate_kind_can_only_be_discarded(book: Book) -> None:
    given(book, (1, ASK, 100, 5))

    assert book.add(2, BID, 99, 5, IOC, post_only=True) == [discard(BID, REASON_IOC, 2, 99, 5)]
    assert book.add(3, BID, 99, 5, FOK, post_only=True) == [discard(BID, REASON_FOK, 3, 99, 5)]


# ---- self-trade ----


@pytest.fixture
def own_between(book: Book) -> Book:
    """At 100 owner 7's order 2 is between orders 1 and 3 of others; order 4 of others is at 101."""
    given(book, (1, ASK, 100, 1, 8), (2, ASK, 100, 2, 7), (3, ASK, 100, 3), (4, ASK, 101, 4, 8))
    return book


def test_allow_trades_with_oneself(own_between: Book) -> None:
    assert own_between.add(5, BID, 100, 3, owner=7, self_trade=ALLOW) == [
        fill(BID, 5, 1, 100, 1, 2, 0, 5),
        fill(BID, 5, 2, 100, 2, 0, 0, 3),
    ]


def test_cancel_newest_ends_the_incoming_order(own_between: Book) -> None:
    assert own_between.add(5, BID, 101, 9, owner=7, self_trade=NEWEST) == [
        fill(BID, 5, 1, 100, 1, 8, 0, 5),
        discard(BID, REASON_SELF_TRADE, 5, 101, 8),
    ]
    assert [order.order_id for order in own_between] == [2, 3, 4]


def test_cancel_oldest_goes_on_without_the_resting_order(own_between: Book) -> None:
    assert own_between.add(5, BID, 101, 9, owner=7, self_trade=OLDEST) == [
        fill(BID, 5, 1, 100, 1, 8, 0, 5),
        cancel(ASK, REASON_SELF_TRADE, 2, 100, 2, 3),
        fill(BID, 5, 3, 100, 3, 5, 0, 0),
        fill(BID, 5, 4, 101, 4, 1, 0, 0),
        rest(BID, 5, 101, 1, 1),
    ]


def test_cancel_both_ends_the_resting_and_the_incoming_order(own_between: Book) -> None:
    assert own_between.market(5, BID, 9, owner=7, self_trade=BOTH) == [
        fill(BID, 5, 1, 100, 1, 8, 0, 5),
        cancel(ASK, REASON_SELF_TRADE, 2, 100, 2, 3),
        discard(BID, REASON_SELF_TRADE, 5, 0, 8),
    ]
    assert [order.order_id for order in own_between] == [3, 4]


def test_decrement_reduces_both_by_the_smaller_and_goes_on(own_between: Book) -> None:
    assert own_between.add(5, BID, 101, 9, owner=7, self_trade=DECREMENT) == [
        fill(BID, 5, 1, 100, 1, 8, 0, 5),
        cancel(ASK, REASON_SELF_TRADE, 2, 100, 2, 3),
        discard(BID, REASON_SELF_TRADE, 5, 101, 2, 6),
        fill(BID, 5, 3, 100, 3, 3, 0, 0),
        fill(BID, 5, 4, 101, 3, 0, 1, 1),
    ]


def test_decrement_ends_the_incoming_order_if_it_is_the_smaller(own_between: Book) -> None:
    assert own_between.market(5, BID, 2, owner=7, self_trade=DECREMENT) == [
        fill(BID, 5, 1, 100, 1, 1, 0, 5),
        reduce(ASK, 2, 2, 100, 1, 1, 4, REASON_SELF_TRADE),
        discard(BID, REASON_SELF_TRADE, 5, 0, 1),
    ]
    assert [order.order_id for order in own_between] == [2, 3, 4], "it keeps its place"


def test_decrement_ends_both_if_they_are_equal(book: Book) -> None:
    given(book, (1, ASK, 100, 5, 7))

    assert book.add(2, BID, 100, 5, owner=7, self_trade=DECREMENT) == [
        cancel(ASK, REASON_SELF_TRADE, 1, 100, 5, 0),
        discard(BID, REASON_SELF_TRADE, 2, 100, 5),
    ]
    assert list(book) == []


def test_what_decrement_leaves_of_the_incoming_order_rests(book: Book) -> None:
    given(book, (1, ASK, 100, 5, 7), (2, ASK, 101, 1, 7))

    assert book.add(3, BID, 101, 8, owner=7, self_trade=DECREMENT) == [
        cancel(ASK, REASON_SELF_TRADE, 1, 100, 5, 0),
        discard(BID, REASON_SELF_TRADE, 3, 101, 5, 3),
        cancel(ASK, REASON_SELF_TRADE, 2, 101, 1, 0),
        discard(BID, REASON_SELF_TRADE, 3, 101, 1, 2),
        rest(BID, 3, 101, 2, 2),
    ]


def test_a_replaced_order_may_be_decremented(book: Book) -> None:
    given(book, (1, BID, 100, 5, 7), (2, ASK, 101, 3, 7))

    assert book.replace(1, 1, 101, 2, self_trade=DECREMENT) == [
        cancel(BID, REASON_REPLACED, 1, 100, 5, 0),
        reduce(ASK, 2, 2, 101, 2, 1, 1, REASON_SELF_TRADE),
        discard(BID, REASON_SELF_TRADE, 1, 101, 2),
    ]


@pytest.mark.parametrize("mode", [NEWEST, OLDEST, BOTH, DECREMENT])
def test_an_order_that_is_done_before_its_owners_meets_nothing(
    own_between: Book, mode: SelfTrade
) -> None:
    events = own_between.add(5, BID, 100, 1, owner=7, self_trade=mode)

    assert events == [fill(BID, 5, 1, 100, 1, 0, 0, 5)]


@pytest.mark.parametrize("mode", [NEWEST, OLDEST, BOTH, DECREMENT])
def test_nobody_never_trades_with_itself(book: Book, mode: SelfTrade) -> None:
    given(book, (1, ASK, 100, 1, 0))

    assert book.add(2, BID, 100, 1, owner=0, self_trade=mode) == [fill(BID, 2, 1, 100, 1, 0, 0, 0)]


def test_cancelling_all_that_crosses_lets_the_order_rest(book: Book) -> None:
    given(book, (1, ASK, 100, 1, 7), (2, ASK, 101, 2, 7))

    assert book.add(3, BID, 101, 3, owner=7, self_trade=OLDEST) == [
        cancel(ASK, REASON_SELF_TRADE, 1, 100, 1, 0),
        cancel(ASK, REASON_SELF_TRADE, 2, 101, 2, 0),
        rest(BID, 3, 101, 3, 3),
    ]


@pytest.mark.parametrize(
    ("mode", "most"), [(ALLOW, 10), (NEWEST, 1), (OLDEST, 8), (BOTH, 1), (DECREMENT, 1)]
)
def test_a_fok_order_counts_only_what_it_may_trade(
    own_between: Book, mode: SelfTrade, most: int
) -> None:
    """Of 1, own 2, 3 and 4 lots: all; all except the own; or what stands ahead of the own."""
    before = list(own_between)
    too_much = own_between.add(5, BID, 101, most + 1, FOK, owner=7, self_trade=mode)

    assert too_much == [discard(BID, REASON_FOK, 5, 101, most + 1)]
    assert list(own_between) == before

    events = own_between.add(6, BID, 101, most, FOK, owner=7, self_trade=mode)

    assert sum(event.quantity for event in events if event.kind == EVENT_FILL) == most
    assert events[-1].kind == EVENT_FILL


def test_a_fok_order_cancels_only_what_stands_before_its_last_maker(book: Book) -> None:
    given(book, (1, ASK, 100, 1, 7), (2, ASK, 101, 2, 8), (3, ASK, 101, 3, 7))

    assert book.add(4, BID, 105, 2, FOK, owner=7, self_trade=OLDEST) == [
        cancel(ASK, REASON_SELF_TRADE, 1, 100, 1, 0),
        fill(BID, 4, 2, 101, 2, 0, 0, 3),
    ]
    assert 3 in book


# ---- cancel ----


def test_a_cancel_tells_what_left_and_what_stays(book: Book) -> None:
    given(book, (1, BID, 100, 1), (2, BID, 100, 2), (3, BID, 100, 4))

    assert book.cancel(2) == cancel(BID, REASON_USER, 2, 100, 2, 5)
    assert book.cancel(3) == cancel(BID, REASON_USER, 3, 100, 4, 1)
    assert book.cancel(1) == cancel(BID, REASON_USER, 1, 100, 1, 0)
    assert book.best_bid is None


@pytest.mark.parametrize("order_id", [2, 0, -1, 2**63 - 1, 2**63, -(2**70)])
def test_cancelling_an_unknown_order_is_a_key_error(book: Book, order_id: int) -> None:
    given(book, (1, BID, 100, 1))

    with pytest.raises(KeyError, match=str(order_id)):
        book.cancel(order_id)
    assert len(book) == 1


def test_an_order_cancels_once(book: Book) -> None:
    given(book, (1, BID, 100, 1))
    book.cancel(1)

    with pytest.raises(KeyError):
        book.cancel(1)


# ---- replace ----


def test_a_smaller_quantity_keeps_the_place(book: Book) -> None:
    given(book, (1, ASK, 100, 5), (2, ASK, 100, 5))

    assert book.replace(1, 1, 100, 2) == [reduce(ASK, 1, 1, 100, 3, 2, 7)]
    assert [order.order_id for order in book] == [1, 2]


def test_a_reduced_order_may_change_its_id(book: Book) -> None:
    given(book, (1, ASK, 100, 5, 9), (2, ASK, 100, 5))

    assert book.replace(1, 3, 100, 5) == [reduce(ASK, 3, 1, 100, 0, 5, 10)]
    assert list(book) == [Order(3, ASK, 100, 5, 9), Order(2, ASK, 100, 5, 0)]
    assert 1 not in book
    assert book.market(4, BID, 6) == [
        fill(BID, 4, 3, 100, 5, 1, 0, 5),
        fill(BID, 4, 2, 100, 1, 0, 4, 4),
    ]


def test_a_larger_quantity_loses_the_place(book: Book) -> None:
    given(book, (1, ASK, 100, 5), (2, ASK, 100, 5))

    assert book.replace(1, 1, 100, 6) == [
        cancel(ASK, REASON_REPLACED, 1, 100, 5, 5),
        rest(ASK, 1, 100, 6, 11),
    ]
    assert [order.order_id for order in book] == [2, 1]


def test_a_new_price_loses_the_place_and_keeps_side_and_owner(book: Book) -> None:
    given(book, (1, BID, 100, 5, 9), (2, BID, 99, 5))

    assert book.replace(1, 3, 99, 4) == [
        cancel(BID, REASON_REPLACED, 1, 100, 5, 0),
        rest(BID, 3, 99, 4, 9),
    ]
    assert book.get(3) == Order(3, BID, 99, 4, 9)


def test_a_replaced_order_may_match(book: Book) -> None:
    given(book, (1, BID, 100, 5), (2, ASK, 101, 3))

    assert book.replace(1, 1, 101, 5) == [
        cancel(BID, REASON_REPLACED, 1, 100, 5, 0),
        fill(BID, 1, 2, 101, 3, 2, 0, 0),
        rest(BID, 1, 101, 2, 2),
    ]


def test_a_replaced_order_avoids_its_owner_as_asked(book: Book) -> None:
    given(book, (1, BID, 100, 5, 7), (2, ASK, 101, 3, 7))

    assert book.replace(1, 3, 101, 5, self_trade=NEWEST) == [
        cancel(BID, REASON_REPLACED, 1, 100, 5, 0),
        discard(BID, REASON_SELF_TRADE, 3, 101, 5),
    ]
    assert list(book) == [Order(2, ASK, 101, 3, 7)]


def test_a_post_only_replace_that_would_cross_leaves_the_old_order(book: Book) -> None:
    given(book, (1, BID, 100, 5), (2, ASK, 101, 3))

    assert book.replace(1, 3, 101, 4, post_only=True) == [
        reject(BID, REJECT_POST_ONLY, 3, 1, 101, 4)
    ]
    assert list(book) == [Order(1, BID, 100, 5, 0), Order(2, ASK, 101, 3, 0)]


def test_a_post_only_replace_that_stays_in_place_is_fine(book: Book) -> None:
    given(book, (1, BID, 100, 5), (2, ASK, 101, 3))

    assert book.replace(1, 1, 100, 4, post_only=True) == [reduce(BID, 1, 1, 100, 1, 4, 4)]


@pytest.mark.parametrize("order_id", [3, 0, -5, 2**63, 2**64])
def test_replacing_an_unknown_order_is_a_key_error(book: Book, order_id: int) -> None:
    given(book, (1, BID, 100, 5))

    with pytest.raises(KeyError, match=str(order_id)):
        book.replace(order_id, 4, 100, 5)


# ---- errors: each leaves the book unchanged ----

Call = Callable[[Any], object]

REFUSED: dict[str, tuple[Call, type[Exception], str]] = {
    "price 0": (lambda b: b.add(9, BID, 0, 1), ValueError, "^price: .*positive.*, got 0$"),
    "price -1": (lambda b: b.add(9, BID, -1, 1), ValueError, "^price: .*positive.*, got -1$"),
    "price beyond int64": (
        lambda b: b.add(9, BID, 2**63, 1),
        ValueError,
        "^price: .*64 bits, got 9223372036854775808$",
    ),
    "quantity 0": (lambda b: b.add(9, BID, 1, 0), ValueError, "^quantity: .*positive.*, got 0$"),
    "quantity beyond int64": (
        lambda b: b.add(9, BID, 1, 2**64),
        ValueError,
        "^quantity: .*64 bits",
    ),
    "id 0": (lambda b: b.add(0, BID, 1, 1), ValueError, "^order_id: .*positive.*, got 0$"),
    "id beyond int64": (lambda b: b.add(2**63, BID, 1, 1), ValueError, "^order_id: .*64 bits"),
    "id resting": (lambda b: b.add(1, BID, 1, 1), ValueError, "^order_id: .*not resting, got 1$"),
    "side 2": (lambda b: b.add(9, 2, 1, 1), ValueError, "^side: .*ask.*, got 2$"),
    "side -1": (lambda b: b.add(9, -1, 1, 1), ValueError, "^side: .*bid.*, got -1$"),
    "side 256": (lambda b: b.add(9, 256, 1, 1), ValueError, "^side: .*, got 256$"),
    "tif 3": (lambda b: b.add(9, BID, 1, 1, 3), ValueError, "^tif: .*fok.*, got 3$"),
    "self_trade 5": (
        lambda b: b.add(9, BID, 1, 1, self_trade=5),
        ValueError,
        "^self_trade: .*cancel_both.*, got 5$",
    ),
    "owner -1": (lambda b: b.add(9, BID, 1, 1, owner=-1), ValueError, "^owner: .*, got -1$"),
    "owner 2**32": (
        lambda b: b.add(9, BID, 1, 1, owner=2**32),
        ValueError,
        "^owner: .*, got 4294967296$",
    ),
    "level sum": (
        lambda b: b.add(9, BID, 100, INT64_MAX),
        ValueError,
        "^quantity: .*a total of at most 2\\*\\*63 - 1 at price 100, got",
    ),
    "price as float": (lambda b: b.add(9, BID, 1.0, 1), TypeError, "^price: .*int, got float$"),
    "quantity as text": (lambda b: b.add(9, BID, 1, "1"), TypeError, "^quantity: .*got str$"),
    "id as None": (lambda b: b.add(None, BID, 1, 1), TypeError, "^order_id: .*got NoneType$"),
    "market quantity 0": (lambda b: b.market(9, BID, 0), ValueError, "^quantity: "),
    "market id resting": (lambda b: b.market(1, BID, 1), ValueError, "^order_id: .*got 1$"),
    "market tif": (lambda b: b.market(9, BID, 1, tif=3), ValueError, "^tif: .*fok.*, got 3$"),
    "market side": (lambda b: b.market(9, 7, 1), ValueError, "^side: "),
    "market self_trade": (
        lambda b: b.market(9, BID, 1, self_trade=-1),
        ValueError,
        "^self_trade: ",
    ),
    "cancel as float": (lambda b: b.cancel(1.5), TypeError, "^order_id: .*got float$"),
    "get as text": (lambda b: b.get("1"), TypeError, "^order_id: .*got str$"),
    "replace price 0": (lambda b: b.replace(1, 1, 0, 1), ValueError, "^price: "),
    "replace quantity 0": (lambda b: b.replace(1, 1, 100, 0), ValueError, "^quantity: "),
    "replace by id 0": (lambda b: b.replace(1, 0, 100, 1), ValueError, "^new_order_id: .*got 0$"),
    "replace by id resting": (
        lambda b: b.replace(1, 2, 100, 1),
        ValueError,
        "^new_order_id: .*not resting, got 2$",
    ),
    "replace level sum": (
        lambda b: b.replace(2, 2, 100, INT64_MAX - 4),
        ValueError,
        "^quantity: .*at price 100",
    ),
    "depth -1": (lambda b: b.depth(-1), ValueError, "^n: .*, got -1$"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_error_names_the_argument_and_leaves_the_book(book: Book, name: str) -> None:
    call, error, message = REFUSED[name]
    given(book, (1, BID, 100, 5, 7), (2, BID, 99, 5), (3, ASK, 101, 5))
    before = (list(book), book.depth(), len(book))

    with pytest.raises(error, match=message):
        call(book)

    assert (list(book), book.depth(), len(book)) == before
    book.check_invariants()


# ---- the edges of 64 bits ----


def test_the_extreme_prices_are_ordinary(book: Book) -> None:
    given(book, (1, BID, 1, 5), (2, ASK, INT64_MAX, 5), (3, BID, 10**12, 5), (4, ASK, 10**15, 5))

    assert book.depth() == ([(10**12, 5), (1, 5)], [(10**15, 5), (INT64_MAX, 5)])
    assert book.add(5, ASK, 1, 10) == [
        fill(ASK, 5, 3, 10**12, 5, 5, 0, 0),
        fill(ASK, 5, 1, 1, 5, 0, 0, 0),
    ]
    assert book.add(6, BID, INT64_MAX, 10) == [
        fill(BID, 6, 4, 10**15, 5, 5, 0, 0),
        fill(BID, 6, 2, INT64_MAX, 5, 0, 0, 0),
    ]


def test_a_level_holds_exactly_int64(book: Book) -> None:
    given(book, (1, BID, 100, INT64_MAX - 1), (2, BID, 100, 1))

    with pytest.raises(ValueError, match="quantity"):
        book.add(3, BID, 100, 1)
    assert book.best_bid == (100, INT64_MAX)
    assert book.add(4, BID, 100, 1, IOC) == [discard(BID, REASON_IOC, 4, 100, 1)]
    assert book.market(5, ASK, INT64_MAX) == [
        fill(ASK, 5, 1, 100, INT64_MAX - 1, 1, 0, 1),
        fill(ASK, 5, 2, 100, 1, 0, 0, 0),
    ]


def test_a_replace_at_its_own_level_may_use_what_it_leaves(book: Book) -> None:
    given(book, (1, BID, 100, 5), (2, BID, 100, INT64_MAX - 10))

    assert book.replace(1, 1, 100, 10) == [
        cancel(BID, REASON_REPLACED, 1, 100, 5, INT64_MAX - 10),
        rest(BID, 1, 100, 10, INT64_MAX),
    ]


def test_the_largest_ids_and_owners_are_ordinary(book: Book) -> None:
    given(book, (INT64_MAX, BID, 100, 5, 2**32 - 1), (INT64_MAX - 1, BID, 100, 5))

    assert book.get(INT64_MAX) == Order(INT64_MAX, BID, 100, 5, 2**32 - 1)
    assert book.cancel(INT64_MAX) == cancel(BID, REASON_USER, INT64_MAX, 100, 5, 5)


def test_integers_of_other_types_are_integers(book: Book) -> None:
    class Number:
        def __index__(self) -> int:
            return 5

    number: Any = Number()

    assert book.add(number, BID, number, number) == [rest(BID, 5, 5, 5, 5)]
    assert book.cancel(number) == cancel(BID, REASON_USER, 5, 5, 5, 0)
