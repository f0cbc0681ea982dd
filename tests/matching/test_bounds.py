"""What one command may ask for: no number and no chain of commands costs the server too much."""

from __future__ import annotations

import pytest
from trading import (
    T0,
    Floor,
    amend,
    ask,
    bid,
    by_total,
    delete,
    market,
    refusal,
    restarted,
    stop,
)

from fastbook_wire.grid import UNITS_MAX


@pytest.mark.parametrize("side", ["bid", "ask"])
def test_a_total_trades_no_more_lots_than_a_number_of_the_wire_can_tell(side):
    """A start reads the amount of the order back, and refuses what is off the grid."""
    floor, make = Floor(), ask if side == "bid" else bid
    for price in (1, 2):
        floor.do("bob", make(price, UNITS_MAX))
    _, traded, told, _ = floor.brief("ann", by_total(side, 4 * UNITS_MAX, "1"))[-4:]
    assert traded[:3] == ("trade", 3, UNITS_MAX)
    assert told[:5] == ("ann", "1", "filled", 3, 0)


def test_an_order_has_a_hundred_client_order_ids_at_most():
    """Each change of an order carries all of them, and so does its row."""
    floor = Floor()
    floor.do("ann", bid(10, 5, client_order_id="0"))
    for n in range(99):
        (*_, told) = floor.brief(
            "ann", amend(client_order_id=f"{n}", new_client_order_id=f"{n + 1}")
        )
        assert told[2] == "open"
    more = amend(client_order_id="99", new_client_order_id="100")
    assert floor.code("ann", more) == "invalid_order"
    assert restarted(floor).code("ann", more) == "invalid_order"
    assert floor.brief("ann", amend("1", client_order_id="99", amount=4))[-1][3:5] == (1, 4)
    former = amend("2", client_order_id="99", new_client_order_id="0")
    assert floor.brief("ann", former)[-1][:3] == ("ann", "2", "open")


@pytest.mark.parametrize("bound", ["client_order_ids_max", "client_order_ids_total_max"])
def test_no_new_client_order_id_if_all_are_those_of_open_orders(bound):
    floor = Floor(**{bound: 3})
    for name in ("a", "b"):
        floor.do("ann", bid(10, 5, client_order_id=name))
    floor.do("ann", amend(client_order_id="a", new_client_order_id="c"))
    one_too_many = amend("1", client_order_id="a", new_client_order_id="d")
    assert floor.code("ann", one_too_many) == "overloaded"
    floor.do("ann", delete(client_order_id="b"))
    assert floor.brief("ann", one_too_many)[-1][2] == "open"
    assert floor.code("ann", delete(client_order_id="b")) == "unknown_order"


def test_a_triggered_order_that_is_post_only_and_would_cross_says_so():
    floor = Floor()
    floor.do("bob", ask(10, 5))
    floor.do("ann", stop("bid", 10, 1, "1", price=12, post_only=True))
    told = floor.told("bob", bid(10, 1))
    assert told[-2:] == [
        ("ann", None, "triggered", 2, 1, 0),
        ("ann", None, "cancelled/post_only", 2, 1, 0),
    ]


def test_a_triggered_order_whose_level_is_full_says_so():
    floor = Floor()
    floor.do("bob", ask(20, 5))
    floor.do("ann", stop("bid", 20, 1, "1", price=12))
    floor.do("bob", bid(12, UNITS_MAX))
    assert floor.told("cat", bid(20, 1))[-1] == ("ann", None, "cancelled/level_full", 2, 1, 0)
    message = refusal(floor.do("cat", bid(12, 1))[0])[1]
    assert message == (
        "amount: a level holds at most 4503599627370496.0, and this one has no room for it"
    )


def test_a_market_order_does_not_expire():
    assert Floor().code("ann", market("bid", 1, expire_time=T0 + 1)) == "invalid_order"
    assert Floor().told("ann", stop("bid", 9, 1, "1", expire_time=T0 + 1))[0][2] == "untriggered"
