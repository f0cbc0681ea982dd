"""The report as people read it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from fastbook_cli.bench.waits import Waits
from fastbook_cli.replay.actions import Action, Undecided, VenueFill
from fastbook_cli.replay.agreement import Agreement
from fastbook_cli.replay.report import ReplayReport


def waits(*times_ms: float) -> Waits:
    result = Waits()
    for time_ms in times_ms:
        result.add(time_ms)
    return result


FIELDS: dict[str, Any] = {
    "security": "BTC-USD",
    "clients": 1,
    "lot": "1e-08",
    "orders": 12_000,
    "accepted": 11_990,
    "would_cross": 0,
    "refused": {"invalid_price": 8, "invalid_amount": 2},
    "deletes": 9_000,
    "cancelled": 8_500,
    "gone": 500,
    "deletes_refused": {},
    "amends": 0,
    "amended": 0,
    "amends_refused": {},
    "open_orders": 1_234,
    "fills": 700,
    "fill_lots": 123_456_789_012,
    "bought_lots": 123_456_789_012,
    "sold_lots": 123_456_789_012,
    "seconds": 2.0,
    "waits": waits(*range(1, 20_001)),
    "reconnects": 0,
    "resent": 0,
    "postponed": 0,
    "agreement": Agreement(),
}


def report(**changes: Any) -> ReplayReport:
    return ReplayReport(**FIELDS | changes)


def test_the_whole_report() -> None:
    assert report().text() == (
        "orders sent      12,000\n"
        "accepted         11,990\n"
        "refused          10: invalid_amount 2, invalid_price 8\n"
        "deletes          9,000: 8,500 cancelled, 500 too late\n"
        "fills            700\n"
        "traded amount    1,234.56789012 (BTC-USD)\n"
        "still open       1,234\n"
        "time             2.00 s\n"
        "rate             6,000 orders/s  (10,000 commands/s in all)\n"
        "acknowledgement  p50 10,092.54 ms  p99 19,922.94 ms  max 20,000.00 ms\n"
        "agreement        unknown: the file has no fills of the venue"
    )


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"refused": {}}, "refused          0"),
        ({"fill_lots": 1}, "fills            at least 700"),
        (
            {"sold_lots": 3},
            "traded amount    bought 1,234.56789012, sold 0.00000003: others traded too (BTC-USD)",
        ),
        ({"lot": "0.25", "bought_lots": 5, "sold_lots": 5}, "traded amount    1.25 (BTC-USD)"),
        ({"deletes_refused": {"halted": 3}}, "deletes refused  3: halted 3"),
        (
            {"reconnects": 2, "resent": 2_000},
            "connection       lost 2 times, 2,000 commands resent",
        ),
        ({"postponed": 9}, "postponed        9 by the server, so not all in sequence"),
        (
            {"waits": waits()},
            "acknowledgement  p50 0.00 ms  p99 0.00 ms  max 0.00 ms",
        ),
        ({"lot": "1.0", "bought_lots": 5, "sold_lots": 5}, "traded amount    5 (BTC-USD)"),
        ({"would_cross": 7}, "post-only        7 did not enter: they would have traded"),
        ({"amends": 9, "amended": 6}, "amends           9: 6 done, 3 too late"),
        ({"amends_refused": {"halted": 3}}, "amends refused   3: halted 3"),
        (
            {"clients": 2},
            "agreement        not measured: several clients do not keep the sequence",
        ),
        ({"seconds": 0.0}, "rate             0 orders/s  (0 commands/s in all)"),
    ],
)
def test_a_line_of_it(changes: dict[str, Any], line: str) -> None:
    assert line in report(**changes).text().splitlines()


def test_what_the_file_leaves_undecided_is_counted_by_name() -> None:
    notes = Undecided()
    notes.count("hidden executions", 56)
    notes.count("hidden executions", 60, 2_000)
    assert (
        report().text(notes).endswith("\nnot decided      2,001 hidden executions (first: line 56)")
    )


@pytest.mark.parametrize(("refused", "mostly"), [(6_000, False), (6_001, True)])
def test_more_than_half_refused(refused: int, mostly: bool) -> None:
    assert report(refused={"invalid_price": refused}).is_mostly_refused == mostly


def test_what_comes_out_as_at_the_venue_has_no_impact() -> None:
    """Not even one of rounding."""
    matches = [("a", 585.74, 7.0), ("b", 585.75, 25.0), ("c", 585.77, 3.0)]
    fills = tuple(VenueFill(m, Decimal(repr(p)), Decimal(repr(q))) for m, p, q in matches)
    action = Action("add", 1, 1, 0, "t", "bid", Decimal("585.77"), Decimal(99), fills=fills)
    agreement = Agreement()
    agreement.compare(action, matches)
    assert (agreement.agreed, agreement.impact) == (1, 0)
