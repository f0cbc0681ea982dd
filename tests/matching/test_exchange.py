"""The rules of the market: one command in, the whole list of its events out."""

from __future__ import annotations

import pytest
from trading import (
    HOUR_MS,
    T0,
    Floor,
    as_json,
    ask,
    bid,
    brief,
    delete,
    delete_all,
    market,
    open_order,
    orders,
    recovered,
    refusal,
    restarted,
)

from fastbook_server.gateway import encode, reports
from fastbook_server.values.events import (
    CommandRefused,
    FillReport,
    OrderAccepted,
    OrderFilled,
    OrderReport,
    Traded,
)
from fastbook_server.values.instruments import Instrument
from fastbook_wire.commands import GetOrder
from fastbook_wire.grid import Grid

# ---- add -----------------------------------------------------------------------------------------


def test_an_order_that_meets_nobody_rests():
    assert Floor().brief("ann", bid(10, 5, "1")) == [
        ("accepted", 1),
        ("rested", 1, 5, 0, 5),
        ("ann", "1", "open", 1, 5, 0),
    ]


def test_a_taker_meets_the_best_price_first_and_the_oldest_within_it():
    floor = Floor()
    for user, price, amount in (("b", 12, 1), ("c", 11, 2), ("d", 11, 3)):
        floor.do(user, ask(price, amount))
    assert floor.brief("ann", bid(12, 5, "1")) == [
        ("accepted", 4),
        ("fill", 4, 0, 2, 11, 2, 0, 3),
        ("fill", 4, 1, 3, 11, 3, 0, 0),
        ("trade", 4, 5, 55),
        ("ann", "1", "filled", 4, 0, 55),
        ("c", None, "filled", 2, 0, 22, 11, 2),
        ("d", None, "filled", 3, 0, 33, 11, 3),
    ]


def test_a_partly_filled_taker_rests_with_the_rest_and_hears_one_reply():
    floor = Floor()
    floor.do("bob", ask(10, 2))
    assert floor.brief("ann", bid(10, 5, "1")) == [
        ("accepted", 2),
        ("fill", 2, 0, 1, 10, 2, 0, 0),
        ("rested", 2, 3, 20, 3),
        ("trade", 2, 2, 20),
        ("ann", "1", "partiallyFilled", 2, 3, 20),
        ("bob", None, "filled", 1, 0, 20, 10, 2),
    ]


def test_a_maker_hears_of_each_of_its_fills_with_what_it_has_cost_in_all():
    floor = Floor()
    floor.do("bob", ask(10, 5))
    reports = [floor.brief("ann", bid(11, amount))[-1] for amount in (1, 3, 1)]
    assert reports == [
        ("bob", None, "partiallyFilled", 1, 4, 10, 10, 1),
        ("bob", None, "partiallyFilled", 1, 1, 40, 10, 3),
        ("bob", None, "filled", 1, 0, 50, 10, 1),
    ]


def test_a_partly_filled_maker_keeps_its_place():
    floor = Floor()
    floor.do("bob", ask(10, 5))
    floor.do("cat", ask(10, 5))
    floor.do("ann", bid(10, 1))
    assert floor.brief("ann", market("bid", 6))[1:3] == [
        ("fill", 4, 0, 1, 10, 4, 0, 5),
        ("fill", 4, 1, 2, 10, 2, 3, 3),
    ]


def test_ioc_cancels_what_does_not_fill_at_once():
    floor = Floor()
    floor.do("bob", ask(10, 2))
    assert floor.brief("ann", bid(10, 5, "1", time_in_force="ioc")) == [
        ("accepted", 2),
        ("fill", 2, 0, 1, 10, 2, 0, 0),
        ("gone", 2, 0, 2, 3, "ioc", "incoming"),
        ("trade", 2, 2, 20),
        ("ann", "1", "cancelled/ioc", 2, 3, 20),
        ("bob", None, "filled", 1, 0, 20, 10, 2),
    ]


def test_fok_that_cannot_fill_whole_is_cancelled_untouched():
    floor = Floor()
    floor.do("bob", ask(10, 2))
    assert floor.brief("ann", bid(10, 3, "1", time_in_force="fok")) == [
        ("accepted", 2),
        ("gone", 2, 0, 2, 3, "fok", "incoming"),
        ("ann", "1", "cancelled/fok", 2, 3, 0),
    ]


def test_fok_that_can_fill_whole_does():
    floor = Floor()
    floor.do("bob", ask(10, 2))
    floor.do("bob", ask(11, 2))
    reply = ("ann", "1", "filled", 3, 0, 31)
    assert reply in floor.brief("ann", bid(11, 3, "1", time_in_force="fok"))


def test_a_market_order_never_rests():
    floor = Floor()
    floor.do("bob", bid(10, 2))
    assert floor.brief("ann", market("ask", 5, "1")) == [
        ("accepted", 2),
        ("fill", 2, 0, 1, 10, 2, 0, 0),
        ("gone", 2, 0, 2, 3, "no_liquidity", "incoming"),
        ("trade", 2, 2, 20),
        ("ann", "1", "cancelled/no_liquidity", 2, 3, 20),
        ("bob", None, "filled", 1, 0, 20, 10, 2),
    ]


def test_a_market_order_that_meets_nobody_is_cancelled_without_a_trade():
    assert Floor().brief("ann", market("ask", 5, "1")) == [
        ("accepted", 1),
        ("gone", 1, 0, 1, 5, "no_liquidity", "incoming"),
        ("ann", "1", "cancelled/no_liquidity", 1, 5, 0),
    ]


def test_post_only_that_would_cross_is_refused_and_takes_no_number():
    floor = Floor()
    floor.do("bob", ask(10, 2))
    assert floor.brief("ann", bid(10, 1, "1", post_only=True)) == [
        ("ann", "1", "refused", "post_only_would_cross")
    ]
    assert floor.brief("ann", bid(9, 1, "2", post_only=True)) == [
        ("accepted", 2),
        ("rested", 2, 1, 0, 1),
        ("ann", "2", "open", 2, 1, 0),
    ]


# ---- self-trade ----------------------------------------------------------------------------------


def own_orders_ahead(mode: str) -> list[tuple]:
    """Let ann's bid of 5 meet her own ask of 2, with bob's ask of 2 behind it."""
    floor = Floor()
    floor.do("ann", ask(10, 2))
    floor.do("bob", ask(10, 2))
    return floor.brief("ann", bid(10, 5, "1", self_trade=mode))


def test_self_trade_allow_trades():
    assert own_orders_ahead("allow") == [
        ("accepted", 3),
        ("fill", 3, 0, 1, 10, 2, 0, 2),
        ("fill", 3, 1, 2, 10, 2, 0, 0),
        ("rested", 3, 1, 40, 1),
        ("trade", 3, 4, 40),
        ("ann", "1", "partiallyFilled", 3, 1, 40),
        ("ann", None, "filled", 1, 0, 20, 10, 2),
        ("bob", None, "filled", 2, 0, 20, 10, 2),
    ]


def test_self_trade_cancel_newest_ends_the_taker():
    assert own_orders_ahead("cancelNewest") == [
        ("accepted", 3),
        ("gone", 3, 0, 3, 5, "self_trade", "incoming"),
        ("ann", "1", "cancelled/self_trade", 3, 5, 0),
    ]


def test_self_trade_cancel_oldest_ends_the_maker_and_goes_on():
    assert own_orders_ahead("cancelOldest") == [
        ("accepted", 3),
        ("gone", 3, 0, 1, 2, "self_trade", "book", 2),
        ("fill", 3, 0, 2, 10, 2, 0, 0),
        ("rested", 3, 3, 20, 3),
        ("trade", 3, 2, 20),
        ("ann", "1", "partiallyFilled", 3, 3, 20),
        ("ann", None, "cancelled/self_trade", 1, 2, 0),
        ("bob", None, "filled", 2, 0, 20, 10, 2),
    ]


def test_self_trade_cancel_both_ends_both():
    assert own_orders_ahead("cancelBoth") == [
        ("accepted", 3),
        ("gone", 3, 0, 1, 2, "self_trade", "book", 2),
        ("gone", 3, 1, 3, 5, "self_trade", "incoming"),
        ("ann", "1", "cancelled/self_trade", 3, 5, 0),
        ("ann", None, "cancelled/self_trade", 1, 2, 0),
    ]


def test_a_user_whose_last_order_was_cancelled_by_their_own_keeps_being_themselves():
    """The account must survive the moment in which it has no open order."""
    floor = Floor()
    floor.do("ann", ask(10, 2))
    floor.do("ann", bid(10, 5, self_trade="cancelOldest"))
    floor.do("bob", ask(20, 1))  # would take over a number that was given back
    assert floor.brief("ann", ask(10, 5, "1", self_trade="cancelNewest"))[-1] == (
        *("ann", "1", "cancelled/self_trade", 4, 5, 0),
    )


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (bid(10, 1, security="X"), "unknown_security", "security: expected one of COIN, FINE"),
        (bid(0, 1), "invalid_price", "price 0 is not positive"),
        (bid(-1.0, 1), "invalid_price", "price -1.0 is not positive"),
        (bid(1.5, 1), "invalid_price", "price 1.5 is not a multiple of tickSize 1"),
        (
            bid(100.005, 1, security="FINE"),
            "invalid_price",
            "price 100.005 is not a multiple of tickSize 0.01",
        ),
        (bid(1e16, 1), "invalid_price", "price 1e+16 is more than the largest"),
        (bid(1e308, 1), "invalid_price", "price 1e+308 is more than the largest"),
        (bid(None, 1), "invalid_price", "price: a limit order needs one"),
        (bid(1, 0), "invalid_amount", "amount 0 is not positive"),
        (bid(1, -0.0), "invalid_amount", "amount -0.0 is not positive"),
        (bid(1, 0.5), "invalid_amount", "amount 0.5 is not a multiple of lotSize 1"),
        (bid(1, 5e-324), "invalid_amount", "amount 5e-324 is not a multiple of lotSize 1"),
        (bid(1, 1e16), "invalid_amount", "amount 1e+16 is more than the largest"),
        (market("bid", 1, price=1.0), "invalid_order", "price: a market order takes none"),
        (market("bid", 1, time_in_force="gtc"), "invalid_order", "timeInForce: a market order"),
        (market("bid", 1, expire_time=T0 + 9), "invalid_order", "expireTime: a market order"),
        (market("bid", 1, post_only=True), "invalid_order", "postOnly: a market order never rests"),
        (bid(1, 1, post_only=True, time_in_force="ioc"), "invalid_order", "postOnly: expected"),
        (bid(1, 1, post_only=True, time_in_force="fok"), "invalid_order", "postOnly: expected"),
        (delete_all(security="X"), "unknown_security", "security: expected one of COIN, FINE"),
        (delete(id="x"), "unknown_order", "id: you have no open order with 'x'"),
        (
            delete(client_order_id="x"),
            "unknown_order",
            "clientOrderId: you have no open order with 'x'",
        ),
    ],
)
def test_what_a_rule_refuses_has_its_code_and_names_the_field(command, code, message):
    (event,) = Floor().do("ann", command)
    got_code, got_message = refusal(event)
    assert (got_code, got_message[: len(message)]) == (code, message)


def test_a_level_holds_no_more_than_a_double_can_tell_to_the_lot():
    floor = Floor()
    assert floor.brief("bob", bid(1, 2.0**52 - 5))[-1][2] == "open"
    assert floor.code("ann", bid(1, 6)) == "invalid_amount"
    assert floor.brief("ann", bid(1, 5))[-1][2] == "open"
    assert floor.code("ann", bid(1, 1)) == "invalid_amount"
    assert floor.brief("ann", bid(2, 2.0**52))[-1][2] == "open"


def test_a_refused_command_takes_no_number():
    floor = Floor()
    floor.do("ann", bid(10, 1))
    for command in (bid(1.5, 1), delete(id="x"), delete_all(), market("bid", 0.5)):
        floor.do("bob", command)
    assert floor.brief("ann", bid(10, 1))[0] == ("accepted", 2)


def test_a_halted_security_takes_deletes_only():
    halted = Instrument(1, "COIN", Grid.parse("1"), Grid.parse("1"), "halted")
    before = Floor()
    order_id = before.order_id("ann", bid(10, 1, client_order_id="a"))
    state = before.exchange.markets["COIN"].open[1]
    resting = open_order(state)
    past = recovered(halted, seqs={"COIN": 1}, open_orders=(resting,))
    floor = Floor(past)
    assert floor.code("ann", bid(10, 1)) == "halted"
    assert floor.code("ann", market("ask", 1)) == "halted"
    assert floor.brief("ann", bid(10, 1, client_order_id="a")) == [("ann", None, "open", 1, 1, 0)]
    assert floor.brief("ann", delete("d", id=order_id)) == [
        ("gone", 2, 0, 1, 1, "user", "book", 0),
        ("ann", "d", "cancelled/user", 1, 1, 0),
    ]


def test_open_orders_are_bounded_for_each_user_alone():
    floor = Floor(open_orders_max=2)
    for _ in range(2):
        floor.do("ann", bid(10, 1))
    assert floor.code("ann", bid(10, 1)) == "too_many_orders"
    assert floor.brief("bob", bid(10, 1))[-1][2] == "open"
    floor.do("bob", market("ask", 1))
    assert floor.brief("ann", bid(10, 1))[-1][2] == "open"


def test_open_orders_are_bounded_in_all():
    floor = Floor(open_orders_total_max=2)
    floor.do("ann", bid(10, 1))
    floor.do("bob", bid(10, 1))
    assert floor.code("cid", bid(10, 1)) == "overloaded"
    floor.do("cid", market("ask", 1))
    assert floor.brief("cid", bid(10, 1))[-1][2] == "open"
    assert floor.code("ann", bid(10, 1)) == "overloaded"
    floor.do("bob", delete_all())
    assert floor.brief("ann", bid(10, 1))[-1][2] == "open"


def test_an_order_that_never_rests_needs_no_room_among_the_open_ones():
    floor = Floor(open_orders_max=1)
    floor.do("bob", ask(10, 5))
    floor.do("ann", bid(9, 1))
    replies = [
        floor.brief("ann", command)[-2]
        for command in (
            market("bid", 1),
            bid(10, 1, time_in_force="ioc"),
            bid(10, 1, time_in_force="fok"),
        )
    ]
    assert [r[2] for r in replies] == ["filled"] * 3
    assert floor.code("ann", bid(10, 1)) == "too_many_orders"


# ---- delete, deleteAll, orders -------------------------------------------------------------------


def test_an_order_is_deleted_by_either_of_its_ids_once():
    floor = Floor()
    order_id = floor.order_id("ann", bid(10, 5))
    floor.do("ann", bid(10, 6, client_order_id="a"))
    assert floor.brief("ann", delete("1", id=order_id)) == [
        ("gone", 3, 0, 1, 5, "user", "book", 6),
        ("ann", "1", "cancelled/user", 1, 5, 0),
    ]
    assert floor.brief("ann", delete("2", client_order_id="a")) == [
        ("gone", 4, 0, 2, 6, "user", "book", 0),
        ("ann", "2", "cancelled/user", 2, 6, 0),
    ]
    assert floor.code("ann", delete(id=order_id)) == "unknown_order"
    assert floor.code("ann", delete(client_order_id="a")) == "unknown_order"


def test_ids_are_not_confirmed_to_strangers():
    floor = Floor()
    order_id = floor.order_id("ann", bid(10, 5))
    foreign, never_was = (
        refusal(floor.do("bob", delete(id=text))[0])
        for text in (order_id, order_id.replace("1", "2"))
    )
    assert foreign[0] == never_was[0] == "unknown_order"
    assert foreign[1].replace(order_id, "ID") == never_was[1].replace(
        order_id.replace("1", "2"), "ID"
    )
    assert floor.brief("ann", orders()) == [("ann", None, "orders", [1])]


def test_an_id_that_differs_in_any_bit_is_unknown():
    floor = Floor()
    order_id = floor.order_id("ann", bid(10, 5))
    floor.do("ann", bid(10, 5, security="FINE"))
    value = int(order_id.replace("-", ""), 16)
    others = [order_id.upper(), order_id.replace("-", ""), f" {order_id[1:]}", order_id + " "]
    for position in range(128):
        digits = f"{value ^ 1 << position:032x}"
        others.append("-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20])))
        others[-1] += "-" + digits[20:]
    assert {floor.code("ann", delete(id=other)) for other in others} == {"unknown_order"}
    assert floor.brief("ann", delete(id=order_id))[-1][2] == "cancelled/user"


def test_delete_all_takes_one_number_per_security_and_counts_within_it():
    floor = Floor()
    floor.do("ann", bid(10, 5))
    floor.do("bob", bid(10, 1))
    floor.do("ann", ask(11, 6))
    floor.do("ann", bid(1, 1, security="FINE"))
    assert floor.brief("ann", delete_all("d")) == [
        ("ann", "d", "deletedAll", 3),
        ("gone", 4, 0, 1, 5, "user", "book", 1),
        ("gone", 4, 1, 3, 6, "user", "book", 0),
        ("gone", 2, 0, 1, 10_000, "user", "book", 0),
        ("ann", None, "cancelled/user", 1, 5, 0),
        ("ann", None, "cancelled/user", 3, 6, 0),
        ("ann", None, "cancelled/user", 1, 10_000, 0),
    ]
    assert floor.brief("bob", orders("o")) == [("bob", "o", "orders", [2])]


def test_delete_all_of_one_security_leaves_the_others():
    floor = Floor()
    floor.do("ann", bid(10, 5))
    floor.do("ann", bid(1, 1, security="FINE"))
    assert floor.brief("ann", delete_all("d", "FINE")) == [
        ("ann", "d", "deletedAll", 1),
        ("gone", 2, 0, 1, 10_000, "user", "book", 0),
        ("ann", None, "cancelled/user", 1, 10_000, 0),
    ]
    assert floor.brief("ann", orders()) == [("ann", None, "orders", [1])]


def test_delete_all_of_one_side_leaves_the_other():
    floor = Floor()
    floor.do("ann", bid(10, 5))
    floor.do("ann", ask(11, 6))
    floor.do("ann", ask(1, 1, security="FINE"))
    assert floor.brief("ann", delete_all("d", "COIN", type="ask")) == [
        ("ann", "d", "deletedAll", 1),
        ("gone", 3, 0, 2, 6, "user", "book", 0),
        ("ann", None, "cancelled/user", 2, 6, 0),
    ]
    assert floor.brief("ann", delete_all("e", type="ask"))[0] == ("ann", "e", "deletedAll", 1)
    assert floor.brief("ann", delete_all("f", type="ask")) == [("ann", "f", "deletedAll", 0)]
    assert floor.brief("ann", orders()) == [("ann", None, "orders", [1])]


def test_delete_all_of_nothing_takes_no_number():
    floor = Floor()
    assert floor.brief("ann", delete_all("d")) == [("ann", "d", "deletedAll", 0)]
    assert floor.brief("ann", bid(10, 5))[0] == ("accepted", 1)


def test_orders_lists_the_users_own_open_orders_oldest_first():
    floor = Floor()
    for user, price in (("ann", 10), ("bob", 10), ("ann", 12), ("ann", 8)):
        floor.do(user, bid(price, 5))
    floor.do("bob", market("ask", 6))  # fills 12 whole, and 1 of ann's 10
    (event,) = floor.do("ann", orders("o"))
    assert brief(event) == ("ann", "o", "orders", [1, 4])
    assert [r.remaining for r in event.reports] == [4, 5]


# ---- restart -------------------------------------------------------------------------------------


def test_a_restart_keeps_places_fills_ids_and_retries():
    floor = Floor()
    floor.do("bob", ask(10, 5, client_order_id="b"))
    floor.do("cat", ask(10, 5))
    floor.do("ann", bid(10, 2, client_order_id="a"))
    (mine,) = (
        e.order.id for e in floor.events if isinstance(e, OrderAccepted) and e.order.seq == 2
    )
    again = restarted(floor, epoch=2)
    assert again.brief("bob", ask(10, 5, "b", client_order_id="b")) == [
        ("bob", "b", "partiallyFilled", 1, 3, 20)
    ]
    assert again.brief("ann", bid(10, 2, "a", client_order_id="a")) == [
        ("ann", "a", "filled", 3, 0, 20)
    ]
    assert again.brief("dan", market("bid", 4, "d")) == [
        ("accepted", 4),
        ("fill", 4, 0, 1, 10, 3, 0, 5),
        ("fill", 4, 1, 2, 10, 1, 4, 4),
        ("trade", 4, 4, 40),
        ("dan", "d", "filled", 4, 0, 40),
        ("bob", None, "filled", 1, 0, 50, 10, 3),
        ("cat", None, "partiallyFilled", 2, 4, 10, 10, 1),
    ]
    assert again.brief("cat", delete(id=mine))[-1] == ("cat", None, "cancelled/user", 2, 4, 10)


def test_orders_are_listed_by_age_over_all_securities_also_after_a_restart():
    floor = Floor()
    for step, security in enumerate(("COIN", "COIN", "FINE", "COIN", "FINE")):
        floor.now_ms = T0 + step // 2
        floor.do("ann", bid(1, 1, security=security))
    listed = [
        [(r.order.time_ms - T0, r.order.seq) for r in where.do("ann", orders())[0].reports]
        for where in (floor, restarted(floor))
    ]
    assert listed == [[(0, 1), (0, 2), (1, 1), (1, 3), (2, 2)]] * 2


def test_an_order_that_is_older_than_its_client_order_id_lives_is_restored_with_it():
    floor = Floor()
    floor.do("bob", ask(10, 5, client_order_id="b"))
    floor.now_ms += 48 * HOUR_MS
    floor.do("cat", ask(10, 5))
    again = restarted(floor)
    assert again.code("bob", ask(11, 5, client_order_id="b")) == "duplicate_client_order_id"
    assert again.brief("bob", delete(client_order_id="b"))[-1][2] == "cancelled/user"


def test_ids_of_one_start_are_never_given_out_by_another():
    """The stamps may be the same, and so may the number: the epoch is not."""
    floor = Floor()
    first = floor.order_id("ann", bid(10, 5))
    assert Floor(recovered(epoch=2)).order_id("ann", bid(10, 5)) != first


def test_average_prices_and_totals_are_exact():
    floor = Floor()
    for price, amount in ((0.1, 0.1), (0.2, 0.2)):
        floor.do("bob", ask(price, amount, security="FINE"))
    happened = floor.do("ann", bid(0.2, 0.3, security="FINE"))
    trade = next(e for e in happened if isinstance(e, Traded))
    reply = next(e for e in happened if isinstance(e, OrderReport))
    frame = as_json(reports.trades("FINE", 3, None, [trade]))["trades"][0]
    assert [frame[k] for k in ("price", "amount", "total")] == [0.5 / 3, 0.3, 0.05]
    assert as_json(encode.private(reply))["order"]["avgPrice"] == 0.5 / 3


# ---- fills -------------------------------------------------------------------------------------


def test_each_fill_is_told_to_both_the_takers_before_the_reply_the_makers_before_the_new_state():
    floor = Floor()
    floor.do("bob", ask(10, 2))
    floor.do("cat", ask(11, 5))
    assert floor.told("ann", bid(11, 4, "r")) == [
        ("ann", "taker", 1, 3, 10, 2, 2),
        ("ann", "taker", 2, 3, 11, 2, 4),
        ("ann", "r", "filled", 3, 0, 42),
        ("bob", "maker", 1, 1, 10, 2, 2),
        ("bob", None, "filled", 1, 0, 20, 10, 2),
        ("cat", "maker", 2, 2, 11, 2, 2),
        ("cat", None, "partiallyFilled", 2, 3, 22, 11, 2),
    ]


def test_a_fill_says_its_own_time_and_seq_not_those_of_its_order():
    floor = Floor()
    floor.do("bob", ask(10, 2))
    floor.now_ms += 5_000
    reports = [e for e in floor.do("ann", bid(10, 1)) if isinstance(e, FillReport)]
    assert [(e.seq, e.time_ms, e.order.time_ms) for e in reports] == [
        (2, T0 + 5_000, T0 + 5_000),
        (2, T0 + 5_000, T0),
    ]


def test_who_trades_with_himself_is_told_both_sides_of_each_fill_before_the_reply():
    floor = Floor()
    floor.do("ann", ask(10, 2))
    floor.do("bob", ask(10, 1))
    floor.do("ann", ask(11, 1))
    assert [r[:3] for r in floor.told("ann", bid(11, 4, "r"))] == [
        ("ann", "taker", 1),
        ("ann", "maker", 1),
        ("ann", "taker", 2),
        ("ann", "taker", 3),
        ("ann", "maker", 3),
        ("ann", "r", "filled"),
        ("ann", None, "filled"),
        ("bob", "maker", 2),
        ("bob", None, "filled"),
        ("ann", None, "filled"),
    ]


def test_fills_are_numbered_by_security_without_gaps_over_restarts():
    floor = Floor()

    def trade(security: str) -> list[int]:
        floor.do("bob", ask(10, 2, security=security))
        events = floor.do("ann", bid(10, 1, security=security))
        return [e.fill_id for e in events if isinstance(e, OrderFilled)]

    assert [trade(s) for s in ("COIN", "COIN", "FINE")] == [[1], [2], [1]]
    floor = restarted(floor)
    assert [trade(s) for s in ("COIN", "FINE", "COIN")] == [[3], [2], [4]]


# ---- asking for one order ------------------------------------------------------------------------


def get(ref: str | None = None, **by: str) -> GetOrder:
    return GetOrder(ref=ref, **by)


def test_an_open_order_is_told_by_either_id():
    floor = Floor()
    order_id = floor.order_id("ann", bid(10, 5, client_order_id="a"))
    floor.do("bob", ask(10, 2))
    expected = [("ann", "r", "partiallyFilled", 1, 3, 20)]
    assert floor.brief("ann", get("r", id=order_id)) == expected
    assert floor.brief("ann", get("r", client_order_id="a")) == expected


def test_an_ended_order_is_told_by_its_client_order_id_and_takes_no_seq():
    floor = Floor()
    floor.do("ann", bid(10, 5, client_order_id="a"))
    floor.do("ann", delete(client_order_id="a"))
    assert floor.brief("ann", get("r", client_order_id="a")) == [
        ("ann", "r", "cancelled/user", 1, 5, 0)
    ]
    assert floor.exchange.markets["COIN"].seq == 2


def test_what_is_not_remembered_is_refused_and_the_history_may_know_its_id():
    floor = Floor()
    order_id = floor.order_id("ann", bid(10, 5))
    for user_id, command, looked_up in (
        ("bob", get("r", id=order_id), order_id),
        ("ann", get("r", id="x"), "x"),
        ("ann", get("r", client_order_id="x"), None),
    ):
        (refused,) = floor.do(user_id, command)
        assert isinstance(refused, CommandRefused)
        assert (refused.code, refused.of_order, refused.ref) == ("unknown_order", True, "r")
        assert refused.order_id == looked_up
