"""Icebergs, which show a slice of their quantity at a time, on both books."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engine_events import Book, cancel, discard, fill, given, reduce, rest

import fastbook
from fastbook import (
    COMMAND_DTYPE,
    EVENT_FILL,
    FLAG_DISPLAY,
    OP_LIMIT,
    OP_MARKET,
    OP_REPLACE,
    REASON_FOK,
    REASON_REPLACED,
    REASON_SELF_TRADE,
    REASON_USER,
    REJECT_INVALID_DISPLAY,
    REJECT_INVALID_ORDER,
    Order,
    OrderBook,
    SelfTrade,
    Side,
    TimeInForce,
    reference,
)

BID, ASK = Side
GTC, IOC, FOK = TimeInForce
INT64_MAX = 2**63 - 1


def queue(book: Book, side: int = ASK, price: int = 100) -> list[tuple[int, int, int]]:
    """Return (order_id, quantity, visible) of the orders at a price, as they will trade."""
    return [(o.order_id, o.quantity, o.visible) for o in book.orders_at(side, price)]


# ---- at rest ----


def test_an_iceberg_shows_its_first_slice(book: Book) -> None:
    events = book.add(1, ASK, 100, 10, display=3)

    assert events == [rest(ASK, 1, 100, 10, 3)]
    assert (book.best_ask, book.depth()) == ((100, 3), ([], [(100, 3)]))
    assert list(book.levels(ASK)) == [(100, 3)]
    assert book.get(1) == Order(1, ASK, 100, 10, 0, display=3, hidden=7)
    assert queue(book) == [(1, 10, 3)]


def test_a_level_shows_slices_and_whole_orders(book: Book) -> None:
    given(book, (1, ASK, 100, 5))

    assert book.add(2, ASK, 100, 10, display=3) == [rest(ASK, 2, 100, 10, 8)]
    assert book.add(3, ASK, 100, 4) == [rest(ASK, 3, 100, 4, 12)]


def test_a_plain_order_shows_everything(book: Book) -> None:
    given(book, (1, ASK, 100, 5))

    assert [(o.display, o.hidden, o.visible) for o in book] == [(0, 0, 5)]


def test_an_incoming_iceberg_trades_its_whole_quantity_and_then_shows_a_slice(book: Book) -> None:
    given(book, (1, ASK, 100, 5))

    assert book.add(2, BID, 100, 12, display=3) == [
        fill(BID, 2, 1, 100, 5, 7, 0, 0),
        rest(BID, 2, 100, 7, 3),
    ]
    assert queue(book, BID) == [(2, 7, 3)]


def test_an_incoming_iceberg_of_which_little_remains_shows_that(book: Book) -> None:
    given(book, (1, ASK, 100, 10))

    assert book.add(2, BID, 100, 12, display=3)[-1] == rest(BID, 2, 100, 2, 2)
    assert book.get(2) == Order(2, BID, 100, 2, 0, display=3, hidden=0)


def test_a_display_of_the_whole_quantity_hides_nothing(book: Book) -> None:
    assert book.add(1, ASK, 100, 5, display=5) == [rest(ASK, 1, 100, 5, 5)]


# ---- fills ----


def test_a_fill_within_the_slice_keeps_the_place(book: Book) -> None:
    book.add(1, ASK, 100, 10, display=3)
    given(book, (2, ASK, 100, 5))

    assert book.market(3, BID, 2) == [fill(BID, 3, 1, 100, 2, 0, 8, 6)]
    assert queue(book) == [(1, 8, 1), (2, 5, 5)]


def test_the_next_slice_queues_behind_all_others(book: Book) -> None:
    book.add(1, ASK, 100, 10, display=3)
    given(book, (2, ASK, 100, 5), (3, ASK, 100, 1))

    assert book.market(4, BID, 3) == [fill(BID, 4, 1, 100, 3, 0, 7, 9)]
    assert queue(book) == [(2, 5, 5), (3, 1, 1), (1, 7, 3)]
    book.check_invariants()


def test_a_taker_comes_back_to_the_next_slice_after_the_others(book: Book) -> None:
    book.add(1, ASK, 100, 8, display=3)
    given(book, (2, ASK, 100, 5))

    assert book.market(3, BID, 12) == [
        fill(BID, 3, 1, 100, 3, 9, 5, 8),
        fill(BID, 3, 2, 100, 5, 4, 0, 3),
        fill(BID, 3, 1, 100, 3, 1, 2, 2),
        fill(BID, 3, 1, 100, 1, 0, 1, 1),
    ]
    assert queue(book) == [(1, 1, 1)]


def test_two_icebergs_take_turns(book: Book) -> None:
    book.add(1, ASK, 100, 5, display=2)
    book.add(2, ASK, 100, 4, display=3)

    events = book.market(3, BID, 9)

    assert [(e.maker_order_id, e.quantity, e.maker_remaining) for e in events] == [
        *((1, 2, 3), (2, 3, 1), (1, 2, 1), (2, 1, 0), (1, 1, 0)),
    ]
    assert (len(book), book.depth()) == (0, ([], []))
    book.check_invariants()


def test_an_iceberg_ends_with_its_last_slice(book: Book) -> None:
    book.add(1, ASK, 100, 4, display=2)

    assert book.market(2, BID, 9)[:2] == [
        fill(BID, 2, 1, 100, 2, 7, 2, 2),
        fill(BID, 2, 1, 100, 2, 5, 0, 0),
    ]
    assert 1 not in book


# ---- fill or kill counts what is hidden ----


def test_a_fok_order_may_count_on_hidden_lots(book: Book) -> None:
    book.add(1, ASK, 100, 10, display=1)
    given(book, (2, ASK, 101, 1))

    assert book.add(3, BID, 101, 12, FOK) == [discard(BID, REASON_FOK, 3, 101, 12)]
    assert sum(e.quantity for e in book.add(4, BID, 101, 11, FOK)) == 11
    assert len(book) == 0


@pytest.mark.parametrize(
    "mode", [SelfTrade.CANCEL_NEWEST, SelfTrade.CANCEL_BOTH, SelfTrade.DECREMENT]
)
def test_a_fok_order_counts_only_the_slices_ahead_of_its_owners_order(
    book: Book, mode: SelfTrade
) -> None:
    """What iceberg 1 hides would queue behind order 3, which no fill may pass."""
    book.add(1, ASK, 100, 10, owner=8, display=3)
    given(book, (2, ASK, 100, 2, 8), (3, ASK, 100, 1, 7))

    assert book.add(4, BID, 100, 6, FOK, owner=7, self_trade=mode) == [
        discard(BID, REASON_FOK, 4, 100, 6)
    ]
    assert book.add(5, BID, 100, 5, FOK, owner=7, self_trade=mode) == [
        fill(BID, 5, 1, 100, 3, 2, 7, 6),
        fill(BID, 5, 2, 100, 2, 0, 0, 4),
    ]


def test_a_fok_order_that_cancels_its_owners_orders_counts_all_that_others_hide(book: Book) -> None:
    book.add(1, ASK, 100, 5, owner=8, display=3)
    book.add(2, ASK, 100, 9, owner=7, display=3)
    mode = SelfTrade.CANCEL_OLDEST

    assert book.add(3, BID, 100, 6, FOK, owner=7, self_trade=mode)[0].reason == REASON_FOK
    assert book.add(4, BID, 100, 5, FOK, owner=7, self_trade=mode) == [
        fill(BID, 4, 1, 100, 3, 2, 2, 5),
        cancel(ASK, REASON_SELF_TRADE, 2, 100, 9, 2),
        fill(BID, 4, 1, 100, 2, 0, 0, 0),
    ]


def test_decrement_takes_the_whole_remaining_hidden_lots_first(book: Book) -> None:
    book.add(1, ASK, 100, 10, owner=7, display=3)
    decrement = {"owner": 7, "self_trade": SelfTrade.DECREMENT}

    assert book.add(2, BID, 100, 8, **decrement) == [
        reduce(ASK, 1, 1, 100, 8, 2, 2, REASON_SELF_TRADE),
        discard(BID, REASON_SELF_TRADE, 2, 100, 8),
    ]
    assert book.add(3, BID, 100, 5, **decrement) == [
        cancel(ASK, REASON_SELF_TRADE, 1, 100, 2, 0),
        discard(BID, REASON_SELF_TRADE, 3, 100, 2, 3),
        rest(BID, 3, 100, 3, 3),
    ]


def test_a_market_order_by_value_buys_slice_by_slice(book: Book) -> None:
    book.add(1, ASK, 100, 10, display=3)

    events = book.market(2, BID, budget=799)

    assert [event.quantity for event in events] == [3, 3, 1, 0]
    assert queue(book) == [(1, 3, 2)]


# ---- cancel and replace ----


def test_a_cancel_tells_the_whole_quantity(book: Book) -> None:
    book.add(1, ASK, 100, 10, display=3)
    given(book, (2, ASK, 100, 5))

    assert book.cancel(1) == cancel(ASK, REASON_USER, 1, 100, 10, 5)


@pytest.mark.parametrize(
    ("quantity", "level", "after"), [(10, 8, 3), (4, 8, 3), (3, 8, 3), (2, 7, 2), (1, 6, 1)]
)
def test_a_smaller_quantity_takes_hidden_lots_first_and_keeps_the_place(
    book: Book, quantity: int, level: int, after: int
) -> None:
    book.add(1, ASK, 100, 10, display=3)
    given(book, (2, ASK, 100, 5))

    assert book.replace(1, 9, 100, quantity) == [
        reduce(ASK, 9, 1, 100, 10 - quantity, quantity, level)
    ]
    assert queue(book) == [(9, quantity, after), (2, 5, 5)]
    assert book.get(9) == Order(9, ASK, 100, quantity, 0, display=3, hidden=quantity - after)


def test_an_iceberg_enters_again_with_its_display(book: Book) -> None:
    book.add(1, ASK, 100, 10, owner=4, display=3)

    assert book.replace(1, 2, 101, 8) == [
        cancel(ASK, REASON_REPLACED, 1, 100, 10, 0),
        rest(ASK, 2, 101, 8, 3),
    ]
    assert book.get(2) == Order(2, ASK, 101, 8, 4, display=3, hidden=5)


def test_an_iceberg_that_enters_smaller_than_its_display_has_a_smaller_one(book: Book) -> None:
    book.add(1, ASK, 100, 10, display=3)

    book.replace(1, 1, 101, 2)
    book.replace(1, 1, 101, 8)

    assert book.get(1) == Order(1, ASK, 101, 8, 0, display=2, hidden=6)


def test_a_fresh_slice_comes_with_a_fresh_place(book: Book) -> None:
    book.add(1, ASK, 100, 10, display=3)
    given(book, (2, ASK, 100, 1))
    book.market(3, BID, 2)

    book.replace(1, 1, 100, 9)

    assert queue(book) == [(2, 1, 1), (1, 9, 3)]


# ---- the bound of a level counts what is hidden ----


@pytest.mark.parametrize("make", [OrderBook, reference.OrderBook])
def test_hidden_lots_count_towards_the_bound_of_a_level(make: Any) -> None:
    book = make(20)
    book.add(1, ASK, 100, 10, display=1)
    book.add(2, ASK, 100, 10, display=1)

    for call in (
        lambda: book.add(3, ASK, 100, 1),
        lambda: book.add(3, ASK, 100, 1, display=1),
        lambda: book.rest(3, ASK, 100, 1),
        lambda: book.replace(1, 1, 100, 11),
    ):
        with pytest.raises(ValueError, match="a total of at most 20 at price 100"):
            call()
    book.market(3, BID, 4)
    book.replace(1, 1, 100, 6)
    assert book.add(4, ASK, 100, 6) == [rest(ASK, 4, 100, 6, 8)]
    book.check_invariants()


def test_a_level_may_hide_all_of_int64(book: Book) -> None:
    assert book.add(1, ASK, INT64_MAX, INT64_MAX, display=1) == [
        rest(ASK, 1, INT64_MAX, INT64_MAX, 1)
    ]
    with pytest.raises(ValueError, match=r"2\*\*63 - 1 at price 9223372036854775807"):
        book.add(2, ASK, INT64_MAX, 1)
    assert book.market(3, BID, 2) == [
        fill(BID, 3, 1, INT64_MAX, 1, 1, INT64_MAX - 1, 1),
        fill(BID, 3, 1, INT64_MAX, 1, 0, INT64_MAX - 2, 1),
    ]


# ---- rest: a book that is built again ----


def visible(rested: int, display: int, filled: int) -> int:
    """Return the slice by the formula that those who keep rows of orders rely on."""
    return min((filled // display + 1) * display, rested) - filled


@pytest.mark.parametrize("display", range(1, 9))
def test_the_slice_follows_from_what_was_filled(book: Book, display: int) -> None:
    book.add(1, ASK, 100, 7, display=min(display, 7))
    for filled in range(7):
        assert queue(book) == [(1, 7 - filled, visible(7, min(display, 7), filled))]
        book.market(9, BID, 1)
    assert queue(book) == []


@pytest.mark.parametrize("filled", range(7))
def test_an_iceberg_rests_again_as_it_was(book: Book, filled: int) -> None:
    event = book.rest(1, ASK, 100, 7 - filled, 4, display=3, visible=visible(7, 3, filled))

    again = reference.OrderBook()
    again.add(1, ASK, 100, 7, owner=4, display=3)
    for _ in range(filled):
        again.market(9, BID, 1)
    assert event == rest(ASK, 1, 100, 7 - filled, visible(7, 3, filled))
    assert list(book) == list(again)
    assert book.market(2, BID, 99) == again.market(2, BID, 99)


def test_orders_rest_in_the_order_of_the_calls(book: Book) -> None:
    book.rest(5, ASK, 100, 10, display=3, visible=1)
    book.rest(2, ASK, 100, 5)
    book.rest(7, ASK, 100, 10, display=3)
    book.rest(1, BID, 99, 2, owner=6, display=10)

    assert queue(book) == [(5, 10, 1), (2, 5, 5), (7, 10, 3)]
    assert book.get(1) == Order(1, BID, 99, 2, 6, display=10, hidden=0)
    assert book.best_ask == (100, 9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((9, BID, 100, 1), r"^price: expected one that does not cross the book, got 100$"),
        ((1, ASK, 100, 1), r"^order_id: expected an id that is not resting, got 1$"),
        ((9, ASK, 0, 1), r"^price: expected a positive"),
        ((9, ASK, 101, 0), r"^quantity: expected a positive"),
        ((9, 2, 101, 1), r"^side: "),
        ((9, ASK, 101, 5, 2**32), r"^owner: "),
        ((9, ASK, 101, 5, 0, -1), r"^display: expected 0 \(everything\) or a positive"),
        ((9, ASK, 101, 5, 0, 3, 4), r"^visible: .*, got 4$"),
        ((9, ASK, 101, 2, 0, 3, 3), r"^visible: .*, got 3$"),
        ((9, ASK, 101, 5, 0, 3, -1), r"^visible: .*, got -1$"),
        ((9, ASK, 101, 5, 0, 0, 5), r"^visible: .*, got 5$"),
    ],
)
def test_what_cannot_rest_is_an_error(book: Book, arguments: Any, message: str) -> None:
    given(book, (1, ASK, 100, 5))

    with pytest.raises(ValueError, match=message):
        book.rest(*arguments)
    assert list(book) == [Order(1, ASK, 100, 5, 0)]
    book.check_invariants()


# ---- what is refused ----


@pytest.mark.parametrize(
    ("display", "tif", "message"),
    [
        (6, GTC, r"^display: expected 0 \(everything\) or 1 .. quantity, got 6$"),
        (-1, GTC, r"^display: .*, got -1$"),
        (3, IOC, r"^tif: expected 0 \(gtc\), because a display is given, got 1$"),
        (3, FOK, r"^tif: .*, got 2$"),
    ],
)
def test_a_display_that_cannot_be_is_an_error(
    book: Book, display: int, tif: TimeInForce, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        book.add(1, BID, 100, 5, tif, display=display)
    assert len(book) == 0


@pytest.mark.parametrize(
    ("op", "display", "tif", "reason"),
    [
        (OP_LIMIT, 6, GTC, REJECT_INVALID_DISPLAY),
        (OP_LIMIT, 0, GTC, REJECT_INVALID_DISPLAY),
        (OP_LIMIT, -1, GTC, REJECT_INVALID_DISPLAY),
        (OP_LIMIT, 3, IOC, REJECT_INVALID_DISPLAY),
        (OP_LIMIT, 3, FOK, REJECT_INVALID_DISPLAY),
        (OP_MARKET, 3, IOC, REJECT_INVALID_ORDER),
        (OP_REPLACE, 3, GTC, REJECT_INVALID_ORDER),
    ],
)
def test_a_record_with_an_impossible_display_is_a_reject(
    op: int, display: int, tif: TimeInForce, reason: int
) -> None:
    command = reference.Command(op, BID, tif, FLAG_DISPLAY, 0, 1, display, 100, 5)

    events = OrderBook().process(np.array([tuple(command)], COMMAND_DTYPE))

    assert events["reason"].tolist() == [reason]
    assert [event.reason for event in reference.OrderBook().apply(command)] == [reason]


def test_the_display_of_a_record_stands_in_for_a_new_order_id() -> None:
    command = reference.Command(OP_LIMIT, ASK, GTC, FLAG_DISPLAY, 0, 1, 3, 100, 5)
    book = OrderBook()

    book.process(np.array([tuple(command)], COMMAND_DTYPE))

    assert list(book) == [Order(1, ASK, 100, 5, 0, display=3, hidden=2)]


def test_post_only_icebergs_are_ordinary(book: Book) -> None:
    assert book.add(1, BID, 100, 5, post_only=True, display=2) == [rest(BID, 1, 100, 5, 2)]


# ---- many ----


@pytest.mark.parametrize("seed", range(3))
def test_icebergs_come_and_go_without_a_trace(seed: int) -> None:
    random = np.random.default_rng(seed)
    book = fastbook.OrderBook()
    for order_id in range(1, 3000):
        quantity = int(random.integers(1, 50))
        price = int(100 + random.integers(0, 40))
        book.add(order_id, ASK, price, quantity, display=int(random.integers(0, quantity + 1)))
        if order_id % 3 == 0:
            book.market(10**6, BID, int(random.integers(1, 90)))
        if order_id % 5 == 0:
            book.cancel(next(iter(book)).order_id)
    book.check_invariants()

    filled = book.market(10**6, BID, sum(order.quantity for order in book))

    assert {event.kind for event in filled} == {EVENT_FILL}
    assert len(book) == 0
    book.check_invariants()
