"""Amending: what keeps the place in the queue, what loses it, and how an order is named."""

from __future__ import annotations

import pytest
from trading import HOUR_MS, Floor, amend, ask, bid, delete, refusal, restarted, stop

from fastbook_server.values.events import OrderFilled, OrderReport, Traded
from fastbook_wire.commands import GetOrder


def makers(floor: Floor, command) -> list[int]:
    """Apply a command; return the makers that it meets, by their ``seq``, in order."""
    return [e.maker.seq for e in floor.do("dan", command) if isinstance(e, OrderFilled)]


def two_asks() -> Floor:
    floor = Floor()
    floor.do("ann", ask(10, 5, client_order_id="a"))
    floor.do("bob", ask(10, 5))
    return floor


def test_a_reduction_at_the_same_price_keeps_the_place():
    floor = two_asks()
    assert floor.brief("ann", amend("r", client_order_id="a", amount=2.0)) == [
        ("amended", 3, 0, 1, 10, 2, 2, "user", "stays"),
        ("ann", "r", "open", 1, 2, 0),
    ]
    assert makers(floor, bid(10, 4)) == [1, 2]


@pytest.mark.parametrize("change", [{"amount": 6.0}, {"price": 10.0, "amount": 9.0}])
def test_a_larger_amount_loses_the_place(change):
    floor = two_asks()
    floor.do("ann", amend(client_order_id="a", **change))
    assert makers(floor, bid(10, 6)) == [2, 1]


def test_another_price_loses_the_place_there_and_back():
    floor = two_asks()
    floor.do("ann", amend(client_order_id="a", price=11.0))
    assert floor.exchange.markets["COIN"].book.depth() == ([], [(10, 5), (11, 5)])
    floor.do("ann", amend(client_order_id="a", price=10.0))
    assert makers(floor, bid(10, 6)) == [2, 1]


def test_an_amended_order_may_match_and_its_trade_is_its_own():
    floor = Floor()
    floor.do("ann", bid(8, 5, client_order_id="a"))
    floor.do("bob", ask(10, 2))
    assert floor.brief("ann", amend("r", client_order_id="a", price=10.0)) == [
        ("amended", 3, 0, 1, 10, 5, 5, "user", "enters"),
        ("fill", 3, 0, 2, 10, 2, 0, 0),
        ("rested", 1, 3, 20, 3),
        ("trade", 3, 2, 20),
        ("ann", "r", "partiallyFilled", 1, 3, 20),
        ("bob", None, "filled", 2, 0, 20, 10, 2),
    ]
    trades = [e.id for e in floor.events if isinstance(e, Traded)]
    floor.do("bob", ask(10, 3))
    assert len({e.id for e in floor.events if isinstance(e, Traded)}) == len(trades) + 1


def test_the_amount_includes_what_is_filled():
    floor = Floor()
    floor.do("ann", ask(10, 5, client_order_id="a"))
    floor.do("bob", bid(10, 2))
    assert floor.brief("ann", amend("r", client_order_id="a", amount=4.0))[-1] == (
        *("ann", "r", "partiallyFilled", 1, 2, 20),
    )
    assert floor.code("ann", amend(client_order_id="a", amount=1.0)) == "amount_below_filled"
    assert floor.brief("ann", amend("s", client_order_id="a", amount=2.0)) == [
        ("gone", 4, 0, 1, 2, "amend", "book", 0),
        ("ann", "s", "cancelled/amend", 1, 2, 20),
    ]
    assert floor.code("ann", amend(client_order_id="a", amount=3.0)) == "unknown_order"


def test_what_changes_nothing_takes_no_number():
    floor = two_asks()
    for change in ({"amount": 5.0}, {"price": 10.0}, {"new_client_order_id": "a"}):
        assert floor.brief("ann", amend("r", client_order_id="a", **change)) == [
            ("ann", "r", "open", 1, 5, 0)
        ]
    assert floor.exchange.markets["COIN"].seq == 2
    assert makers(floor, bid(10, 1)) == [1]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"price": 10.5}, "invalid_price"),
        ({"price": -1.0}, "invalid_price"),
        ({"amount": 0.5}, "invalid_amount"),
        ({"amount": 0.0}, "invalid_amount"),
        ({"price": 9.0}, "post_only_would_cross"),
        ({"amount": 2.0**52, "price": 12.0}, "invalid_amount"),
        ({"new_client_order_id": "b"}, "duplicate_client_order_id"),
    ],
)
def test_a_refused_amend_leaves_the_order_as_it_was(change, code):
    floor = Floor()
    floor.do("ann", ask(10, 5, client_order_id="a", post_only=True))
    floor.do("ann", ask(12, 5, client_order_id="b"))
    floor.do("bob", bid(9, 5))
    before = floor.exchange.markets["COIN"].book.depth()
    assert floor.code("ann", amend(client_order_id="a", **change)) == code
    assert floor.exchange.markets["COIN"].book.depth() == before
    assert makers(floor, bid(10, 1)) == [1]


def test_a_new_client_order_id_that_is_taken_is_refused_by_its_field():
    floor = two_asks()
    order_id = floor.order_id("ann", ask(12, 1, client_order_id="c"))
    (refused,) = floor.do("ann", amend(client_order_id="a", new_client_order_id="c"))
    assert refusal(refused) == (
        "duplicate_client_order_id",
        f"newClientOrderId: 'c' names another order, {order_id}",
    )


def test_nobody_amends_the_orders_of_others():
    floor = two_asks()
    order_id = floor.events[0].order.id
    assert floor.code("bob", amend(id=order_id, amount=1.0)) == "unknown_order"
    assert floor.code("bob", amend(client_order_id="a", amount=1.0)) == "unknown_order"


def test_an_order_is_known_by_every_name_it_had_and_a_retry_places_nothing():
    floor = Floor()
    floor.do("ann", ask(10, 5, client_order_id="a"))
    floor.do("ann", amend(client_order_id="a", amount=3.0, new_client_order_id="b"))
    for again in (floor, restarted(floor)):
        told = [("ann", "r", "open", 1, 3, 0)]
        assert again.brief("ann", ask(10, 5, "r", client_order_id="a")) == told
        assert again.brief("ann", GetOrder(ref="r", client_order_id="a")) == told
        assert again.brief("ann", GetOrder(ref="r", client_order_id="b")) == told
        other = ask(10, 3, client_order_id="a")
        assert again.code("ann", other) == "duplicate_client_order_id"
    floor.do("ann", delete(client_order_id="a"))
    again = restarted(floor)
    assert again.brief("ann", ask(10, 5, "r", client_order_id="a")) == [
        ("ann", "r", "cancelled/user", 1, 3, 0)
    ]
    again.now_ms += 25 * HOUR_MS
    assert again.brief("ann", ask(10, 5, "r", client_order_id="b"))[-1][2] == "open"


def test_a_waiting_stop_order_is_amended_where_it_waits():
    floor = Floor()
    floor.do("ann", stop("bid", 12, 5, price=12.0, client_order_id="s"))
    assert floor.brief("ann", amend("r", client_order_id="s", price=13.0, amount=2.0)) == [
        ("amended", 2, 0, 1, 13, 2, 2, "user", "held"),
        ("ann", "r", "untriggered", 1, 2, 0),
    ]
    floor.do("ann", stop("bid", 12, 5, client_order_id="m"))
    assert floor.code("ann", amend(client_order_id="m", price=1.0)) == "invalid_order"
    floor.do("bob", ask(12, 9))
    reports = [e for e in floor.do("cat", bid(12, 1)) if isinstance(e, OrderReport)]
    assert [(r.user_id, r.status, r.remaining) for r in reports if r.user_id == "ann"] == [
        *(("ann", "triggered", 2), ("ann", "filled", 0), ("ann", "triggered", 5)),
        ("ann", "filled", 0),
    ]
