"""Client order ids: unique per user, remembered for 24 h, never executed twice."""

from __future__ import annotations

import pytest
from trading import HOUR_MS, T0, Floor, amend, ask, bid, delete, delete_all, market, restarted

from fastbook_wire.commands import GetOrder


def test_a_retry_is_answered_with_the_state_and_never_executed_twice():
    floor = Floor()
    floor.do("ann", bid(10, 5, "1", client_order_id="a"))
    floor.do("bob", ask(10, 2))
    assert floor.brief("ann", bid(10, 5, "2", client_order_id="a")) == [
        ("ann", "2", "partiallyFilled", 1, 3, 20)
    ]
    floor.do("bob", ask(10, 3))
    assert floor.brief("ann", bid(10, 5, "3", client_order_id="a")) == [
        ("ann", "3", "filled", 1, 0, 50)
    ]


@pytest.mark.parametrize(
    "other",
    [
        ask(10, 5, client_order_id="a"),
        bid(11, 5, client_order_id="a"),
        bid(10, 6, client_order_id="a"),
        bid(10, 5, client_order_id="a", time_in_force="ioc"),
        bid(10, 5, client_order_id="a", post_only=True),
        bid(10, 5, client_order_id="a", self_trade="cancelBoth"),
        bid(10, 5, client_order_id="a", security="FINE"),
        market("bid", 5, client_order_id="a"),
    ],
)
def test_another_order_under_the_same_client_order_id_is_refused(other):
    floor = Floor()
    floor.do("ann", bid(10, 5, client_order_id="a"))
    assert floor.code("ann", other) == "duplicate_client_order_id"


def test_a_client_order_id_is_its_users_own():
    floor = Floor()
    floor.do("ann", bid(10, 5, client_order_id="a"))
    assert floor.brief("bob", bid(11, 6, client_order_id="a"))[-1] == ("bob", None, "open", 2, 6, 0)
    assert floor.code("cat", delete(client_order_id="a")) == "unknown_order"


def test_a_refused_add_does_not_use_its_client_order_id_up():
    floor = Floor(open_orders_max=1)
    floor.do("bob", ask(10, 1))
    for refused in (
        bid(1.5, 1, client_order_id="a"),
        bid(10, 1, client_order_id="a", post_only=True),
        bid(10, 1, client_order_id="a", security="X"),
    ):
        assert floor.brief("ann", refused)[0][2] == "refused"
    assert floor.brief("ann", bid(9, 2, client_order_id="a"))[-1] == ("ann", None, "open", 2, 2, 0)


def test_client_order_ids_of_ended_orders_are_forgotten_after_24_hours():
    floor = Floor()
    floor.do("ann", market("bid", 5, client_order_id="a"))
    floor.now_ms = T0 + 24 * HOUR_MS
    assert floor.brief("ann", market("bid", 5, client_order_id="a"))[0][:3] == (
        *("ann", None, "cancelled/no_liquidity"),
    )
    floor.now_ms += 1
    assert floor.brief("ann", market("bid", 5, client_order_id="a"))[0] == ("accepted", 2)


def test_the_last_of_many_old_client_order_ids_is_forgotten_as_promptly_as_the_first():
    """Forgetting is spread over later orders; what is too old must not be found meanwhile."""
    floor = Floor()
    for n in range(100):
        floor.do("ann", market("bid", 5, client_order_id=f"a{n}"))
    floor.now_ms = T0 + 24 * HOUR_MS + 1
    assert floor.brief("ann", ask(7, 1, client_order_id="a99"))[0] == ("accepted", 101)


def test_an_open_order_is_found_by_its_client_order_id_however_old_it_is():
    floor = Floor()
    floor.do("ann", bid(10, 5, client_order_id="old"))
    floor.now_ms = T0 + 240 * HOUR_MS
    for n in range(5):
        floor.do("bob", bid(1, 1, client_order_id=f"b{n}"))
    assert floor.brief("ann", bid(10, 5, "r", client_order_id="old")) == [
        ("ann", "r", "open", 1, 5, 0)
    ]
    assert floor.brief("ann", delete("d", client_order_id="old"))[-1] == (
        *("ann", "d", "cancelled/user", 1, 5, 0),
    )


def test_an_id_is_remembered_for_24_hours_from_the_end_of_its_order():
    """An order may rest for days, end while its owner is away, and be retried afterwards."""
    floor = Floor()
    floor.do("ann", bid(10, 5, client_order_id="a"))
    floor.now_ms = T0 + 25 * HOUR_MS
    floor.do("bob", ask(10, 5))
    floor.now_ms += 24 * HOUR_MS
    assert floor.brief("ann", bid(10, 5, "r", client_order_id="a")) == [
        ("ann", "r", "filled", 1, 0, 50)
    ]
    floor.now_ms += 1
    assert floor.brief("ann", bid(10, 5, client_order_id="a"))[0] == ("accepted", 3)


def test_so_it_is_for_an_order_that_was_cancelled_after_days():
    floor = Floor()
    floor.do("ann", bid(10, 5, client_order_id="a"))
    floor.do("ann", bid(10, 5, client_order_id="b"))
    floor.now_ms = T0 + 25 * HOUR_MS
    floor.do("ann", delete(client_order_id="a"))
    floor.do("ann", delete_all())
    floor.now_ms += 24 * HOUR_MS
    for name in "ab":
        known = floor.brief("ann", bid(10, 5, client_order_id=name))
        assert [e[2] for e in known] == ["cancelled/user"]


def test_beyond_the_users_bound_the_oldest_ended_ids_are_forgotten():
    floor = Floor(client_order_ids_max=3)
    floor.do("ann", bid(1, 1, client_order_id="open"))
    for name in "abcd":
        floor.do("ann", market("bid", 5, client_order_id=name))
        assert floor.exchange._owners.remembered("ann") <= 3
    assert floor.brief("ann", bid(1, 1, client_order_id="open"))[0][2] == "open"
    assert floor.brief("ann", market("bid", 5, client_order_id="d"))[0][2] != "accepted"
    assert floor.brief("ann", market("bid", 5, client_order_id="a"))[0] == ("accepted", 6)


def test_a_refused_order_makes_nobody_forget():
    floor = Floor(client_order_ids_max=1)
    floor.do("ann", market("bid", 5, client_order_id="a"))
    floor.do("bob", ask(10, 1))
    post_only = bid(10, 1, client_order_id="b", post_only=True)
    assert floor.code("ann", post_only) == "post_only_would_cross"
    assert floor.brief("ann", market("bid", 5, client_order_id="a"))[0][2] != "accepted"


def test_beyond_the_total_a_users_own_ids_go_first():
    floor = Floor(client_order_ids_total_max=3)
    floor.do("bob", market("bid", 5, client_order_id="b"))
    for n in range(10):
        floor.do("ann", market("bid", 5, client_order_id=f"a{n}"))
    assert floor.exchange._owners.remembered_total() == 3
    assert floor.brief("bob", market("bid", 5, client_order_id="b"))[0][2] != "accepted"
    floor.do("cat", market("bid", 5, client_order_id="c"))
    assert floor.exchange._owners.remembered_total() == 3, "somebody's oldest gave way"
    assert floor.brief("cat", market("bid", 5, client_order_id="c"))[0][2] != "accepted"


def test_bounds_never_stop_trading():
    floor = Floor(client_order_ids_max=2, client_order_ids_total_max=2)
    for n in range(10):
        assert floor.brief("ann", bid(1, 1, client_order_id=f"a{n}"))[-1][2] == "open"


def test_an_id_that_comes_again_does_not_keep_older_ones_from_being_forgotten():
    floor = Floor()
    for name in "abcde":
        floor.do("ann", market("bid", 5, client_order_id=name))
    floor.now_ms = T0 + 24 * HOUR_MS + 1
    for name in "cxyz":  # c again, before the others' turn to be forgotten has come
        floor.do("ann", market("bid", 5, client_order_id=name))
    assert floor.exchange._owners.remembered_total() == 4


def test_owner_numbers_are_given_back_and_never_shared():
    """cancelNewest meets one's own orders only, so a shared number would show as self_trade."""
    floor = Floor()
    for round_ in range(50):
        for user in range(5):
            floor.do(f"u{round_}-{user}", ask(10, 1))
        statuses = {
            floor.brief(f"v{round_}-{n}", bid(10, 1, self_trade="cancelNewest"))[-2][2]
            for n in range(5)
        }
        assert statuses == {"filled"}
    assert floor.exchange._owners._numbers <= 6


def test_old_ids_of_open_orders_do_not_keep_others_from_being_forgotten():
    floor = Floor()
    for name in "ab":
        floor.do("ann", bid(1, 5, client_order_id=name))
    for name in "cdefg":
        floor.do("ann", market("bid", 5, client_order_id=name))
    floor.now_ms = T0 + 24 * HOUR_MS + 1
    for name in "hijkl":
        floor.do("ann", market("bid", 5, client_order_id=name))
    assert floor.exchange._owners.remembered_total() == len("ab" + "hijkl")


def test_an_order_named_after_its_first_fill_is_remembered_when_it_has_ended():
    floor = Floor()
    order_id = floor.order_id("ann", bid(10, 3))
    floor.do("bob", market("ask", 1))
    floor.do("ann", amend(id=order_id, new_client_order_id="a"))
    floor.do("bob", market("ask", 2))
    for each in (floor, restarted(floor)):
        assert each.code("ann", bid(9, 1, client_order_id="a")) == "duplicate_client_order_id"


def test_an_id_that_was_forgotten_early_and_came_again_names_the_newer_order():
    floor = Floor(client_order_ids_max=1)
    for price, name in ((10, "a"), (9, "b"), (8, "a")):
        floor.do("ann", delete_all())
        floor.do("ann", bid(price, 1, client_order_id=name))
    for each in (floor, restarted(floor)):
        (found,) = each.do("ann", GetOrder(client_order_id="a"))
        assert found.order.price == 8
