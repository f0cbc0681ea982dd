"""The traders' side of the wire, without a wire."""

from __future__ import annotations

from typing import Any

import pytest

from fastbook_client.wire.frames import InstrumentView
from fastbook_server.demo.noise import START_TICKS, Cancel, Limit, Market, Resting
from fastbook_server.demo.traders import Terms, Trader, start_ticks

BTC = Terms(InstrumentView("BTC-USD", 0.01, 0.0001, "open"))
COIN = Terms(InstrumentView("COIN", 5.0, 1e-8, "open"))


def book(bids: list[float], asks: list[float]) -> dict[str, Any]:
    rows = {"bid": [{"price": p} for p in bids], "ask": [{"price": p} for p in asks]}
    return {"aggOrderBook": rows}


def trades(*prices: float) -> dict[str, Any]:
    return {"trades": [{"price": price} for price in prices]}


@pytest.mark.parametrize(
    ("opening", "expected"),
    [
        ({}, START_TICKS),
        ({"aggOrderBook": book([], []), "trades": trades()}, START_TICKS),
        ({"aggOrderBook": book([99.0, 98.0], [101.0]), "trades": trades(50.0)}, 10_000),
        ({"aggOrderBook": book([99.0], []), "trades": trades(97.0, 98.123)}, 9_812),
        ({"aggOrderBook": book([99.0], []), "trades": trades()}, 9_900),
    ],
)
def test_a_market_goes_on_from_where_it_was(opening: dict[str, Any], expected: int) -> None:
    assert start_ticks(BTC, opening) == expected


@pytest.mark.parametrize(
    ("terms", "intent", "command"),
    [
        (BTC, Cancel("id"), {"op": "delete", "id": "id"}),
        (
            BTC,
            Limit("bid", 10_003, 12_345),
            {
                "op": "add",
                "order": {
                    "security": "BTC-USD",
                    "type": "bid",
                    "execType": "limit",
                    "price": 100.03,
                    "amount": 1.2345,
                },
            },
        ),
        (
            COIN,
            Market("ask", 3),
            {
                "op": "add",
                "order": {
                    "security": "COIN",
                    "type": "ask",
                    "execType": "market",
                    "amount": 3e-8,
                },
            },
        ),
    ],
)
def test_intents_become_commands_on_the_grid(
    terms: Terms, intent: Any, command: dict[str, Any]
) -> None:
    assert terms.command(intent) == command


def report(status: str, remaining: float, **order: Any) -> dict[str, Any]:
    values = {"id": "1", "security": "BTC-USD", "type": "ask", "price": 100.5}
    return {
        "event": "order",
        "status": status,
        "order": {**values, "remaining": remaining, **order},
    }


def test_a_trader_knows_its_open_orders() -> None:
    trader = Trader({"BTC-USD": BTC})
    own = trader.orders["BTC-USD"]
    trader.unanswered = 1
    trader.take({"ref": 0, **report("open", 2.0)})
    assert own == {"1": Resting("ask", 10_050, 20_000)}
    trader.take(report("partiallyFilled", 0.5))
    assert own == {"1": Resting("ask", 10_050, 5_000)}
    trader.take(report("filled", 0.0))
    trader.take(report("filled", 0.0, id="market", price=None))
    assert own == {}
    assert trader.unanswered == 0


def test_after_a_resume_the_servers_list_counts() -> None:
    trader = Trader({"BTC-USD": BTC})
    trader.take(report("open", 2.0, id="gone"))
    order = report("open", 1.0, id="still")["order"]
    trader.take({"event": "orders", "orders": [order]})
    assert list(trader.orders["BTC-USD"]) == ["still"]


async def test_a_trader_learns_the_servers_limits() -> None:
    trader = Trader({"BTC-USD": BTC, "COIN": COIN})
    trader.take(report("open", 2.0))
    trader.take({"event": "order", "ref": 0, "status": "rejected", "code": "too_many_orders"})
    assert (trader.room_in("BTC-USD"), trader.room_in("COIN")) == (1, 0)
    trader.take(
        {
            "event": "order",
            "ref": 0,
            "status": "rejected",
            "code": "unavailable",
            "retryAfterMs": 1e6,
        }
    )
    assert not trader.may_send(0.0)
