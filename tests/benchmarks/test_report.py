"""What the table of the server's benchmark says of the pairs that were measured."""

from __future__ import annotations

from typing import Any

import pytest
from benchmarks.bench_server import Result, cells, disturbed, report
from benchmarks.server.row import Figure, Pair, Row


def row(**changed: Any) -> Row:
    given: dict[str, Any] = {
        "name": "a-row",
        "what": "what is measured",
        "against": "a baseline",
        "unit": "/s",
        "more": True,
        "must": 0.5,
        "aim": 1.0,
        "open": None,
    }
    return Row(**given | changed)


def pairs(*ratios: float, **ours: Any) -> list[Pair]:
    return [Pair(Figure(100.0 * r, **ours), Figure(100.0, 10.0, 0.1)) for r in ratios]


def test_a_row_has_medians_and_the_median_of_the_ratios():
    found = cells(Result(row(), pairs(0.6, 0.4, 0.7, cpu_us=20.0, busy=0.3)))
    assert found == [
        *("what is measured (`a-row`)", "60.0 /s", "20.0 us", "a baseline: 100 /s", "10.0 us"),
        *("0.60x", "0.50x", "≥ 0.5x", "≥ 1x", "yes", "30%"),
    ]


@pytest.mark.parametrize(
    ("more", "must", "aim", "ratio", "verdict"),
    [
        (True, 0.5, 1.0, 0.4, "no"),
        (True, 0.5, 1.0, 0.5, "yes"),
        (True, 0.5, 1.0, 1.0, "aim"),
        (False, 2.0, 1.3, 2.1, "no"),
        (False, 2.0, 1.3, 2.0, "yes"),
        (False, 2.0, 1.3, 1.3, "aim"),
    ],
)
def test_what_a_row_reaches(more, must, aim, ratio, verdict):
    assert Result(row(more=more, must=must, aim=aim), pairs(ratio)).verdict() == verdict


def test_a_row_without_a_baseline_is_held_to_its_own_value():
    result = Result(row(more=False, unit="ms", must=10, aim=5, against=""), [Pair(Figure(7), None)])
    found = cells(result)
    assert found[1:] == ["7.00 ms", "", "", "", "", "", "≤ 10 ms", "≤ 5 ms", "yes", ""]


def test_a_load_that_may_be_the_limit_is_marked():
    assert cells(Result(row(), pairs(1.0, busy=0.95)))[-1] == "95% (limits)"


def test_a_row_that_cannot_be_measured_says_why():
    found = cells(Result(row(), [], "it is not installed"))
    assert found[:2] == ["what is measured", "not measured: it is not installed"]
    assert len(found) == len(cells(Result(row(), pairs(1.0))))


def test_a_disturbed_measurement_is_said():
    assert disturbed([Result(row(), pairs(1.0, starved=0.01))]) == ""
    assert "For 40% of the time" in disturbed([Result(row(), pairs(1.0, starved=0.4))])
    assert disturbed([Result(row(), [])]) == ""


def test_the_report_is_a_part_with_one_table():
    text = report([Result(row(), pairs(1.0))], 7, 2.0)
    assert text.startswith("# What `make bench-server")
    assert "Median of 7 pairs of windows of 2 s" in text
    assert text.count("\n| ") == 3
