"""Numbers as decimal texts, both ways, on any grid and of any size."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastbook_server.dialects.binance.refused import DialectRefusal
from fastbook_server.dialects.binance.symbols import Symbol
from fastbook_server.gateway._json import Writer
from fastbook_server.values.instruments import Instrument
from fastbook_wire.grid import UNITS_MAX, Grid

STEPS = ("0.01", "0.00001", "0.25", "0.05", "1", "1000", "0.000000001", "1e-12", "1e12")
SYMBOLS = [
    Symbol(Instrument(1, "BTC-USDT", Grid.parse(tick), Grid.parse(lot)))
    for tick in STEPS
    for lot in STEPS[:5]
]
TEXTS = st.one_of(
    st.from_regex(r"[0-9]{1,20}(\.[0-9]{1,22})?", fullmatch=True),
    st.from_regex(r"[0-9]{1,3}\.[0-9]{0,3}0{0,12}", fullmatch=True),
    st.text("0123456789.-+e_ ٣", max_size=6),
)


def read(symbol: Symbol, text: str) -> int:
    """Return the ticks of a text, or the code of its refusal."""
    try:
        return symbol.ticks("price", text)
    except DialectRefusal as refused:
        return refused.code


@given(st.sampled_from(SYMBOLS), TEXTS)
@example(SYMBOLS[0], "1.")
@example(SYMBOLS[0], ".5")
@example(SYMBOLS[0], "100.0100000000000000")
@example(SYMBOLS[0], "9999999999.99")
@example(SYMBOLS[0], "99999999999999999999.00")
def test_a_text_is_so_many_ticks_or_refused(symbol, text):
    tick = symbol.instrument.tick
    whole, point, fraction = text.partition(".")
    digits = whole + fraction
    if not (digits.isascii() and digits.isdigit() and whole and (fraction or not point)):
        expected = -1102 if not text else -1100
    elif len(fraction.rstrip("0")) > max(8, len(symbol.price(1).partition(".")[2])):
        expected = -1111
    else:
        steps = Fraction(text) / Fraction(tick.numerator, tick.denominator)
        on_grid = steps.denominator == 1 and 0 < steps <= UNITS_MAX
        expected = steps.numerator if on_grid else -1013
    assert read(symbol, text) == expected


@given(st.sampled_from(SYMBOLS), st.integers(0, UNITS_MAX), st.integers(0, UNITS_MAX**2))
def test_a_number_is_written_as_the_text_that_it_is(symbol, units, product):
    out = Writer()
    symbol.write_price(out, b"", units)
    symbol.write_quantity(out, b",", units)
    symbol.write_notional(out, b",", product)
    told = (symbol.price(units), symbol.quantity(units), symbol.notional(product))
    assert out.payload().decode() == ",".join(f'"{text}"' for text in told)
    tick = symbol.instrument.tick
    assert Fraction(told[0]) == Fraction(units * tick.numerator, tick.denominator)


@pytest.mark.parametrize(("ticks", "text"), [(None, "0.00000000"), (1, "0.01000000")])
def test_a_price_has_at_least_eight_decimals_and_none_is_zero(ticks, text):
    out = Writer()
    SYMBOLS[0].write_price(out, b"", ticks)
    assert (SYMBOLS[0].price(ticks), out.payload()) == (text, f'"{text}"'.encode())
