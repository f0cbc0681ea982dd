"""The grid of ticks or lots: exact both ways, and rounding that the server accepts.

``examples/grid.mjs`` is the same in JavaScript, as docs/protocol.md shows it; Node runs it.
"""

from __future__ import annotations

import json
import math
import random
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from node import EXAMPLES, node

from fastbook_wire.frames import InstrumentView
from fastbook_wire.grid import UNITS_MAX, Grid, Rounding

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


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ("1", TypeError, "expected a number, got '1'"),
        (None, TypeError, "expected a number, got None"),
        (True, TypeError, "expected a number, got True"),
        (math.nan, ValueError, "expected a finite number, got nan"),
        (math.inf, ValueError, "expected a finite number, got inf"),
        (Decimal("-inf"), ValueError, r"expected a finite number, got Decimal\('-Infinity'\)"),
        (10**400, ValueError, "expected a finite number"),
        (-1, ValueError, "expected 0.5 to 2251799813685248.0 once rounded, got -1"),
        (0, ValueError, "once rounded, got 0"),
        (0.1, ValueError, "once rounded, got 0.1"),
        (2**51 + 1, ValueError, "expected 0.5 to 2251799813685248.0 once rounded"),
        (1e300, ValueError, "expected 0.5 to 2251799813685248.0 once rounded, got 1e[+]300"),
    ],
)
def test_what_rounds_to_no_price_and_no_amount_is_refused(value, kind, message):
    instrument = InstrumentView("X", 0.5, 0.5, "open")
    for name, rounded in (("price", instrument.price), ("amount", instrument.amount)):
        with pytest.raises(kind, match=f"{name}: .*{message}"):
            rounded(value, "down")


def test_a_decimal_and_a_fraction_are_rounded_like_their_double():
    instrument = InstrumentView("X", 0.01, 0.0001, "open")
    assert instrument.price(Decimal("98.765"), "up") == 98.77
    assert instrument.amount(Fraction(1, 3)) == 0.3333


@pytest.mark.parametrize("rounding", ["Down", "floor", "", None])
def test_any_other_word_for_the_rounding_is_refused(rounding):
    instrument = InstrumentView("X", 0.5, 0.5, "open")
    for rounded in (instrument.price, instrument.amount):
        with pytest.raises(ValueError, match="rounding: expected down, up or nearest, got "):
            rounded(1, rounding)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e28, -1e300])
def test_what_is_no_number_of_a_grid_is_refused(value):
    with pytest.raises(OverflowError, match="expected a number below 1e"):
        Grid.parse("1").rounded(value, "nearest")


# ---- in JavaScript ------------------------------------------------------------------------------

# A line of cases in, a line of answers out: [step, steps, number, wanted] becomes what Grid says.
ASK = """
import { createInterface } from "node:readline";
import { Grid } from "%s";
for await (const line of createInterface({ input: process.stdin })) {
  const answers = JSON.parse(line).map(([step, steps, number, wanted]) => {
    const grid = new Grid(step);
    const rounded = ["down", "up", "nearest"].map((rounding) => {
      try {
        return grid.round(wanted, rounding);
      } catch (refused) {
        if (!(refused instanceof RangeError)) throw refused;
        return refused.message;
      }
    });
    return [grid.units(number), grid.number(steps), rounded];
  });
  console.log(JSON.stringify(answers));
}
"""
CASES_A_LINE = 10_000
ROUNDINGS: tuple[Rounding, ...] = ("down", "up", "nearest")


def random_grid(rng: random.Random) -> Grid:
    """Return one of the usual grids, or any that `Grid.parse` takes."""
    while rng.random() < 0.7:
        try:
            digits = rng.randint(1, 10 ** rng.randint(1, 15) - 1)
            return Grid.parse(f"{digits}e{rng.randint(-12, 12)}")
        except ValueError:  # too large, too small or too fine
            continue
    return Grid.parse(rng.choice(STEPS))


def random_steps(rng: random.Random) -> int:
    """Return a number of steps: of any size, or near a power of two up to the largest."""
    if rng.random() < 0.5:
        return rng.randint(1, 2 ** rng.randint(1, 52))
    return min(UNITS_MAX, max(1, 2 ** rng.randint(0, 52) + rng.randint(-3, 3)))


def random_cases(seed: int) -> Iterator[tuple[Grid, int, float]]:
    """Yield a grid, a number of steps, and a number that somebody wants on that grid."""
    rng = random.Random(seed)
    while True:
        grid, steps = random_grid(rng), random_steps(rng)
        near = grid.number(steps) + rng.choice((0, grid.number(1), -0.5 * grid.number(1)))
        wanted = near * rng.choice((1, 1 + rng.randint(-9, 9) * 2**-53, rng.uniform(0.5, 1.5)))
        yield grid, steps, wanted


def run_in_node(program: str, lines: str = "") -> str:
    program = program % (EXAMPLES / "grid.mjs").as_uri()
    command = [*node(), "--input-type=module", "--eval", program]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def asked_in_node(cases: list[tuple[Grid, int, float]]) -> list[list[Any]]:
    asked = [(float(grid.step), n, grid.number(n), wanted) for grid, n, wanted in cases]
    starts = range(0, len(asked), CASES_A_LINE)
    lines = "\n".join(json.dumps(asked[n : n + CASES_A_LINE]) for n in starts)
    answers = run_in_node(ASK, lines).splitlines()
    return [answer for line in answers for answer in json.loads(line, parse_int=float)]


def rounded_in_python(view: InstrumentView, wanted: float, rounding: Rounding) -> float | None:
    try:
        return view.price(wanted, rounding)
    except ValueError:
        return None


@pytest.mark.parametrize(
    "count", [20_000, pytest.param(1_000_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])]
)
def test_server_client_and_javascript_agree_on_every_number(count):
    cases = list(islice(random_cases(count), count))
    cases += [(Grid.parse("0.01"), 4_503_599_626_979_563, 45035996269795.63)]
    for (grid, steps, wanted), answer in zip(cases, asked_in_node(cases), strict=True):
        number = grid.number(steps)
        client = Grid.of(float(grid.step))
        view = InstrumentView("X", float(grid.step), 1.0, "open")
        rounded = [rounded_in_python(view, wanted, rounding) for rounding in ROUNDINGS]
        answer[2] = [None if isinstance(n, str) and "once rounded" in n else n for n in answer[2]]
        assert answer == [steps, number, rounded], (grid, steps, wanted)
        assert grid.units(number) == client.nearest(number) == steps
        for price in rounded:
            assert price is None or grid.units(price) is not None


REFUSED = """
import { Grid } from "%s";
for (const given of [["1"], [null], [NaN], [Infinity], [-1], [0.1], [1e300], [1, "floor"]]) {
  try {
    console.log(new Grid(0.5).round(...given));
  } catch (refused) {
    console.log(String(refused));
  }
}
"""


def test_javascript_refuses_what_is_no_number_of_the_grid_and_other_words():
    bound = "RangeError: expected 0.5 to 2251799813685248 once rounded, got "
    assert run_in_node(REFUSED).splitlines() == [
        "TypeError: expected a number, got 1",
        "TypeError: expected a number, got null",
        *(f"{bound}{given}" for given in ("NaN", "Infinity", "-1", "0.1", "1e+300")),
        "RangeError: rounding: expected down, up or nearest, got floor",
    ]


def test_a_quotient_of_doubles_is_not_exact_beyond_the_bound_that_javascript_observes():
    def is_wrong(grid: Grid, steps: int) -> bool:
        return round(grid.number(steps) / float(grid.step)) != steps

    cases = list(islice(random_cases(1), 50_000))
    assert any(is_wrong(grid, steps) for grid, steps, _ in cases if steps > 2**51)
    assert not any(is_wrong(grid, steps) for grid, steps, _ in cases if steps <= 2**50)


def test_the_document_shows_the_javascript_as_it_is():
    shown = (EXAMPLES / "grid.mjs").read_text(encoding="utf-8")
    page = (EXAMPLES.parent / "docs" / "protocol.md").read_text(encoding="utf-8")
    assert f"```js\n{shown}```\n" in page
