"""Netting: what a batch leaves of the rows that its events would have touched."""

from __future__ import annotations

from decimal import Decimal
from typing import get_args

import pytest

from fastbook_server.store.rows import net
from fastbook_server.values import ids
from fastbook_server.values.events import (
    BalanceChanged,
    CancelRuleChanged,
    OperatorActed,
    Order,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderFilled,
    OrderHeld,
    OrderRested,
    OrdersListed,
    OrderTriggered,
    StoredEvent,
    Traded,
    changed,
)
from fastbook_server.values.instruments import Instrument
from fastbook_server.values.persisted import Batch
from fastbook_wire.grid import Grid

BTC = Instrument(1, "BTC-USD", Grid.parse("0.01"), Grid.parse("0.0001"))


def order(seq, side="bid", price=10_050, quantity=10, **more):
    key = ids.encode(1_000 + seq, 1, seq, 1, ids.Kind.ORDER)
    values = {"user_id": f"user#{seq}", "exec_type": "limit" if price else "market"} | more
    return Order(
        id=key, seq=seq, time_ms=1_000 + seq, instrument=BTC, side=side, price=price,
        quantity=quantity, **values,
    )  # fmt: skip


def rested(order, remaining=None, notional=0):
    left = order.quantity if remaining is None else remaining
    return OrderRested(order, left, notional, left, order.seq, left)


def filled(taker, maker, quantity, left, n=0, notional=None):
    cost = (maker.quantity - left) * maker.price if notional is None else notional
    return OrderFilled(
        10 + n, 5 + n, taker.seq, n, taker.time_ms, taker, maker, maker.price, quantity,
        taker.quantity - quantity, left, cost, left, left,
    )  # fmt: skip


def cancelled(seq, order, quantity, rested=True, n=0, reason="user"):
    return OrderCancelled(seq, n, 1_000 + seq, order, quantity, reason, rested, 0)


def amended(seq, before, *, price=10_050, quantity=10, remaining=None, **more):
    after = changed(before, price=price, quantity=quantity, **more)
    stays = price == before.price and quantity <= before.quantity
    left = quantity if remaining is None else remaining
    return OrderAmended(
        seq, 0, 1_000 + seq, after, before, left, 0, "user", True, stays, before.quantity,
        left if stays else 0, 0, before.seq, 0,
    )  # fmt: skip


def rows(*events):
    return net(Batch(7, 2_000, events))


def test_each_table_gets_its_columns():
    maker = order(1, "ask", 10_050, 10)
    taker = order(
        2, "bid", None, 15, time_in_force="ioc", self_trade="cancelBoth", client_order_id="c",
        withdraw_on_close=True,
    )  # fmt: skip
    trade = ids.encode(1_002, 1, 2, 1, ids.Kind.TRADE)
    got = rows(
        OrderAccepted(taker),
        filled(taker, maker, 10, 0),
        cancelled(2, taker, 5, rested=False, reason="no_liquidity"),
        Traded(trade, 2, 1_002, taker, 10, 100_500),
    )
    assert (got.number, got.time_ms) == (7, 2_000)
    assert got.orders == [
        (
            taker.id, 1_002, "user#2", "BTC-USD", "bid", "market", 0.0015, None, 2,
            "ioc", False, "cancelBoth", "c", True, None, None, None, None, None,
        )
    ]  # fmt: skip
    assert got.trades == [(trade, 1_002, "user#2", "BTC-USD", "bid", 0.001, 100.5, taker.id, 2)]
    assert got.fills == [
        (
            "BTC-USD",
            2,
            0,
            1_002,
            "bid",
            10_050,
            10,
            maker.id,
            "user#1",
            taker.id,
            "user#2",
            10,
            None,
            5,
        )
    ]
    assert got.cancellations == [
        (
            "BTC-USD", 2, 0, 1_002, taker.id, "user#2", "bid", None, 5, "no_liquidity", False,
            None,
        )
    ]  # fmt: skip
    assert got.client_orders == [("user#2", "c", taker.id, 1_002, 1_002)]
    assert (got.opened, got.changed, got.gone) == ([], [], [maker.id])
    assert (got.seqs, got.last_fills) == ({"BTC-USD": (2, 2)}, {"BTC-USD": (10, 10_050, 5)})


def one_of_each_kind():
    """Return an event of each stored kind, by kind."""
    bid, ask = order(1, client_order_id="x"), order(2, "ask", quantity=3)
    events = (
        OrderAccepted(bid),
        rested(bid),
        OrderHeld(bid),
        OrderTriggered(3, 1_003, bid),
        amended(3, bid, price=10_060),
        filled(ask, bid, 3, 7),
        Traded(ids.encode(1_002, 1, 2, 1, ids.Kind.TRADE), 2, 1_002, ask, 3, 30_150),
        cancelled(3, bid, 7),
        CancelRuleChanged("user#1", 0, None),
        OperatorActed(1_004, "halt", "BTC-USD", None, 0),
        BalanceChanged("api#ann", "USD", 1, 2, 8, 1),
    )
    return {type(event): event for event in events}


@pytest.mark.parametrize("kind", get_args(StoredEvent))
def test_no_kind_of_stored_event_is_left_out(kind):
    """A kind that joins the union fails here until it has a row."""
    event = one_of_each_kind()[kind]
    got, nothing = rows(event), rows()
    assert got != nothing
    assert (got.number, got.time_ms) == (nothing.number, nothing.time_ms)


@pytest.mark.parametrize("stranger", [object(), OrdersListed("user#1", None, ())])
def test_an_event_of_no_stored_kind_is_refused(stranger):
    with pytest.raises(AssertionError, match="unreachable"):
        rows(stranger)


def test_of_several_rules_of_a_user_the_last_one_stands():
    changes = [
        ("a", 0, None),
        ("b", 5, 9_000),
        ("a", None, 7_000),
        ("c", 1, None),
        ("c", None, None),
    ]
    got = rows(*(CancelRuleChanged(*change) for change in changes))
    assert got.cancel_rules == [("a", None, 7_000), ("b", 5, 9_000), ("c", None, None)]


def test_what_rests_is_inserted_with_all_that_it_takes_to_rebuild_it():
    bid = order(3, post_only=True, client_order_id="x", self_trade="cancelOldest")
    assert rows(OrderAccepted(bid), rested(bid, 4, 60_300)).opened == [
        (
            bid.id, 1_003, "user#3", "BTC-USD", "bid", 10_050, 10, 4, Decimal(60_300), 3,
            "gtc", True, "cancelOldest", "x", False, "limit", False, None, None, None, None, 3, 0,
            None, None, None,
        )
    ]  # fmt: skip


def test_an_order_that_comes_and_goes_never_touches_open_orders():
    bid, ask = order(1), order(2, "ask")
    for end in ([OrderAccepted(ask), filled(ask, bid, 10, 0)], [cancelled(2, bid, 10)]):
        got = rows(OrderAccepted(bid), rested(bid), *end)
        assert (got.opened, got.changed, got.gone) == ([], [], [])
        assert got.orders


def test_an_order_that_comes_and_is_filled_in_part_is_inserted_as_it_ends():
    bid, first, second = order(1), order(2, "ask", quantity=3), order(3, "ask", quantity=4)
    got = rows(
        OrderAccepted(bid), rested(bid),
        OrderAccepted(first), filled(first, bid, 3, 7),
        OrderAccepted(second), filled(second, bid, 4, 3),
    )  # fmt: skip
    assert [(row[0], row[7], row[8]) for row in got.opened] == [(bid.id, 3, Decimal(7 * 10_050))]
    assert (got.changed, got.gone) == ([], [])


def test_an_older_order_that_is_amended_comes_in_anew_and_what_was_before_is_kept():
    old = order(1, client_order_id="x")
    change = amended(5, old, quantity=4, client_order_id="y")
    got = rows(change)
    assert got.gone == [old.id]
    assert [(row[0], row[5], row[6], row[7], row[13], row[-5:]) for row in got.opened] == [
        (old.id, 10_050, 4, 4, "y", (1, 0, 10_050, 10, ["x"]))
    ]
    assert got.order_changes == [
        (
            "BTC-USD", 5, 0, 1_005, old.id, "user#1", "bid", "user", 10_050, 10, "x",
            10_050, 4, "y", 10, 4, None,
        )
    ]  # fmt: skip
    assert got.client_orders == []
    assert got.seqs == {"BTC-USD": (5, 5)}


def test_an_order_that_is_amended_and_ends_leaves_once_with_all_its_names():
    old = order(1, client_order_id="x")
    first = amended(5, old, price=10_060, client_order_id="y")
    taker = order(6, "ask")
    got = rows(first, rested(first.order), OrderAccepted(taker), filled(taker, first.order, 10, 0))
    assert (got.opened, got.gone) == ([], [old.id])
    assert got.client_orders == [
        ("user#1", "y", old.id, 1_001, 1_006), ("user#1", "x", old.id, 1_001, 1_006),
    ]  # fmt: skip


def test_an_older_order_is_updated_once_with_its_last_state():
    old, first, second = order(1), order(2, "ask", quantity=3), order(3, "ask", quantity=4)
    got = rows(
        OrderAccepted(first), filled(first, old, 3, 7),
        OrderAccepted(second), filled(second, old, 4, 3),
    )  # fmt: skip
    assert got.changed == [(old.id, 3, Decimal(7 * 10_050))]
    assert (got.opened, got.gone) == ([], [])


@pytest.mark.parametrize("filled_up", [True, False])
def test_an_older_order_that_changed_and_left_is_only_deleted(filled_up):
    old, first, second = order(1), order(2, "ask", quantity=3), order(3, "ask", quantity=7)
    end = (
        [OrderAccepted(second), filled(second, old, 7, 0)] if filled_up else [cancelled(3, old, 7)]
    )
    got = rows(OrderAccepted(first), filled(first, old, 3, 7), *end)
    assert (got.opened, got.changed, got.gone) == ([], [], [old.id])


def test_a_remainder_that_never_rested_deletes_nothing():
    taker = order(1, time_in_force="fok")
    got = rows(OrderAccepted(taker), cancelled(1, taker, 10, rested=False, reason="fok"))
    assert got.gone == []


def test_a_client_order_id_is_kept_from_the_end_of_its_order_on():
    old, gone, here = (order(n, user_id="a", client_order_id=f"x{n}") for n in (1, 2, 3))
    stays = order(7, user_id="a", client_order_id="x7")
    taker = order(4, user_id="b", quantity=old.quantity, client_order_id="y")
    got = rows(
        *(OrderAccepted(o) for o in (here, taker)),
        filled(taker, old, old.quantity, 0),
        Traded("t", 4, taker.time_ms, taker, taker.quantity, 1),
        cancelled(5, gone, 10),
        cancelled(6, here, 10),
        OrderAccepted(stays),
        rested(stays),
    )
    assert got.client_orders == [
        ("b", "y", taker.id, taker.time_ms, taker.time_ms),
        ("a", "x1", old.id, old.time_ms, 1_004),
        ("a", "x2", gone.id, gone.time_ms, 1_005),
        ("a", "x3", here.id, here.time_ms, 1_006),
    ]


def test_the_seqs_run_from_the_first_to_the_last_command():
    bids = [order(seq) for seq in (4, 5)]
    got = rows(
        *(OrderAccepted(bid) for bid in bids),
        *(cancelled(6, bid, 10, n=n) for n, bid in enumerate(bids)),
    )
    assert got.seqs == {"BTC-USD": (4, 6)}


@pytest.mark.parametrize(
    ("every", "passed"),
    [(0, False), (1, True), (3, True), (4, True), (5, True), (6, True), (7, False)],
)
def test_a_checkpoint_is_due_when_a_multiple_was_passed(every, passed):
    got = rows(*(OrderAccepted(order(seq)) for seq in (4, 5, 6)))
    assert got.checkpoints(every) == (["BTC-USD"] if passed else [])
