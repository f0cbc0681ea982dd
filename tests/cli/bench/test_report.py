"""The report: its figures, and who it says was the limit."""

from __future__ import annotations

from typing import Any

import pytest

from fastbook_cli.bench.report import BenchReport
from fastbook_cli.bench.trader import Tally
from fastbook_cli.bench.waits import Waits


def waits_of(*times_ms: float) -> Waits:
    waits = Waits()
    for each in times_ms:
        waits.add(each)
    return waits


def report(**changed: Any) -> BenchReport:
    tally = Tally()
    tally.waits["place"] = waits_of(*[0.9] * 90, *[4.9] * 10)
    tally.waits["take"] = waits_of(*[1.8] * 100)
    tally.answers, tally.orders, tally.trades = 2_000, 1_500, 300
    tally.refused.update({"rate_limited": 3, "overloaded": 1})
    given: dict[str, Any] = {
        "url": "http://x",
        "security": "COIN",
        "mix": "place=1,take=1",
        "connections": 10,
        "in_flight": 100,
        "rate": 1_000.0,
        "seconds": 2.0,
        "tally": tally,
        "late": waits_of(0.1),
        "held_back": 0,
        "unsent": 0,
        "cpu_share": 0.2,
        "starved_share": 0.0,
        "cancelled": 42,
    }
    return BenchReport(**given | changed)


def test_the_figures_are_those_of_the_time_measured():
    lines = {line[:16].strip(): line[16:].strip() for line in report().text().splitlines()}
    assert lines["asked"] == "1,000 commands/s on 10 connections, COIN, place=1,take=1"
    assert lines["commands"] == "2,000 answered, 1,000/s"
    assert lines["orders"] == "1,500 accepted, 750/s"
    assert lines["trades"] == "300, 150/s"
    assert lines["refused"] == "4: overloaded 1, rate_limited 3"
    assert lines["cancelled after"] == "42 orders"
    assert lines["place"].split() == ["0.90", "0.90", "4.90", "4.90", "4.90", "100"]
    assert lines["all"].split()[-1] == "200"
    assert "held back" not in lines
    assert "never sent" not in lines


def test_the_picture_has_a_bar_for_each_span_of_waits():
    text = report().text()
    assert "up to        1 ms  45.00%  " + "█" * 36 + "\n" in text
    assert "up to        2 ms  50.00%  " + "█" * 40 + "\n" in text
    assert "up to        5 ms   5.00%  " + "█" * 4 in text


def test_json_has_the_same_figures():
    found = report(held_back=5, unsent=2).json()
    assert (found["commandsPerSecond"], found["ordersPerSecond"]) == (1_000.0, 750.0)
    assert found["waits"]["place"]["p99"] == pytest.approx(4.9, rel=1 / 64)
    assert set(found["waits"]) == {"place", "take", "all"}
    bars = [(bar["upToMs"], bar["count"]) for bar in found["histogram"]]
    assert bars == [(1, 90), (2, 100), (5, 10)]
    assert (found["heldBack"], found["neverSent"], found["cancelledAfter"]) == (5, 2, 42)
    assert (found["benchIsLimit"], found["serverIsLimit"]) == (False, False)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"cpu_share": 0.9}, "it was busy for 90% of the time"),
        ({"cpu_share": 0.1, "starved_share": 0.8}, "and waited for a core for 80%"),
        ({"late": waits_of(9.0)}, "1 in 100 of its commands was sent more than 9.0 ms late"),
    ],
)
def test_a_bench_that_is_the_limit_says_so_and_does_not_blame_the_server(changed, said):
    found = report(rate=5_000.0, **changed)
    assert said in found.text()
    assert found.json()["benchIsLimit"] is True
    assert "could not take" not in found.text()


def test_a_bench_may_be_late_where_that_hardly_counts():
    tally = Tally()
    tally.waits["place"] = waits_of(100.0)
    assert report(tally=tally, late=waits_of(9.0)).own_limit() is None
    assert report(late=waits_of(1.9)).own_limit() is None


def test_a_server_that_answers_less_than_was_asked_is_the_limit():
    found = report(rate=1_500.0, unsent=7, held_back=9)
    assert "The server could not take this rate: it answered 1,000 of 1,500 commands/s." in (
        found.text()
    )
    assert found.json()["serverIsLimit"] is True
    assert "9 by --in-flight 100" in found.text()
    assert "7: not among the waits below" in found.text()


def test_without_a_rate_there_is_none_to_reach():
    found = report(rate=None, late=Waits())
    assert found.server_limit() is None
    assert "as fast as answered" in found.text()
    assert "sent late" not in found.text()


def test_a_bench_without_an_answer_has_a_report_too():
    found = report(tally=Tally(), seconds=0.0, cancelled=None, late=Waits())
    assert "0 answered, 0/s" in found.text()
    assert "not answered" in found.text()
    assert found.json()["histogram"] == []
