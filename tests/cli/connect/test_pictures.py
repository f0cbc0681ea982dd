"""How the prompt speaks of an order."""

from __future__ import annotations

from typing import Any

import pytest

from fastbook_cli.connect.pictures import Ruler, order_line
from fastbook_wire.frames import InstrumentView

ORDER = {
    "type": "bid",
    "execType": "limit",
    "security": "COIN",
    "amount": 2.0,
    "price": 99.5,
    "filled": 0.0,
}


@pytest.mark.parametrize(
    ("terms", "line"),
    [
        ({}, "#1 buy 2.0 COIN at 99.50"),
        ({"postOnly": True}, "#1 buy 2.0 COIN at 99.50, post-only"),
        ({"display": 0.5}, "#1 buy 2.0 COIN at 99.50, shows 0.5"),
        ({"timeInForce": "gtt", "selfTrade": "cancelNewest"}, "#1 buy 2.0 COIN at 99.50"),
        ({"timeInForce": "ioc"}, "#1 buy 2.0 COIN at 99.50, IOC"),
        ({"timeInForce": "ioc", "price": None}, "#1 buy 2.0 COIN at the market"),
        ({"timeInForce": "fok", "price": None}, "#1 buy 2.0 COIN at the market, FOK"),
    ],
)
def test_an_order_is_told_with_what_is_special_about_it(terms: dict[str, Any], line: str) -> None:
    ruler = Ruler(InstrumentView("COIN", 0.01, 0.1, "open"))
    assert order_line(ORDER | terms, 1, ruler).plain == line
