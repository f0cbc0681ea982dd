"""Stop orders, good till time, icebergs, orders by total, market FOK, decrement: each rule."""

from __future__ import annotations

import pytest
from trading import (
    T0,
    Floor,
    ask,
    bid,
    by_total,
    delete_all,
    market,
    orders,
    restarted,
    stop,
)

from fastbook_server.matching.steps import finished
from fastbook_server.values.events import (
    FillReport,
    OrderFilled,
    OrderReport,
    OrderTriggered,
)


def triggered(floor: Floor, user_id: str, command) -> list[int]:
    """Apply a command; return the stop orders that it triggers, by ``seq``, in order."""
    return [e.order.seq for e in floor.do(user_id, command) if isinstance(e, OrderTriggered)]


def with_book() -> Floor:
    """Return a floor with asks of 50 at 101 and more, bids at 99 and less."""
    floor = Floor()
    for price in range(101, 111):
        floor.do("maker", ask(price, 50))
    for price in range(99, 89, -1):
        floor.do("maker", bid(price, 50))
    return floor


# ---- stop orders ---------------------------------------------------------------------------------


def test_a_stop_order_waits_unseen_until_a_fill_reaches_its_trigger():
    floor = with_book()
    assert floor.brief("ann", stop("bid", 102, 5, "s")) == [
        ("accepted", 21),
        ("held", 21),
        ("ann", "s", "untriggered", 21, 5, 0),
    ]
    assert len(floor.exchange.markets["COIN"].book) == 20
    assert triggered(floor, "bob", market("bid", 1)) == []  # a fill at 101
    assert triggered(floor, "bob", market("ask", 1)) == []  # a fill at 99
    assert floor.brief("bob", market("bid", 50))[6:] == [  # the last at 102
        ("maker", None, "partiallyFilled", 2, 49, 102, 102, 1),
        ("triggered", 25, 21),
        ("ann", None, "triggered", 21, 5, 0),
        ("fill", 25, 0, 2, 102, 5, 44, 44),
        ("trade", 25, 5, 510),
        ("ann", None, "filled", 21, 0, 510),
        ("maker", None, "partiallyFilled", 2, 44, 612, 102, 5),
    ]


def test_orders_are_triggered_in_the_order_in_which_a_price_reaches_them_then_by_age():
    floor = with_book()
    for trigger in (105, 103, 105, 104):  # seqs 21 to 24
        floor.do("ann", stop("bid", trigger, 1))
    assert triggered(floor, "bob", bid(105, 250, time_in_force="ioc")) == [22, 24, 21, 23]
    floor = with_book()
    for trigger in (95, 97, 95, 96):
        floor.do("ann", stop("ask", trigger, 1))
    assert triggered(floor, "bob", ask(95, 250, time_in_force="ioc")) == [22, 24, 21, 23]


def test_a_triggered_order_may_trigger_others_and_each_has_its_own_number():
    floor = with_book()
    floor.do("ann", stop("bid", 101, 60))  # ends at 102
    floor.do("ann", stop("bid", 102, 100))  # ends at 104
    floor.do("ann", stop("bid", 104, 1))
    events = floor.do("bob", market("bid", 1))
    assert [e.seq for e in events if isinstance(e, OrderTriggered)] == [25, 26, 27]
    assert [e.order.seq for e in events if isinstance(e, OrderTriggered)] == [21, 22, 23]
    assert {e.seq for e in events if isinstance(e, OrderFilled)} == {24, 25, 26, 27}


def test_an_order_that_takes_a_profit_waits_for_a_price_as_good_or_better():
    floor = with_book()
    floor.do("ann", stop("ask", 102, 5, takes_profit=True))  # seq 21
    floor.do("ann", stop("bid", 98, 5, takes_profit=True))
    floor.do("ann", stop("bid", 102, 5))
    assert triggered(floor, "bob", market("bid", 50)) == []  # at 101
    assert triggered(floor, "bob", market("bid", 1)) == [21, 23]  # at 102
    assert triggered(floor, "bob", market("ask", 60)) == [22]  # at 99 and 98


def test_orders_that_take_a_profit_and_stops_follow_in_the_order_of_their_prices():
    floor = with_book()
    floor.do("ann", stop("bid", 104, 1))  # seq 21
    floor.do("ann", stop("ask", 103, 1, takes_profit=True))
    floor.do("ann", stop("ask", 104, 1, takes_profit=True, price=104.0))
    assert triggered(floor, "bob", bid(105, 250, time_in_force="ioc")) == [22, 21, 23]


@pytest.mark.parametrize(
    ("side", "trigger", "meets"),
    [("bid", 101, 1), ("bid", 100, 0), ("ask", 101, 1), ("ask", 102, 0)],
)
def test_a_profit_that_the_last_fill_offers_is_taken_at_once(side, trigger, meets):
    floor = with_book()
    floor.do("bob", market("bid", 1))  # at 101
    assert len(triggered(floor, "ann", stop(side, trigger, 2, takes_profit=True))) == meets


def test_orders_that_take_a_profit_wait_beyond_a_restart():
    floor = with_book()
    floor.do("ann", stop("ask", 102, 5, takes_profit=True))
    floor = restarted(floor)
    assert triggered(floor, "bob", market("bid", 51)) == [21]


def test_a_stop_limit_order_rests_at_its_limit():
    floor = with_book()
    floor.do("ann", stop("ask", 99, 60, price=99.0))
    floor.do("bob", market("ask", 1))
    assert floor.exchange.markets["COIN"].book.best_ask == (99, 11)
    (listed,) = floor.do("ann", orders())[-1].reports
    assert (listed.status, listed.remaining) == ("partiallyFilled", 11)


@pytest.mark.parametrize(
    ("side", "trigger"), [("bid", 101), ("bid", 100), ("ask", 101), ("ask", 150)]
)
def test_a_trigger_that_the_last_fill_meets_takes_effect_at_once(side, trigger):
    floor = with_book()
    floor.do("bob", market("bid", 1))  # at 101
    reports = [
        e for e in floor.do("ann", stop(side, trigger, 2, "s")) if isinstance(e, OrderReport)
    ]
    own = [(r.ref, r.status) for r in reports if r.user_id == "ann"]
    assert own == [(None, "triggered"), ("s", "filled")]
    assert floor.told("ann", orders("o")) == [("ann", "o", "orders", [])]


def test_waiting_orders_are_open_orders():
    floor = with_book()
    floor.do("ann", stop("bid", 105, 1))
    floor.do("ann", stop("ask", 95, 1, price=94.0))
    assert [r.status for r in floor.do("ann", orders())[0].reports] == ["untriggered"] * 2
    floor = restarted(floor)
    assert floor.told("ann", delete_all("d", type="bid")) == [
        ("ann", "d", "deletedAll", 1),
        ("ann", None, "cancelled/user", 21, 1, 0),
    ]
    assert triggered(floor, "bob", market("ask", 500)) == [22]
    bounded = Floor(open_orders_max=1)
    bounded.do("ann", stop("bid", 105, 1))
    assert bounded.code("ann", stop("bid", 105, 1)) == "too_many_orders"


def test_the_last_price_survives_a_restart():
    floor = with_book()
    floor.do("bob", market("bid", 1))
    floor = restarted(floor)
    assert triggered(floor, "ann", stop("bid", 101, 1)) == [22]


# ---- good till time ------------------------------------------------------------------------------


def test_an_order_expires_at_its_time_before_any_later_command():
    floor = Floor()
    floor.do("ann", ask(10, 5, expire_time=T0 + 10))
    floor.now_ms = T0 + 9
    assert floor.brief("bob", bid(10, 1))[-2][2] == "filled"
    floor.now_ms = T0 + 10
    assert floor.brief("bob", bid(10, 1, "r")) == [
        ("gone", 3, 0, 1, 4, "expired", "book", 0),
        ("ann", None, "cancelled/expired", 1, 4, 10),
        ("accepted", 4),
        ("rested", 4, 1, 0, 1),
        ("bob", "r", "open", 4, 1, 0),
    ]


def test_a_waiting_stop_order_expires_too():
    floor = Floor()
    floor.do("ann", stop("bid", 10, 5, expire_time=T0 + 10))
    floor.now_ms = T0 + 10
    assert [type(e).__name__ for e in finished(floor.exchange.expire(T0 + 10))] == [
        *("OrderCancelled", "OrderReport"),
    ]
    assert floor.told("ann", orders("o")) == [("ann", "o", "orders", [])]


@pytest.mark.parametrize(
    "terms",
    [
        {"expire_time": T0},
        {"expire_time": T0 + 10, "time_in_force": "ioc"},
        {"expire_time": T0 + 10, "time_in_force": "gtc"},
        {"time_in_force": "gtt"},
    ],
)
def test_a_time_that_makes_no_sense_is_refused(terms):
    assert Floor().code("ann", bid(10, 1, **terms)) == "invalid_order"


# ---- icebergs ------------------------------------------------------------------------------------


def test_an_iceberg_shows_a_slice_and_queues_behind_the_others_with_the_next():
    floor = Floor()
    floor.do("ann", ask(10, 10, display=4))
    floor.do("bob", ask(10, 3))
    book = floor.exchange.markets["COIN"].book
    assert book.best_ask == (10, 7)
    fills = [e for e in floor.do("cat", bid(10, 9)) if isinstance(e, OrderFilled)]
    assert [(f.maker.seq, f.quantity, f.level_quantity, f.refilled) for f in fills] == [
        *((1, 4, 7, True), (2, 3, 4, False), (1, 2, 2, False)),
    ]
    assert book.best_ask == (10, 2)
    again = restarted(floor)
    assert again.exchange.markets["COIN"].book.best_ask == (10, 2)
    fills = [e for e in again.do("cat", bid(10, 5)) if isinstance(e, OrderFilled)]
    assert [(f.quantity, f.maker_remaining) for f in fills] == [(2, 2), (2, 0)]


def test_an_iceberg_matches_with_its_whole_amount_first():
    floor = Floor()
    floor.do("bob", ask(10, 6))
    floor.do("ann", bid(10, 10, display=3))
    assert floor.exchange.markets["COIN"].book.best_bid == (10, 3)
    (listed,) = floor.do("ann", orders())[0].reports
    assert listed.remaining == 4


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"amount": 5, "display": 6.0}, "invalid_amount"),
        ({"amount": 5, "display": 0.5}, "invalid_amount"),
        ({"amount": 101, "display": 1.0}, "invalid_amount"),
        ({"amount": 5, "display": 1.0, "time_in_force": "ioc"}, "invalid_order"),
    ],
)
def test_a_display_that_makes_no_sense_is_refused(terms, code):
    floor = Floor()
    assert floor.code("ann", bid(10, terms.pop("amount"), **terms)) == code
    assert floor.brief("ann", bid(10, 100, display=1.0))[-1][2] == "open"


# ---- by total, fill or kill ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "total", "bought", "status"),
    [
        ("bid", 101, 1, "filled"),
        ("bid", 201.9, 1, "filled"),
        ("bid", 50 * 101 + 102, 51, "filled"),
        ("bid", 100, 0, "cancelled/total"),
        ("bid", 1e9, 500, "cancelled/no_liquidity"),
        ("ask", 99, 1, "filled"),
        ("ask", 197, 1, "filled"),
        ("ask", 198, 2, "filled"),
    ],
)
def test_an_order_by_total_trades_the_whole_lots_that_it_pays_for(side, total, bought, status):
    floor = with_book()
    (reply,) = [
        e for e in floor.do("ann", by_total(side, total, "r")) if getattr(e, "ref", 0) == "r"
    ]
    said = reply.status if reply.reason is None else f"{reply.status}/{reply.reason}"
    assert (reply.order.quantity, reply.remaining, said) == (bought, 0, status)
    assert reply.notional <= total


def test_a_retry_of_an_order_by_total_trades_nothing():
    floor = with_book()
    first = floor.told("ann", by_total("bid", 300, "r", client_order_id="t"))
    again = floor.told("ann", by_total("bid", 300, "r", client_order_id="t"))
    assert again == [e for e in first if e[:2] == ("ann", "r")]
    assert floor.code("ann", by_total("bid", 301, client_order_id="t")) == (
        "duplicate_client_order_id"
    )


def test_a_total_is_the_decimal_that_it_shows():
    floor = Floor()
    floor.do("bob", ask(0.1, 9, security="FINE"))
    events = floor.do("ann", by_total("bid", 0.3, security="FINE"))
    assert sum(e.quantity for e in events if isinstance(e, FillReport) and e.role == "taker") == (
        3 * 10_000
    )


def test_a_market_order_may_be_all_or_nothing():
    floor = with_book()
    assert floor.told("ann", market("bid", 501, "r", time_in_force="fok")) == [
        ("ann", "r", "cancelled/fok", 21, 501, 0)
    ]
    told = floor.told("ann", market("bid", 500, "r", time_in_force="fok"))
    assert next(e for e in told if e[:2] == ("ann", "r"))[2] == "filled"


# ---- decrement -----------------------------------------------------------------------------------


def test_decrement_takes_the_smaller_from_both_and_trades_nothing():
    floor = Floor()
    floor.do("ann", ask(10, 5))
    assert floor.brief("ann", bid(10, 3, "r", self_trade="decrement")) == [
        ("accepted", 2),
        ("amended", 2, 0, 1, 10, 2, 2, "self_trade", "stays"),
        ("gone", 2, 1, 2, 3, "self_trade", "incoming"),
        ("ann", "r", "cancelled/self_trade", 2, 3, 0),
        ("ann", None, "open", 1, 2, 0),
    ]
    assert floor.brief("ann", bid(10, 6, "s", self_trade="decrement")) == [
        ("accepted", 3),
        ("gone", 3, 0, 1, 2, "self_trade", "book", 0),
        ("amended", 3, 1, 3, 10, 4, 4, "self_trade", "held"),
        ("rested", 3, 4, 0, 4),
        ("ann", "s", "open", 3, 4, 0),
        ("ann", None, "cancelled/self_trade", 1, 2, 0),
    ]


def test_a_total_that_its_own_orders_used_up_ends_like_any_other_order():
    floor = Floor()
    floor.do("ann", ask(10, 5))
    assert floor.brief("ann", by_total("bid", 30, "r", self_trade="decrement")) == [
        ("accepted", 2),
        ("amended", 2, 0, 1, 10, 2, 2, "self_trade", "stays"),
        ("gone", 2, 1, 2, 0, "self_trade", "incoming"),
        ("ann", "r", "cancelled/self_trade", 2, 0, 0),
        ("ann", None, "open", 1, 2, 0),
    ]
    floor.do("bob", ask(11, 5))
    (reply,) = [e for e in floor.told("ann", by_total("bid", 31, "s", self_trade="decrement"))
                if e[1] == "s"]  # fmt: skip
    assert reply[2:] == ("filled", 4, 0, 11)
    (reply,) = [e for e in floor.told("ann", by_total("bid", 3, "t", self_trade="decrement"))
                if e[1] == "t"]  # fmt: skip
    assert reply[2:] == ("cancelled/total", 5, 0, 0)
