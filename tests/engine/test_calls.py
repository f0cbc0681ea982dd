"""The fast paths of scalar calls: plain arguments, reused results, deferred links."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable
from typing import Any

import pytest

import fastbook
from fastbook import OrderBook, SelfTrade, Side, TimeInForce, _book, reference

BID, ASK = Side.BID, Side.ASK


def test_every_scalar_call_has_its_quick_entry() -> None:
    """Without one a call gives the same, only later: nothing else here would notice."""
    assert _book._quick_entries() == 4


# ---- every way to give the same arguments ----


def test_arguments_by_position_and_by_name_mean_the_same() -> None:
    ways: list[Callable[[OrderBook], object]] = [
        lambda book: book.add(7, 1, 100, 5, 0, False, 3, 1),
        lambda book: book.add(7, 1, 100, 5, 0, False, 3, self_trade=1),
        lambda book: book.add(7, ASK, 100, 5, TimeInForce.GTC, owner=3, self_trade=1),
        lambda book: book.add(7, 1, 100, 5, 0, 0, 3, SelfTrade.CANCEL_NEWEST),  # type: ignore[arg-type]
        lambda book: book.add(order_id=7, side=1, price=100, quantity=5, owner=3, self_trade=1),
    ]
    books = [OrderBook() for _ in ways]
    events = [way(book) for way, book in zip(ways, books, strict=True)]

    assert events == [events[0]] * len(ways)
    assert [list(book) for book in books] == [[fastbook.Order(7, 1, 100, 5, 3)]] * len(ways)


@pytest.mark.parametrize("given", range(4, 10))
def test_each_number_of_arguments_is_taken(given: int) -> None:
    arguments: tuple[Any, ...] = (7, 0, 100, 5, 0 if given == 9 else 1, True, 3, 2, 4)
    names = ("tif", "post_only", "owner", "self_trade", "display")
    whole = dict(zip(names, arguments[4:given], strict=False))
    book, oracle = OrderBook(), reference.OrderBook()

    assert book.add(*arguments[:given]) == oracle.add(7, 0, 100, 5, **whole)
    assert list(book) == list(oracle)


@pytest.mark.parametrize("post_only", [True, 1])
def test_post_only_is_heard(post_only: bool) -> None:
    book = OrderBook()
    book.add(1, ASK, 100, 5)

    (event,) = book.add(2, BID, 100, 5, 0, post_only)

    assert event.reason == fastbook.REJECT_POST_ONLY


@pytest.mark.parametrize("number", [2**30 - 1, 2**30, 2**31, 2**60, 2**63 - 1])
def test_integers_of_every_length_are_taken(number: int) -> None:
    book = OrderBook()

    book.add(number, BID, number, number)
    assert list(book) == [fastbook.Order(number, 0, number, number, 0)]
    book.replace(number, number, number, number - 1)
    assert list(book) == [fastbook.Order(number, 0, number, number - 1, 0)]
    assert book.cancel(number).order_id == number
    book.add(1, ASK, 1, number)
    assert book.market(number, BID, number)[0].quantity == number


@pytest.mark.parametrize(
    "call",
    [
        lambda book: book.add(1, 0, 100),
        lambda book: book.add(1, 0, 100, 5, 0, False, 0, 0, 0, 0),
        lambda book: book.add(1, 0, 100, 5, 0, False, 0, 0, None),
        lambda book: book.add(1, 0, 100, 5, quantity=5),
        lambda book: book.add(1, 0, 100, 5, nothing=5),
        lambda book: book.add(1.0, 0, 100, 5),
        lambda book: book.add(1, 0, 100, "5"),
        lambda book: book.add(1, 0, 100, 5, 0, False, None),
        lambda book: book.cancel(),
        lambda book: book.cancel(1, 2),
        lambda book: book.cancel("1"),
        lambda book: book.replace(1, 2, 3),
        lambda book: book.replace(1, 2, 3, None),
        lambda book: book.market(1),
        lambda book: book.market(1, 0, budget=1.0),
        lambda book: book.market(1, None, 5),
    ],
)
def test_wrong_arguments_are_type_errors(call: Callable[[Any], object]) -> None:
    book = OrderBook()

    with pytest.raises(TypeError):
        call(book)

    assert list(book) == []


# ---- a result that the caller keeps is never reused ----


def test_results_that_are_kept_do_not_change() -> None:
    book = OrderBook()
    kept = [book.add(i, BID, 100, 5) for i in range(1, 50)]
    events = [book.add(i, BID, 100, 5)[0] for i in range(50, 99)]
    gone = [book.cancel(i) for i in range(1, 99)]

    assert [[event.order_id for event in found] for found in kept] == [[i] for i in range(1, 50)]
    assert [event.order_id for event in events] == list(range(50, 99))
    assert [event.order_id for event in gone] == list(range(1, 99))
    assert {event.kind for event in gone} == {fastbook.EVENT_CANCEL}


def test_a_list_may_be_changed_by_whom_it_was_given_to() -> None:
    book = OrderBook()

    book.add(1, BID, 100, 5).append(None)  # type: ignore[arg-type]
    book.add(2, BID, 100, 5).clear()
    book.add(3, BID, 100, 5)[0] = "mine"  # type: ignore[call-overload]

    assert [event.order_id for event in book.add(4, BID, 100, 5)] == [4]


def test_a_result_may_be_looked_through_while_the_next_calls_are_made() -> None:
    book = OrderBook()
    seen = []
    for outer in book.add(1, BID, 100, 5):
        for inner in book.add(2, BID, 100, 5):
            seen += [outer.order_id, inner.order_id, book.cancel(2).order_id, outer.order_id]

    assert seen == [1, 2, 2, 1]


def test_what_a_result_holds_may_call_the_book_when_it_goes() -> None:
    book = OrderBook()

    class Last:
        def __del__(self) -> None:
            book.add(99, ASK, 200, 1)

    book.add(1, BID, 100, 5).append(Last())  # type: ignore[arg-type]

    assert [event.order_id for event in book.add(2, BID, 100, 5)] == [2]
    assert [event.order_id for event in book.add(3, BID, 100, 5)] == [3]
    assert 99 in book
    book.check_invariants()


def test_the_collector_sees_nothing_unusual() -> None:
    book = OrderBook()
    for i in range(1, 2000):
        book.add(i, BID, 100 + i % 7, 5)
        if i % 100 == 0:
            gc.collect()

    assert gc.get_referents(book.add(2000, BID, 1, 5)) == [(2, 0, 0, 2000, 0, 1, 5, 5, 0, 5)]


# ---- deferred links ----


@pytest.mark.parametrize("seed", range(40))
def test_cancels_of_neighbours_in_every_order_leave_whole_queues(seed: int) -> None:
    """Nothing reads the book between the calls, as that would write the pending links."""
    draw = random.Random(seed)
    book, oracle = OrderBook(), reference.OrderBook()
    live: list[int] = []
    for number in range(1, 1500):
        kind = draw.random()
        if kind < 0.5 or len(live) < 2:
            arguments = (number, BID, draw.randint(1, 1 + seed % 4), draw.randint(1, 9))
            assert book.add(*arguments) == oracle.add(*arguments)
            live.append(number)
        else:
            # Mostly next to the previous one, whose links are then still pending.
            at = min(len(live) - 1, draw.choice([0, len(live) // 2, len(live) - 1]))
            order_id = live.pop(at)
            if kind < 0.85:
                assert book.cancel(order_id) == oracle.cancel(order_id)
            else:
                changed = (order_id, number, draw.randint(1, 1 + seed % 4), draw.randint(1, 9))
                assert book.replace(*changed) == oracle.replace(*changed)
                live.append(number)
        if kind > 0.997:
            taker = (10**6 + number, ASK, draw.randint(1, 40))
            assert book.market(*taker) == oracle.market(*taker)
            live = [order.order_id for order in oracle]

    book.check_invariants()
    assert list(book) == list(oracle)


@pytest.mark.parametrize(
    "look",
    [
        list,
        lambda book: book.snapshot().tobytes(),
        lambda book: book.orders_at(BID, 100),
        lambda book: [event.maker_order_id for event in book.market(9, ASK, 100)],
        lambda book: [event.maker_order_id for event in book.add(9, ASK, 1, 100)],
        lambda book: list(fastbook.OrderBook.restore(book.snapshot())),
    ],
)
def test_who_looks_at_the_orders_finds_every_link(look: Callable[[Any], Any]) -> None:
    books = []
    for looks_between in (False, True):
        book = OrderBook()
        for number in range(1, 6):
            book.add(number, BID, 100, number)
        for number in (3, 2):
            book.cancel(number)
            if looks_between:
                book.check_invariants()
        books.append(book)

    assert look(books[0]) == look(books[1])


# ---- many events of one call ----


def crowded(listed_max: int, makers: int = 50) -> OrderBook:
    """Return a book with so many asks, which lists so many events of one call."""
    book = OrderBook()
    book.events_listed_max = listed_max
    for number in range(1, makers + 1):
        book.add(number, ASK, 100 + number % 7, 1 + number % 5, owner=number % 3)
    return book


@pytest.mark.parametrize(
    "call",
    [
        lambda book: book.add(99, BID, 105, 500, owner=1, self_trade=SelfTrade.DECREMENT),
        lambda book: book.market(99, BID, 90),
        lambda book: book.market(99, BID, budget=9_000),
        lambda book: book.replace(200, 201, 110, 80),
        lambda book: book.add(99, BID, 110, 500, display=3),
    ],
    ids=["limit", "market", "budget", "replace", "iceberg"],
)
def test_more_events_than_are_listed_are_a_sequence_of_the_same(
    call: Callable[[OrderBook], Any],
) -> None:
    books = [crowded(listed_max) for listed_max in (0, 10)]
    for each in books:
        each.add(200, BID, 50, 1)
    listed, found = map(call, books)

    assert (type(listed), type(found)) == (list, fastbook.EventSequence)
    assert found == listed
    assert listed == found
    assert list(found) == listed
    assert (found[0], found[-1], found[3:7]) == (listed[0], listed[-1], listed[3:7])
    fills = [e.quantity for e in listed if e.kind == fastbook.EVENT_FILL]
    assert (len(found), found.quantity_filled) == (len(listed), sum(fills))
    assert found[::-9] == listed[::-9]


def test_a_sequence_of_events_is_not_what_it_was_not() -> None:
    found: Any = crowded(10).market(99, BID, 90)
    assert found != list(found)[:-1]
    assert found != [*found[:-1], found[0]]
    assert found != 7
    for index in (len(found), -len(found) - 1):
        with pytest.raises(IndexError):
            found[index]
    with pytest.raises(TypeError):
        found["0"]
    with pytest.raises(TypeError, match="only an OrderBook"):
        fastbook.EventSequence()
    empty: Any = fastbook.EventSequence.__new__(fastbook.EventSequence)
    assert (len(empty), list(empty), empty[:5], empty.quantity_filled) == (0, [], [], 0)


def test_a_sequence_of_events_outlives_what_the_book_does_next() -> None:
    book, oracle = crowded(10), crowded(0)
    found, listed = (each.market(99, BID, 60) for each in (book, oracle))
    for number in range(300, 400):
        book.add(number, ASK, 100, 1)
    book.market(99, BID, 100)
    del book
    assert found == listed


def test_as_many_events_as_may_be_listed_are_a_list() -> None:
    (count,) = {len(crowded(0).market(99, BID, 90))}
    assert type(crowded(count).market(99, BID, 90)) is list
    assert type(crowded(count - 1).market(99, BID, 90)) is fastbook.EventSequence


@pytest.mark.parametrize("most", [-1, 2**63, "7", None])
def test_a_bound_of_listed_events_is_a_count(most: Any) -> None:
    book = crowded(10)
    with pytest.raises((ValueError, TypeError), match="events_listed_max"):
        book.events_listed_max = most
    assert book.events_listed_max == 10
