"""The Cython book against the plain one, in whatever order hypothesis thinks of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import fastbook
from fastbook import reference

INT64_MAX = 2**63 - 1

# Small ranges, so that ids collide, prices cross and owners meet themselves; and the far ends.
ids = st.one_of(st.integers(1, 12), st.sampled_from([10**6, 2**40, INT64_MAX - 1, INT64_MAX]))
prices = st.one_of(
    st.integers(1, 20), st.integers(95, 105), st.sampled_from([10**12, INT64_MAX - 1, INT64_MAX])
)
quantities = st.one_of(st.integers(1, 10), st.sampled_from([INT64_MAX - 5, INT64_MAX]))
sides = st.integers(0, 1)
owners = st.integers(0, 2)
modes = st.integers(0, 3)
times = st.sampled_from([0, 0, 0, 1, 2])


class BothBooks(RuleBasedStateMachine):
    """Both books get the same calls and must answer the same."""

    def __init__(self) -> None:
        super().__init__()
        self.book = fastbook.OrderBook()
        self.oracle = reference.OrderBook()

    def both(self, call: Callable[[Any], object]) -> None:
        assert outcome(call, self.book) == outcome(call, self.oracle)

    @rule(
        order_id=ids,
        side=sides,
        price=prices,
        quantity=quantities,
        tif=times,
        post_only=st.booleans(),
        owner=owners,
        self_trade=modes,
    )
    def add(self, **arguments: Any) -> None:
        self.both(lambda book: book.add(**arguments))

    @rule(order_id=ids, side=sides, quantity=quantities, owner=owners, self_trade=modes)
    def market(self, **arguments: Any) -> None:
        self.both(lambda book: book.market(**arguments))

    @rule(order_id=ids)
    def cancel(self, order_id: int) -> None:
        self.both(lambda book: [book.cancel(order_id)])

    @rule(
        order_id=ids,
        new_order_id=ids,
        price=prices,
        quantity=quantities,
        post_only=st.booleans(),
        self_trade=modes,
    )
    def replace(self, **arguments: Any) -> None:
        self.both(lambda book: book.replace(**arguments))

    @rule(data=st.data(), by=st.integers(-3, 3), quantity=quantities)
    def replace_a_resting_order(self, data: st.DataObject, by: int, quantity: int) -> None:
        resting = list(self.oracle)
        if resting:
            order = data.draw(st.sampled_from(resting))
            price = min(max(order.price + by, 1), INT64_MAX)
            self.both(lambda book: book.replace(order.order_id, order.order_id, price, quantity))

    @invariant()
    def both_are_whole_and_equal(self) -> None:
        self.book.check_invariants()
        self.oracle.check_invariants()
        assert self.book.depth() == self.oracle.depth()
        assert self.book.best_bid == self.oracle.best_bid
        assert self.book.best_ask == self.oracle.best_ask
        assert list(self.book) == list(self.oracle)
        assert len(self.book) == len(self.oracle)


def outcome(call: Callable[[Any], Any], book: object) -> object:
    """The events as tuples, or the error with its text."""
    try:
        return [tuple(event) for event in call(book)]
    except (KeyError, ValueError) as error:
        return type(error), str(error)


TestBothBooks = BothBooks.TestCase
TestBothBooks.settings = settings(max_examples=120, stateful_step_count=60, deadline=None)
