"""What one command may ask for: no number and no chain of commands costs the server too much."""

from __future__ import annotations

import pytest
from trading import Floor, amend, ask, bid, by_total, delete, restarted

from fastbook_wire.grid import UNITS_MAX


def test_a_total_buys_no_more_lots_than_a_number_of_the_wire_can_tell():
    """A start reads the amount of the order back, and refuses what is off the grid."""
    floor = Floor()
    for price in (1, 2):
        floor.do("bob", ask(price, UNITS_MAX))
    assert floor.brief("ann", by_total("bid", 4 * UNITS_MAX, "1"))[-3:-1] == [
        ("trade", 3, UNITS_MAX, UNITS_MAX),
        ("ann", "1", "filled", 3, 0, UNITS_MAX),
    ]


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
