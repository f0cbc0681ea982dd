"""The grid of ticks or lots: exact both ways, and rounding that the server accepts."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastbook_wire.frames import InstrumentView
from fastbook_wire.grid import UNITS_MAX, Grid

STEPS = ("1", "0.5", "0.25", "0.1", "0.05", "0.01", "0.0001", "1e-8", "5", "25", "2.5", "1e-12")
grids = st.sampled_from(STEPS).map(Grid.parse)
units = st.integers(1, UNITS_MAX) | st.integers(1, 10_000)


@given(grids, units)
@example(Grid.parse("0.01"), 4_503_599_626_979_563)
def test_every_number_on_the_grid_comes_back_as_its_steps(grid, steps):
    number = grid.number(steps)
    assert (grid.nearest(number), grid.units(number)) == (steps, steps)
    assert [grid.rounded(number, r) for r in ("down", "up", "nearest")] == [steps] * 3


@given(grids, st.floats(1e-9, 1e9))
def test_rounding_is_exact_and_is_what_the_server_accepts(grid, value):
    step = Fraction(grid.numerator, grid.denominator)
    down, up = grid.rounded(value, "down"), grid.rounded(value, "up")
    near = 4 * Fraction(math.ulp(value))
    assert down * step <= Fraction(value) + near
    assert up * step >= Fraction(value) - near
    assert up - down in (0, 1)
    nearest = grid.rounded(value, "nearest")
    assert abs(nearest * step - Fraction(value)) <= step / 2
    if 0 < nearest <= UNITS_MAX:
        assert grid.units(grid.number(nearest)) == nearest


@pytest.mark.parametrize("step", ["0.01", "0.1", "0.05"])
def test_one_tick_above_any_price_is_one_tick_above(step):
    instrument = InstrumentView("X", float(step), 1.0, "open")
    grid = Grid.parse(step)
    for ticks in range(1, 20_000):
        above = instrument.price(grid.number(ticks) + instrument.tick_size)
        assert grid.units(above) == ticks + 1
        assert instrument.price(grid.number(ticks) + instrument.tick_size, "up") == above


def test_an_amount_is_rounded_down_unless_told_otherwise():
    instrument = InstrumentView("X", 0.01, 0.0001, "open")
    assert instrument.amount(0.29999) == 0.2999
    assert instrument.amount(0.3 - 0.1) == 0.2
    assert instrument.amount(0.29991, "up") == 0.3


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e28, -1e300])
def test_what_is_no_number_of_a_grid_is_refused(value):
    with pytest.raises(OverflowError, match="expected a number below 1e"):
        Grid.parse("1").rounded(value, "nearest")
