"""What every book with price-time priority does, whatever its conventions.

Each case is a way in which matching engines have been found wrong: an order lost with its
neighbour, a dead best price, a trade at the taker's price. Expected are the trades and who rests in
the end. After each step, what the book says of its prices must be what its orders add up to, since
a price that is wrong only until the next trade would not be seen otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from engine_events import Book

from fastbook import EVENT_DISCARD, EVENT_FILL, Event, Side, TimeInForce, reference

BID, ASK = Side
GTC, IOC = TimeInForce.GTC, TimeInForce.IOC
Events = Sequence[Event | reference.Event]
Step = Callable[[Book], Events]


def bid(order_id: int, quantity: int, price: int, tif: int = GTC) -> Step:
    return lambda book: book.add(order_id, BID, price, quantity, tif)


def ask(order_id: int, quantity: int, price: int, tif: int = GTC) -> Step:
    return lambda book: book.add(order_id, ASK, price, quantity, tif)


def cancel(order_id: int) -> Step:
    return lambda book: [book.cancel(order_id)]


def move(order_id: int, quantity: int, price: int) -> Step:
    return lambda book: book.replace(order_id, order_id, price, quantity)


def refused(step: Step) -> Step:
    """Return a step that must fail because the order it names is not resting."""

    def try_it(book: Book) -> Events:
        with pytest.raises(KeyError):
            step(book)
        return []

    return try_it


def run(book: Book, steps: Sequence[Step]) -> list[tuple[int, int, int, int]]:
    """Take steps; return the trades as (taker, maker, price, quantity)."""
    trades = []
    for step in steps:
        for event in step(book):
            if event.kind == EVENT_FILL:
                trades.append((event.order_id, event.maker_order_id, event.price, event.quantity))
        book.check_invariants()
        expect_true_prices(book)
    return trades


def expect_true_prices(book: Book) -> None:
    """Compare best prices, levels and depth with the orders themselves."""
    totals: tuple[dict[int, int], dict[int, int]] = {}, {}
    for order in book:
        totals[order.side][order.price] = totals[order.side].get(order.price, 0) + order.quantity
    bids, asks = sorted(totals[BID].items(), reverse=True), sorted(totals[ASK].items())
    assert book.depth() == (bids, asks)
    assert [book.best_bid, book.best_ask] == [(bids or [None])[0], (asks or [None])[0]]
    for side in Side:
        assert {price: book.level(side, price) for price in totals[side]} == totals[side]


@pytest.mark.parametrize(
    ("steps", "trades", "resting"),
    [
        pytest.param(
            [bid(1, 5, 50), bid(2, 5, 50), bid(3, 5, 50), cancel(2), ask(4, 10, 50)],
            [(4, 1, 50, 5), (4, 3, 50, 5)],
            [],
            id="who queues behind a cancelled order stays",
        ),
        pytest.param(
            [bid(1, 5, 50), bid(2, 5, 50), bid(3, 5, 50), cancel(1), ask(4, 10, 50)],
            [(4, 2, 50, 5), (4, 3, 50, 5)],
            [],
            id="and if it was the first of its queue",
        ),
        pytest.param(
            [
                *(bid(n, 3, 50) for n in range(1, 10)),
                cancel(2),
                cancel(6),
                cancel(8),
                ask(10, 18, 50),
            ],
            [(10, n, 50, 3) for n in (1, 3, 4, 5, 7, 9)],
            [],
            id="a queue keeps its order around gaps",
        ),
        pytest.param(
            [ask(1, 4, 53), ask(2, 4, 51), ask(3, 4, 52), bid(4, 12, 53, IOC)],
            [(4, 2, 51, 4), (4, 3, 52, 4), (4, 1, 53, 4)],
            [],
            id="the best price trades first, whoever came first",
        ),
        pytest.param(
            [bid(1, 4, 51), bid(2, 4, 53), bid(3, 4, 52), ask(4, 12, 51, IOC)],
            [(4, 2, 53, 4), (4, 3, 52, 4), (4, 1, 51, 4)],
            [],
            id="of the bids, too",
        ),
        pytest.param(
            [ask(1, 4, 50), ask(2, 9, 51), bid(3, 20, 51), ask(4, 6, 51, IOC)],
            [(3, 1, 50, 4), (3, 2, 51, 9), (4, 3, 51, 6)],
            [(3, 1)],
            id="what a sweep leaves rests as the best bid",
        ),
        pytest.param(
            [ask(1, 4, 50), ask(2, 4, 55), bid(3, 9, 52), ask(4, 5, 52, IOC)],
            [(3, 1, 50, 4), (4, 3, 52, 5)],
            [(2, 4)],
            id="a limit order stops at its own limit",
        ),
        pytest.param(
            [ask(1, 7, 50), bid(2, 7, 58), bid(3, 7, 60), ask(4, 7, 52)],
            [(2, 1, 50, 7), (4, 3, 60, 7)],
            [],
            id="trades are at the maker's price, in both directions",
        ),
        pytest.param(
            [
                ask(1, 7, 50),
                bid(2, 7, 40),
                move(2, 7, 58),
                bid(3, 7, 60),
                ask(4, 7, 70),
                move(4, 7, 52),
            ],
            [(2, 1, 50, 7), (4, 3, 60, 7)],
            [],
            id="so are those of an order that is moved through the spread",
        ),
        pytest.param(
            [ask(1, 7, 50), bid(2, 10, 49), move(2, 10, 50)],
            [(2, 1, 50, 7)],
            [(2, 3)],
            id="an order that is moved onto the other side trades and does not lock the book",
        ),
        pytest.param(
            [bid(1, 5, 50), bid(2, 6, 50), move(1, 5, 49), ask(3, 6, 50, IOC)],
            [(3, 2, 50, 6)],
            [(1, 5)],
            id="an order that is moved away leaves its neighbour where it was",
        ),
        pytest.param(
            [ask(1, 9, 50), bid(2, 4, 50), move(1, 5, 51), bid(3, 5, 51, IOC)],
            [(2, 1, 50, 4), (3, 1, 51, 5)],
            [],
            id="what is left of an order can be moved",
        ),
        pytest.param(
            [ask(1, 9, 50), bid(2, 4, 50), cancel(1), bid(3, 5, 50, IOC)],
            [(2, 1, 50, 4)],
            [],
            id="and cancelled",
        ),
        pytest.param(
            [ask(1, 20, 50), *(bid(n, q, 50, IOC) for n, q in ((2, 7), (3, 13), (4, 6)))],
            [(2, 1, 50, 7), (3, 1, 50, 13)],
            [],
            id="no lot trades twice",
        ),
        pytest.param(
            [*(bid(n, 6, 50) for n in (1, 2, 3, 4)), ask(5, 8, 50, IOC), ask(6, 8, 50, IOC)],
            [(5, 1, 50, 6), (5, 2, 50, 2), (6, 2, 50, 4), (6, 3, 50, 4)],
            [(3, 2), (4, 6)],
            id="an order that was partly filled keeps its place in the queue",
        ),
        pytest.param(
            [ask(1, 5, 50), ask(2, 5, 50), bid(3, 5, 50, IOC)],
            [(3, 1, 50, 5)],
            [(2, 5)],
            id="a taker that is used up touches nobody else",
        ),
        pytest.param(
            [ask(1, 3, 50), ask(2, 4, 50), bid(3, 12, 50), ask(4, 3, 50, IOC)],
            [(3, 1, 50, 3), (3, 2, 50, 4), (4, 3, 50, 3)],
            [(3, 2)],
            id="each maker has a trade of its own, and the rest rests on the other side",
        ),
        pytest.param(
            [ask(1, 5, 50), bid(2, 8, 50, IOC), ask(3, 4, 50, IOC)],
            [(2, 1, 50, 5)],
            [],
            id="immediate-or-cancel never rests",
        ),
        pytest.param(
            [bid(1, 5, 50), bid(2, 6, 49), cancel(1), ask(3, 6, 49, IOC)],
            [(3, 2, 49, 6)],
            [],
            id="the best bid goes with its last order",
        ),
        pytest.param(
            [ask(1, 5, 50), ask(2, 6, 51), cancel(1), bid(3, 6, 51, IOC)],
            [(3, 2, 51, 6)],
            [],
            id="and the best ask",
        ),
        pytest.param(
            [bid(1, 5, 50), cancel(1), bid(2, 6, 45), ask(3, 6, 45, IOC)],
            [(3, 2, 45, 6)],
            [],
            id="a side that was empty fills again",
        ),
        pytest.param(
            [
                *(ask(n, 4, 50 + n) for n in (1, 2, 3)),
                bid(4, 12, 53, IOC),
                *(ask(5, 2, 52), bid(6, 2, 52, IOC), ask(7, 2, 60), bid(8, 2, 60, IOC)),
            ],
            [(4, 1, 51, 4), (4, 2, 52, 4), (4, 3, 53, 4), (6, 5, 52, 2), (8, 7, 60, 2)],
            [],
            id="a price that was swept trades again",
        ),
        pytest.param(
            [bid(1, 5, 50), cancel(1), ask(1, 6, 90), bid(2, 6, 90, IOC)],
            [(2, 1, 90, 6)],
            [],
            id="the id of a cancelled order is free",
        ),
        pytest.param(
            [bid(1, 5, 50), ask(2, 5, 50), ask(1, 6, 90), bid(3, 6, 90, IOC)],
            [(2, 1, 50, 5), (3, 1, 90, 6)],
            [],
            id="and that of a filled one",
        ),
        pytest.param(
            [ask(1, 5, 50), bid(2, 5, 50), refused(cancel(1)), refused(move(1, 5, 51))],
            [(2, 1, 50, 5)],
            [],
            id="a filled order is neither cancelled nor moved",
        ),
        pytest.param(
            [bid(1, 5, 50), cancel(1), refused(cancel(1)), refused(move(1, 5, 51))],
            [],
            [],
            id="nor is a cancelled one",
        ),
        pytest.param(
            [refused(cancel(7)), refused(move(7, 5, 50)), refused(cancel(2**40))],
            [],
            [],
            id="nor is one that never was",
        ),
        pytest.param(
            [ask(1, 5, 10**6), bid(2, 5, 10**6, IOC), ask(3, 5, 2**63 - 1), bid(4, 5, 2**63 - 1)],
            [(2, 1, 10**6, 5), (4, 3, 2**63 - 1, 5)],
            [],
            id="a price is never cut off",
        ),
        pytest.param(
            [*(ask(n, 1, 50) for n in range(1, 401)), bid(401, 400, 50, IOC)],
            [(401, n, 50, 1) for n in range(1, 401)],
            [],
            id="a long queue is filled to its end",
        ),
    ],
)
def test_every_book_does_this(
    book: Book,
    steps: Sequence[Step],
    trades: list[tuple[int, int, int, int]],
    resting: list[tuple[int, int]],
) -> None:
    assert run(book, steps) == trades
    assert [(order.order_id, order.quantity) for order in book] == resting


@pytest.mark.parametrize(("side", "limit"), [(BID, 50), (ASK, 50)])
def test_the_remainder_of_an_immediate_order_is_told(book: Book, side: Side, limit: int) -> None:
    run(book, [bid(1, 5, limit) if side == ASK else ask(1, 5, limit)])

    trade, rest = book.add(2, side, limit, 8, IOC)

    assert (trade.kind, trade.quantity, trade.remaining) == (EVENT_FILL, 5, 3)
    assert (rest.kind, rest.order_id, rest.quantity) == (EVENT_DISCARD, 2, 3)
