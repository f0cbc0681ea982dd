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


# ---- an order that meets many others, a part at a time ----


def crowded(events_at_once: int, makers: int = 50) -> OrderBook:
    """Return a book with so many asks, some of one owner, some of them icebergs, and one bid."""
    book = OrderBook()
    book.events_at_once = events_at_once
    for number in range(1, makers + 1):
        display = 2 if number % 4 == 0 else 0
        book.add(number, ASK, 100 + number % 7, 2 + number % 5, owner=number % 3, display=display)
    book.add(200, BID, 50, 1, owner=1, display=1)
    return book


def whole(book: OrderBook, events: list[fastbook.Event]) -> list[fastbook.Event]:
    """Return the events of a call, after all that was left of it."""
    events = list(events)
    while book.unfinished:
        events += book.go_on()
    return events


MEETS_MANY: dict[str, Callable[[OrderBook], list[fastbook.Event]]] = {
    "limit": lambda book: book.add(99, BID, 105, 500),
    "rests": lambda book: book.add(99, BID, 103, 500, owner=1, self_trade=SelfTrade.CANCEL_OLDEST),
    "decrement": lambda book: book.add(99, BID, 105, 150, owner=1, self_trade=4),
    "ends at its own": lambda book: book.add(99, BID, 105, 150, owner=1, self_trade=1),
    "iceberg": lambda book: book.add(99, BID, 104, 500, display=30),
    "ioc": lambda book: book.add(99, BID, 104, 500, TimeInForce.IOC),
    "fok": lambda book: book.add(99, BID, 106, 150, TimeInForce.FOK),
    "killed": lambda book: book.add(99, BID, 104, 5_000, TimeInForce.FOK),
    "market": lambda book: book.market(99, BID, 90),
    "more than there is": lambda book: book.market(99, BID, 9_000),
    "budget": lambda book: book.market(99, BID, budget=9_000),
    "spent to the tick": lambda book: book.market(99, BID, budget=700),
    "budget at its own": lambda book: book.market(99, BID, budget=9_000, owner=1, self_trade=4),
    "replace": lambda book: book.replace(200, 201, 104, 300, self_trade=2),
    "replace within": lambda book: book.replace(200, 201, 106, 60),
}


@pytest.mark.parametrize("at_once", [1, 2, 3, 7, 1_000])
@pytest.mark.parametrize("call", MEETS_MANY.values(), ids=MEETS_MANY)
def test_an_order_in_parts_does_what_it_does_at_once(call, at_once: int) -> None:
    at_a_time, oracle = crowded(at_once), crowded(0)
    expected = call(oracle)
    first = call(at_a_time)

    assert not oracle.unfinished
    assert len(first) <= at_once + 2
    assert at_a_time.unfinished is (len(first) < len(expected))
    assert whole(at_a_time, first) == expected
    assert list(at_a_time) == list(oracle)
    at_a_time.check_invariants()


def drawn(
    draw: random.Random, number: int, ids: list[int]
) -> Callable[[OrderBook], list[fastbook.Event]]:
    """Return a random call; one that replaces an order names one of `ids`."""
    side, owner, mode = draw.randrange(2), draw.randrange(4), draw.randrange(5)
    price, quantity = draw.randint(95, 108), draw.randint(1, 60)
    display, old = draw.choice((0, 0, 1 + quantity // 3)), draw.choice(ids or [0])
    calls: list[Callable[[OrderBook], list[fastbook.Event]]] = [
        lambda book: book.market(number, side, quantity * 3, owner, mode),
        lambda book: book.market(number, side, budget=200 * quantity, owner=owner, self_trade=mode),
        lambda book: book.replace(old, number, price, quantity, False, mode),
        lambda book: book.add(number, side, price, quantity, 0, False, owner, mode, display),
    ]
    return draw.choice((*calls, *calls[2:], calls[3], calls[3]) if ids else calls[3:])


@pytest.mark.parametrize("seed", range(5))
def test_random_orders_in_parts_do_what_they_do_at_once(seed: int) -> None:
    draw = random.Random(seed)
    at_a_time, oracle = crowded(1 + seed), crowded(0)
    for number in range(1_000, 4_000):
        call = drawn(draw, number, [each.order_id for each in oracle])
        assert whole(at_a_time, call(at_a_time)) == call(oracle)
    assert list(at_a_time) == list(oracle)
    at_a_time.check_invariants()


def test_a_part_has_as_many_events_as_were_asked_for() -> None:
    book = crowded(10)
    assert len(book.market(99, BID, 90)) == 10
    assert len(book.go_on()) == 10


def test_until_it_is_finished_all_else_is_refused_and_changes_nothing() -> None:
    book, oracle = crowded(5), crowded(0)
    first, expected = book.add(99, BID, 104, 500), oracle.add(99, BID, 104, 500)
    calls: list[Callable[[], object]] = [
        lambda: book.add(300, BID, 1, 1),
        lambda: book.market(300, BID, 1),
        lambda: book.replace(200, 201, 51, 1),
        lambda: book.cancel(200),
        lambda: book.rest(300, BID, 1, 1),
        lambda: book.process(b""),
        lambda: book.depth(),
        lambda: list(book),
        lambda: setattr(book, "events_at_once", 7),
    ]
    for call in calls:
        with pytest.raises(RuntimeError, match="unfinished: expected go_on"):
            call()
    assert whole(book, first) == expected
    assert list(book) == list(oracle)


@pytest.mark.parametrize("book", [OrderBook(), reference.OrderBook()], ids=["cython", "python"])
def test_without_an_unfinished_call_nothing_goes_on(book: Any) -> None:
    assert not book.unfinished
    with pytest.raises(RuntimeError, match="no call is unfinished"):
        book.go_on()


def test_a_batch_is_never_left_unfinished() -> None:
    import numpy as np

    commands = np.zeros(1, fastbook.COMMAND_DTYPE)
    commands["op"], commands["order_id"], commands["quantity"] = fastbook.OP_MARKET, 99, 90
    book, oracle = crowded(3), crowded(0)
    assert len(book.process(commands)) == len(oracle.market(99, BID, 90))
    assert not book.unfinished


@pytest.mark.parametrize("count", [-1, 2**63, "7", None])
def test_a_number_of_events_at_once_is_a_count(count: Any) -> None:
    book = crowded(10)
    with pytest.raises((ValueError, TypeError), match="events_at_once"):
        book.events_at_once = count
    assert book.events_at_once == 10
