"""Who has open orders, counted from the order channel."""

from __future__ import annotations

from hall import batch_of
from hypothesis import given
from hypothesis import strategies as st
from trading import T0, Floor, ask, bid, delete_all, market, open_order

from fastbook_server.gateway.open_order_counts import OpenOrderCounts
from fastbook_server.values.events import OrderRested
from fastbook_server.values.persisted import OpenOrder

USERS = ("ann", "bob", "cat")


def rested(floor: Floor) -> list[OpenOrder]:
    return [open_order(e) for e in floor.events if isinstance(e, OrderRested)]


def test_recovered_orders_count():
    floor = Floor()
    floor.do("ann", bid(10, 1))
    counted = OpenOrderCounts(rested(floor))
    assert ("ann" in counted, "bob" in counted, list(counted)) == (True, False, ["ann"])
    counted.follow(batch_of(floor.do("ann", delete_all()), T0).orders)
    assert "ann" not in counted


commands = st.one_of(
    st.builds(bid, st.integers(8, 11), st.integers(1, 3), self_trade=st.just("cancelOldest")),
    st.builds(
        ask, st.integers(9, 12), st.integers(1, 3), time_in_force=st.sampled_from(["gtc", "ioc"])
    ),
    st.builds(market, st.sampled_from(["bid", "ask"]), st.integers(1, 5)),
    st.just(delete_all()),
)


@given(st.lists(st.tuples(st.sampled_from(USERS), commands), max_size=30))
def test_the_count_agrees_with_the_matchers_owners_after_every_command(script):
    floor, counted = Floor(), OpenOrderCounts()
    for user_id, command in script:
        counted.follow(batch_of(floor.do(user_id, command), T0).orders)
        owners = floor.exchange._owners
        assert [u in counted for u in USERS] == [owners.open_count(u) > 0 for u in USERS]
