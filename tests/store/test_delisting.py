"""What is refused of instruments that are left out, and what cancels their orders."""

from __future__ import annotations

import pytest
from trading import COIN, FINE, T0, Floor, ask, bid, open_order

from fastbook_server.store import StoreRefused
from fastbook_server.store.delisting import cancel_all, check_left_out
from fastbook_server.values.events import OrderRested

LEFT = {"GAME": (3, "0198"), "ACME": (1, "0197")}


def test_nothing_left_or_all_of_it_delisted_is_no_obstacle():
    check_left_out({}, ())
    check_left_out({}, ("GAME",))
    check_left_out(LEFT, ("ACME", "GAME", "OTHER"))


@pytest.mark.parametrize(
    ("delist", "said"),
    [
        (
            (),
            "none for ACME (open orders: 1, such as 0197), GAME (open orders: 3, such as 0198): "
            "list what is missing again, or cancel its orders with --delist ACME --delist GAME",
        ),
        (
            ("ACME",),
            "got none for GAME (open orders: 3, such as 0198): "
            "list what is missing again, or cancel its orders with --delist GAME",
        ),
    ],
)
def test_what_is_neither_listed_nor_delisted_is_named_with_the_way_out(delist, said):
    with pytest.raises(StoreRefused) as refused:
        check_left_out(LEFT, delist)
    assert str(refused.value).endswith(said)


def test_orders_end_oldest_first_under_one_seq_per_security():
    floor = Floor()
    for user_id, command in (
        ("ann", bid(10, 5)),
        ("bob", bid(10, 2)),
        ("ann", ask(0.5, 2, security="FINE")),
        ("bob", ask(12, 1)),
    ):
        floor.do(user_id, command)
    resting = [open_order(e) for e in floor.events if isinstance(e, OrderRested)]
    events = cancel_all(reversed(resting), {"COIN": 3, "FINE": 1}, T0 + 9)
    assert [
        (e.order.instrument, e.seq, e.n, e.order.seq, e.quantity, e.level_quantity) for e in events
    ] == [
        (COIN, 4, 0, 1, 5, 2),
        (FINE, 2, 0, 1, 20_000, 0),
        (COIN, 4, 1, 2, 2, 0),
        (COIN, 4, 2, 3, 1, 0),
    ]
    assert {(e.reason, e.rested, e.time_ms) for e in events} == {("delisted", True, T0 + 9)}
