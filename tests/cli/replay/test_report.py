"""The report as people read it."""

from __future__ import annotations

from typing import Any

import pytest

from fastbook_cli.replay.report import ReplayReport

FIELDS: dict[str, Any] = {
    "security": "BTC-USD",
    "lot": "1e-08",
    "orders": 12_000,
    "accepted": 11_990,
    "refused": {"invalid_price": 8, "invalid_amount": 2},
    "deletes": 9_000,
    "cancelled": 8_500,
    "gone": 500,
    "deletes_refused": {},
    "open_orders": 1_234,
    "fills": 700,
    "fill_lots": 123_456_789_012,
    "bought_lots": 123_456_789_012,
    "sold_lots": 123_456_789_012,
    "seconds": 2.0,
    "latencies_s": [i / 1_000 for i in range(1, 20_001)],
    "reconnects": 0,
    "resent": 0,
    "postponed": 0,
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
        "rate             6,000 orders/s  (10,000 commands/s with the deletes)\n"
        "acknowledgement  p50 10,001.00 ms  p99 19,801.00 ms  max 20,000.00 ms"
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
            {"latencies_s": []},
            "acknowledgement  p50 0.00 ms  p99 0.00 ms  max 0.00 ms",
        ),
        ({"seconds": 0.0}, "rate             0 orders/s  (0 commands/s with the deletes)"),
    ],
)
def test_a_line_of_it(changes: dict[str, Any], line: str) -> None:
    assert line in report(**changes).text().splitlines()
