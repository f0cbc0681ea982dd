"""The terms of a new order: which fields go together, and what each refusal says."""

from __future__ import annotations

import math

import pytest
from trading import T0, Floor, by_total, orders, refusal

from fastbook_server.values.events import CommandRefused
from fastbook_wire.commands import Add, NewOrder

PRICED = ("limit", "stopLimit", "takeProfitLimit")
TRIGGERED = ("stop", "stopLimit", "takeProfit", "takeProfitLimit")
TOTAL_MAX = math.nextafter(2.0**63, 0)
"""Of a security with a tick and a lot of 1."""


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"exec_type": "stop", "amount": 1}, "invalid_price", "triggerPrice: a stop order needs"),
        (
            {"exec_type": "stopLimit", "amount": 1, "price": 10},
            *("invalid_price", "triggerPrice: a stopLimit order needs one"),
        ),
        (
            {"exec_type": "stopLimit", "amount": 1, "trigger_price": 10},
            *("invalid_price", "price: a stopLimit order needs one"),
        ),
        (
            {"exec_type": "limit", "amount": 1, "price": 10, "trigger_price": 10},
            *("invalid_order", "triggerPrice: a limit order takes none"),
        ),
        (
            {"exec_type": "market", "amount": 1, "trigger_price": 10},
            *("invalid_order", "triggerPrice: a market order takes none"),
        ),
        (
            {"exec_type": "market", "amount": 1, "total": 10},
            *("invalid_order", "total: expected instead of amount, got both"),
        ),
        (
            {"exec_type": "limit", "total": 10, "price": 10},
            *("invalid_order", "total: a limit order takes an amount"),
        ),
        (
            {"exec_type": "stop", "total": 10, "trigger_price": 10},
            *("invalid_order", "total: a stop order takes an amount"),
        ),
        (
            {"exec_type": "market", "total": 10, "time_in_force": "fok"},
            *("invalid_order", "timeInForce: an order by total is always ioc"),
        ),
        (
            {"exec_type": "stopLimit", "amount": 1, "trigger_price": 10, "time_in_force": "gtc"},
            *("invalid_price", "price: a stopLimit order needs one"),
        ),
        ({"exec_type": "market", "total": -1}, "invalid_amount", "total -1 is not positive"),
        ({"exec_type": "market", "total": 0.5}, "invalid_amount", "total 0.5 does not pay for"),
        *(
            (
                {"exec_type": "market", "total": total},
                *("invalid_amount", f"total {total!r} is more than the largest, {TOTAL_MAX!r}"),
            )
            for total in (2.0**63, 1e30, 1e300, math.inf)
        ),
        (
            {"exec_type": "market"},
            *("invalid_amount", "amount: a market order needs one, or a total"),
        ),
        *(
            (
                {"exec_type": kind, "price": price, "trigger_price": trigger},
                *("invalid_amount", f"amount: a {kind} order needs one"),
            )
            for kind, price, trigger in (
                *(("limit", 10, None), ("stop", None, 10), ("stopLimit", 10, 10)),
            )
        ),
        (
            {"exec_type": "stop", "amount": 1, "trigger_price": 10, "display": 1},
            *("invalid_order", "display: a stop order never rests"),
        ),
    ],
)
def test_fields_that_contradict_each_other_are_refused_by_name(fields, code, message):
    refused = Floor().do("ann", Add(order=NewOrder(type="bid", security="COIN", **fields)))
    got_code, got_message = refusal(refused[0])
    assert (len(refused), got_code, got_message[: len(message)]) == (1, code, message)


def test_the_largest_total_is_one_that_is_taken():
    for security in ("COIN", "FINE"):
        floor = Floor()
        _, message = refusal(*floor.do("ann", by_total("bid", 1e300, security=security)))
        most = float(message.split()[-1])
        assert floor.brief("ann", by_total("bid", most, security=security))[-1][2] == (
            "cancelled/no_liquidity"
        )
        above = by_total("bid", math.nextafter(most, math.inf), security=security)
        assert floor.code("ann", above) == "invalid_amount"


@pytest.mark.parametrize("exec_type", ["limit", "market", *TRIGGERED])
@pytest.mark.parametrize("time_in_force", [None, "gtc", "gtt", "ioc", "fok"])
@pytest.mark.parametrize("expires", [False, True])
def test_which_orders_may_expire(exec_type, time_in_force, expires):
    """The rows `timeInForce` and `expireTime` of the document's table."""
    has_price, waits = exec_type in PRICED, exec_type in TRIGGERED
    refused = placed_alone(exec_type, time_in_force, expires)
    if not has_price and exec_type == "market" and expires:
        assert refused == "expireTime: a market order never rests"
    elif not has_price and time_in_force in ("gtc", "gtt"):
        assert refused == f"timeInForce: a {exec_type} order is ioc or fok, got {time_in_force}"
    elif time_in_force == "gtt" and not expires:
        assert refused == "expireTime: an order with timeInForce gtt needs one"
    elif time_in_force == "gtc" and expires:
        assert refused == "expireTime: expected timeInForce gtt, got gtc"
    elif time_in_force in ("ioc", "fok") and expires and not waits:
        assert refused == f"expireTime: a limit order that is {time_in_force} never rests"
    else:
        assert refused is None


def placed_alone(exec_type: str, time_in_force: str | None, expires: bool) -> str | None:
    """Place an order; return why it is refused. One that waits and expires is gone in the end."""
    floor = Floor()
    order = NewOrder(
        type="bid",
        exec_type=exec_type,
        amount=1,
        price=10 if exec_type in PRICED else None,
        trigger_price=10 if exec_type in TRIGGERED else None,
        time_in_force=time_in_force,
        expire_time=T0 + 5_000 if expires else None,
        security="COIN",
    )
    *_, last = floor.do("ann", Add(order=order))
    if isinstance(last, CommandRefused):
        return last.message
    if expires:
        floor.now_ms += 5_000
        *_, last = floor.do("bob", orders())[:-1]
        assert (last.status, last.reason) == ("cancelled", "expired")
    return None
