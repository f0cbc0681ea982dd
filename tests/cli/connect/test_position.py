"""A position from fills: average price, profit, trades with oneself; and as the prompt says it."""

from __future__ import annotations

import itertools

import pytest

from fastbook_cli.connect.pictures import Ruler
from fastbook_cli.connect.position import NetPosition
from fastbook_wire.frames import InstrumentView

COIN = InstrumentView(security="COIN", tick_size=0.01, lot_size=0.1, status="open")


def after(*fills: tuple[str, float, float]) -> NetPosition:
    position = NetPosition(COIN)
    for number, (side, price, amount) in zip(itertools.count(1), fills, strict=False):
        fill = {"fillId": number, "type": side, "price": price, "amount": amount, "role": "taker"}
        position.take(fill)
    return position


@pytest.mark.parametrize(
    ("fills", "said"),
    [
        ((), "no position in COIN, realised 0.00"),
        (
            (("bid", 100.0, 1.0), ("bid", 101.0, 0.5)),
            "long 1.5 COIN at 100.33 on average, unrealised +2.50, realised 0.00",
        ),
        (
            (("bid", 100.0, 1.0), ("ask", 103.0, 0.5)),
            "long 0.5 COIN at 100.00 on average, unrealised +1.00, realised +1.50",
        ),
        ((("bid", 100.0, 1.0), ("ask", 99.0, 1.0)), "no position in COIN, realised -1.00"),
        (
            (("bid", 100.0, 1.0), ("ask", 103.0, 3.0)),
            "short 2.0 COIN at 103.00 on average, unrealised +2.00, realised +3.00",
        ),
    ],
)
def test_a_position_is_what_its_fills_make(
    fills: tuple[tuple[str, float, float], ...], said: str
) -> None:
    assert after(*fills).line(Ruler(COIN), 102.0).plain == said


def test_a_trade_with_oneself_changes_nothing() -> None:
    position = after(("bid", 100.0, 1.0))
    for side, role in (("ask", "taker"), ("bid", "maker")):
        fill = {"fillId": 2, "type": side, "price": 105.0, "amount": 3.0, "role": role}
        position.take(fill)
    assert (position.lots, position.average, position.realised) == (10, 100.0, 0.0)


def test_nothing_is_said_of_a_price_that_is_not_known() -> None:
    said = "short 1.0 COIN at 99.00 on average, realised 0.00"
    assert after(("ask", 99.0, 1.0)).line(Ruler(COIN), None).plain == said
