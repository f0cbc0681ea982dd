"""The depth: the quantity at each price, best first, and its rows as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import fastbook
from fastbook import Side, reference

BID, ASK = Side
INT64_MAX = 2**63 - 1

Depth = fastbook.Depth | reference.Depth
MakeDepth = Callable[..., Depth]


@pytest.fixture(params=[fastbook.Depth, reference.Depth], ids=["cython", "python"])
def make(request: pytest.FixtureRequest) -> MakeDepth:
    made: MakeDepth = request.param
    return made


# ---- levels ----


def test_a_new_depth_is_empty(make: MakeDepth) -> None:
    depth = make()

    assert [depth.best(BID), depth.best(ASK)] == [None, None]
    assert [depth.top(BID), depth.top(ASK)] == [[], []]
    assert [depth.levels(BID), depth.levels(ASK)] == [0, 0]
    assert [depth.rows_json(BID), depth.rows_json(ASK)] == [b"[]", b"[]"]


def test_the_best_price_comes_first(make: MakeDepth) -> None:
    depth = make()
    for price in (100, 7, INT64_MAX, 1, 10**12):
        depth.set(BID, price, price)
        depth.set(ASK, price, price)
    ascending = [(price, price) for price in (1, 7, 100, 10**12, INT64_MAX)]

    assert depth.top(ASK) == ascending
    assert depth.top(BID) == ascending[::-1]
    assert depth.top(BID, 2) == ascending[:-3:-1]
    assert depth.top(ASK, 99) == ascending
    assert [depth.best(BID), depth.best(ASK)] == [ascending[-1], ascending[0]]


def test_a_quantity_is_replaced_and_zero_removes_it(make: MakeDepth) -> None:
    depth = make()
    depth.set(BID, 100, 5)
    depth.set(BID, 99, 6)
    depth.set(BID, 100, 7)
    depth.set(BID, 98, 0)

    assert (depth.get(BID, 100), depth.get(BID, 98), depth.get(ASK, 100)) == (7, 0, 0)
    assert depth.levels(BID) == 2

    depth.set(BID, 100, 0)

    assert depth.top(BID) == [(99, 6)]
    assert depth.best(BID) == (99, 6)


def test_a_price_that_cannot_be_has_no_quantity(make: MakeDepth) -> None:
    depth = make()
    depth.set(BID, INT64_MAX, 1)

    assert [depth.get(BID, price) for price in (0, -1, 2**63, -(2**64))] == [0, 0, 0, 0]


def test_clear_removes_everything(make: MakeDepth) -> None:
    depth = make((1, 10))
    for price in range(1, 1000):
        depth.set(price % 2, price * 50, 1)
    depth.clear()

    assert [depth.top(BID), depth.top(ASK), depth.levels(BID)] == [[], [], 0]
    depth.set(ASK, 5, 1)
    assert depth.rows_json(ASK) == b'[{"price":0.5,"amount":1.0,"total":0.5}]'


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda d: d.set(2, 1, 1), ValueError, "^side: .*, got 2$"),
        (lambda d: d.set(0, 0, 1), ValueError, "^price: .*positive.*, got 0$"),
        (lambda d: d.set(0, 2**63, 1), ValueError, "^price: .*64 bits"),
        (lambda d: d.set(0, 1, -1), ValueError, "^quantity: .*, got -1$"),
        (lambda d: d.set(0, 1.5, 1), TypeError, "^price: expected an int, got float$"),
        (lambda d: d.top(0, -1), ValueError, "^n: .*, got -1$"),
        (lambda d: d.rows_json(-1), ValueError, "^side: .*, got -1$"),
        (lambda d: d.best(3), ValueError, "^side: .*, got 3$"),
    ],
)
def test_an_error_names_the_argument_and_changes_nothing(
    make: MakeDepth, call: Callable[[Any], object], error: type[Exception], message: str
) -> None:
    depth = make()
    depth.set(BID, 5, 5)

    with pytest.raises(error, match=message):
        call(depth)
    assert (depth.top(BID), depth.top(ASK)) == ([(5, 5)], [])


@pytest.mark.parametrize("ratio", [(0, 1), (1, 0), (-1, 1), (2**63, 1), (1, 2**63), (2**70, 2**70)])
def test_a_tick_or_lot_must_be_positive_and_fit(make: MakeDepth, ratio: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"^tick: expected .numerator, denominator.*got"):
        make(tick=ratio)
    with pytest.raises(ValueError, match=r"^lot: expected .numerator, denominator.*got"):
        make(lot=ratio)


@pytest.mark.parametrize("ratio", [(1,), [1, 2], 0.01, (1.0, 2), "ab"])
def test_a_tick_or_lot_must_be_a_pair_of_integers(make: MakeDepth, ratio: Any) -> None:
    with pytest.raises(TypeError, match=r"^tick: expected"):
        make(tick=ratio)


# ---- both implementations, and the numbers ----

prices = st.one_of(st.integers(1, 200), st.integers(1, INT64_MAX))


@given(st.lists(st.tuples(st.integers(0, 1), prices, st.integers(0, 3)), max_size=60))
@settings(max_examples=200, deadline=None)
def test_both_depths_show_the_same(changes: list[tuple[int, int, int]]) -> None:
    depth, oracle = fastbook.Depth(), reference.Depth()
    for side, price, quantity in changes:
        depth.set(side, price, quantity)
        oracle.set(side, price, quantity)
        assert depth.best(side) == oracle.best(side)
        assert depth.levels(side) == oracle.levels(side)
        assert depth.get(side, price) == quantity
    assert [depth.top(BID), depth.top(ASK)] == [oracle.top(BID), oracle.top(ASK)]


def ratio_of(number: str) -> tuple[int, int]:
    return Fraction(number).as_integer_ratio()


TICKS = ["0.01", "0.1", "0.05", "0.25", "0.5", "1", "5", "10", "1e3", "1e5", "1e15", "1/3", "2/7"]
SMALL_TICKS = ["1e-4", "1e-5", "1e-8", "1e-12", "1e-18"]

units = st.one_of(
    st.sampled_from(TICKS + SMALL_TICKS).map(ratio_of),
    st.tuples(st.integers(1, INT64_MAX), st.integers(1, INT64_MAX)),
    st.tuples(st.integers(1, 1000), st.integers(1, 1000)),
    st.tuples(st.integers(1, 5), st.integers(0, 18).map(lambda power: 10**power)),
    st.tuples(st.just(1), st.integers(0, 62).map(lambda power: 2**power)),
)
counts = st.one_of(
    st.integers(1, INT64_MAX),
    st.integers(0, 18).flatmap(lambda power: st.integers(1, 10**power)),
    st.tuples(st.integers(1, 999), st.integers(0, 15)).map(lambda pair: pair[0] * 10 ** pair[1]),
    st.integers(-3, 3).map(lambda offset: 2**53 + offset),
    st.integers(-3, 3).map(lambda offset: 10**15 + offset),
    st.integers(-3, 3).map(lambda offset: 10**16 + offset),
)


@given(tick=units, lot=units, price=counts, quantity=counts)
@example(tick=(1, 10), lot=(1, 1), price=3, quantity=1)  # 0.1 * 3 is 0.30000000000000004
@example(tick=(1, 100), lot=(1, 10**8), price=10_000_000, quantity=123_456_789)
@example(tick=(1, 10**5), lot=(1, 1), price=1, quantity=1)  # 1e-05
@example(tick=(1, 10**4), lot=(1, 1), price=1, quantity=1)  # 0.0001
@example(tick=(10**15, 1), lot=(10, 1), price=1, quantity=1)  # 1e+16
@example(tick=(INT64_MAX, 1), lot=(INT64_MAX, 1), price=INT64_MAX, quantity=INT64_MAX)
@example(tick=(1, INT64_MAX), lot=(1, INT64_MAX), price=1, quantity=1)
@example(tick=(1, 2**62), lot=(1, 2**62), price=2**53 + 1, quantity=1)  # a tie of two doubles
@example(tick=(1, 1), lot=(1, 1), price=2**53 + 1, quantity=2**53 + 3)
@settings(max_examples=3000, deadline=None)
def test_each_number_is_the_repr_of_the_nearest_double(
    tick: tuple[int, int], lot: tuple[int, int], price: int, quantity: int
) -> None:
    depth = fastbook.Depth(tick, lot)
    depth.set(ASK, price, quantity)

    # Python rounds int / int to the nearest double.
    exact = [price * Fraction(*tick), quantity * Fraction(*lot)]
    exact.append(exact[0] * exact[1])
    price_text, amount, total = [repr(value.numerator / value.denominator) for value in exact]
    row = f'[{{"price":{price_text},"amount":{amount},"total":{total}}}]'
    assert depth.rows_json(ASK) == row.encode()


@given(
    tick=units,
    lot=units,
    levels=st.dictionaries(st.integers(1, 10**9), st.integers(1, 10**9), max_size=30),
    n=st.integers(0, 40),
    side=st.sampled_from(Side),
)
@settings(max_examples=300, deadline=None)
def test_the_rows_are_the_plain_depths(
    tick: tuple[int, int], lot: tuple[int, int], levels: dict[int, int], n: int, side: Side
) -> None:
    depth, oracle = fastbook.Depth(tick, lot), reference.Depth(tick, lot)
    for price, quantity in levels.items():
        depth.set(side, price, quantity)
        oracle.set(side, price, quantity)

    assert depth.rows_json(side, n) == oracle.rows_json(side, n)
    assert len(json.loads(depth.rows_json(side, n))) == (min(n, len(levels)) or len(levels))


def test_many_wide_rows_fit() -> None:
    """The longest possible numbers, in more rows than the initial buffer holds."""
    depth = fastbook.Depth((1, INT64_MAX), (1, INT64_MAX - 1))
    oracle = reference.Depth((1, INT64_MAX), (1, INT64_MAX - 1))
    for price in range(1, 2000):
        depth.set(BID, price, INT64_MAX - price)
        oracle.set(BID, price, INT64_MAX - price)

    assert depth.rows_json(BID) == oracle.rows_json(BID)
    assert depth.rows_json(BID, 3) == oracle.rows_json(BID, 3)
