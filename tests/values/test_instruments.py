"""Grids: exact both ways, and nothing is ever rounded to fit."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastbook_server.values.instruments import Instrument, InstrumentSpec, default_security
from fastbook_wire.grid import UNITS_MAX, Grid

digits = st.integers(1, 10**15 - 1)
steps = st.builds(lambda n, e: f"{n}e{e}", st.integers(1, 999_999), st.integers(-12, 6)) | (
    st.sampled_from(("0.01", "0.5", "1e-8", "0.0001", "5", "1e-12", "1e12", "0.1", "0.3", "7"))
)
units = st.integers(1, UNITS_MAX) | st.integers(1, 10_000) | st.integers(UNITS_MAX - 99, UNITS_MAX)


@given(steps, units)
@example("0.1", 3)
@example("1e-12", UNITS_MAX)
def test_every_multiple_has_a_number_that_leads_back(step, count):
    grid = Grid.parse(step)
    assert grid.units(grid.number(count)) == count


@given(steps, units)
def test_the_number_of_a_multiple_is_the_nearest_double(step, count):
    exact = count * Fraction(step)
    assert Grid.parse(step).number(count) == float(exact)


@given(steps, units, st.integers(1, 3), st.booleans())
def test_the_doubles_beside_a_multiple_are_off_the_grid_or_another_multiple(
    step, count, distance, upwards
):
    grid = Grid.parse(step)
    value = grid.number(count)
    for _ in range(distance):
        value = math.nextafter(value, math.inf if upwards else 0.0)
    found = grid.units(value)
    assert found is None or (found != count and grid.number(found) == value)


@given(steps, st.floats(allow_nan=True, allow_infinity=True))
@example("1e-12", 1.797693134862316e296)
@example("1e12", 2.0**52 * 1e12)
def test_no_double_is_on_the_grid_that_is_not_the_number_of_a_multiple(step, value):
    grid = Grid.parse(step)
    found = grid.units(value)
    assert found is None or (1 <= found <= UNITS_MAX and float(found * Fraction(step)) == value)


def test_three_tenths_print_as_such():
    grid = Grid.parse("0.1")
    assert repr(grid.number(3)) == "0.3"
    assert grid.units(0.1 + 0.2) is None


@pytest.mark.parametrize("value", [0.0, -0.0, -0.01, math.nan, math.inf, -math.inf, 1e300, 5e-324])
def test_what_is_no_positive_multiple_has_no_units(value):
    assert Grid.parse("0.01").units(value) is None


def test_one_more_than_the_most_has_no_units():
    assert Grid.parse("1").units(float(UNITS_MAX)) == UNITS_MAX
    assert Grid.parse("1").units(float(UNITS_MAX + 1)) is None


@given(steps, steps, st.integers(1, 2**62), st.integers(1, 2**40))
def test_totals_and_averages_are_the_nearest_doubles(tick, lot, notional, quantity):
    instrument = Instrument(1, "X", Grid.parse(tick), Grid.parse(lot))
    assert instrument.total(notional) == float(notional * Fraction(tick) * Fraction(lot))
    assert instrument.average(notional, quantity) == float(
        Fraction(notional, quantity) * Fraction(tick)
    )


@pytest.mark.parametrize(
    ("text", "fraction"),
    [("0.01", (1, 100)), ("5", (5, 1)), ("1e-8", (1, 10**8)), (".5", (1, 2)), ("2.50", (5, 2))],
)
def test_decimal_texts_are_steps(text, fraction):
    grid = Grid.parse(text)
    assert (grid.step, grid.numerator, grid.denominator) == (text, *fraction)


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "1/2", "0", "-1", "nan", "inf", "1e13", "1e-13", "0x1", "1,5", "1_0", " 1", "١"),
        "1e999999999",  # would take all memory as a fraction
        "1e-999999999",
        "1.0000000000001",  # finer than 1e-12 steps can be told apart
        "123456789.123456789",  # more digits than a double can show
        "1" * 400,
    ],
)
def test_other_texts_are_refused_with_what_was_expected(text):
    with pytest.raises(ValueError, match="expected a decimal number"):
        Grid.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("BTC-USD", "expected SECURITY:TICK:LOT, got 'BTC-USD'"),
        ("A:1:1:1", "expected SECURITY:TICK:LOT"),
        (":1:1", "security: expected 1 to 32 letters"),
        ("A B:1:1", "security: expected 1 to 32 letters"),
        ("é:1:1", "security: expected 1 to 32 letters"),
        ("x" * 33 + ":1:1", "security: expected 1 to 32 letters"),
        ("A:x:1", "tick of A: expected a decimal number"),
        ("A:1:0", "lot of A: expected a decimal number"),
    ],
)
def test_a_wrong_instrument_says_which_part(text, message):
    with pytest.raises(ValueError, match=message):
        InstrumentSpec.parse(text)


def test_an_instrument_is_its_security_its_tick_and_its_lot():
    spec = InstrumentSpec.parse("BTC-USD:0.01:0.0001")
    assert spec == InstrumentSpec("BTC-USD", Grid("0.01", 1, 100), Grid("0.0001", 1, 10_000))


def test_the_default_security_is_the_first():
    coin, fine = (
        Instrument(n, s, Grid.parse("1"), Grid.parse("1")) for n, s in ((2, "COIN"), (1, "FINE"))
    )
    assert default_security((coin, fine)) == "COIN"


@pytest.mark.parametrize(
    ("security", "quote"), [("BTC-USD", "USD"), ("A/B", "B"), ("X_Y_EUR", "EUR"), ("GAME", "")]
)
def test_a_name_tells_what_prices_are_in(security, quote):
    instrument = Instrument(1, security, Grid.parse("1"), Grid.parse("1"))
    assert instrument.quote_currency == quote
