"""Decimal texts and the integers that they stand for."""

from __future__ import annotations

import pytest

from fastbook_server.values.decimals import decimals_of, parsed, plain, units_of


def test_a_text_is_its_digits_and_how_many_stand_behind_the_point():
    assert [parsed(text) for text in ("1", "01.50", "0.001")] == [(1, 0), (15, 1), (1, 3)]


@pytest.mark.parametrize("text", ["", "-1", "1e3", "1,5", ".", "x", "NaN"])
def test_any_other_text_is_no_number(text):
    with pytest.raises(ValueError, match="expected a decimal number, got "):
        parsed(text)


def test_units_are_written_with_so_many_decimals():
    told = [plain(*of) for of in ((150, 2), (-5, 3), (7, 0), (-7, 0), (0, 1))]
    assert told == ["1.50", "-0.005", "7", "-7", "0.0"]


def test_units_are_exact_or_refused():
    assert units_of("1.5", 2) == 150
    with pytest.raises(ValueError, match=r"expected at most 2 decimals, got '0\.125'"):
        units_of("0.125", 2)


def test_a_fraction_has_so_many_decimals():
    assert [decimals_of(1, 1), decimals_of(7, 20), decimals_of(1, 10**8)] == [0, 2, 8]
