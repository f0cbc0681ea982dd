"""A trader's commands, and what it makes of the answers; no connection, no clock."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from fastbook_cli.bench.mix import Mix
from fastbook_cli.bench.trader import LEVELS, Band, BenchTrader
from fastbook_wire.frames import InstrumentView

INSTRUMENT = InstrumentView(security="COIN", tick_size=0.01, lot_size=0.1, status="open")
BAND = Band(INSTRUMENT, 10_000)


def trader_of(mix: str, open_max: int = 10) -> BenchTrader:
    trader = BenchTrader(BAND, Mix.parse(mix), open_max, random.Random(1))
    trader.counting = True
    return trader


def next_of(trader: BenchTrader, due_s: float = 0.0) -> dict[str, Any]:
    return json.loads(trader.next(due_s))


def hear(trader: BenchTrader, now_s: float = 0.0, **frame: Any) -> None:
    trader.hear(json.dumps({"event": "order"} | frame).encode(), now_s)


def order(order_id: str, side: str = "bid", filled: float = 0.0) -> dict[str, Any]:
    return {"id": order_id, "type": side, "filled": filled, "price": 1.0}


def placed(trader: BenchTrader, order_id: str) -> None:
    command = next_of(trader)
    assert command["op"] == "add"
    side = command["order"]["type"]
    hear(trader, ref=command["ref"], status="open", order=order(order_id, side))


def test_orders_rest_on_their_side_of_the_first_price():
    trader = trader_of("place=1", open_max=1_000)
    orders = [next_of(trader)["order"] for _ in range(500)]
    assert {o["execType"] for o in orders} == {"limit"}
    bids = {o["price"] for o in orders if o["type"] == "bid"}
    asks = {o["price"] for o in orders if o["type"] == "ask"}
    assert (min(bids), max(bids)) == (99.5, 99.99)
    assert (min(asks), max(asks)) == (100.01, 100.5)
    assert {o["amount"] for o in orders} == {n / 10 for n in range(1, 11)}


def test_a_first_price_near_nothing_leaves_room_for_the_bids():
    assert min(Band(INSTRUMENT, 1).prices["bid"]) == 0.01
    assert len(set(Band(INSTRUMENT, 1).prices["bid"])) == LEVELS


def test_only_open_orders_are_cancelled_and_each_once():
    trader = trader_of("cancel=1")
    for order_id in "abc":
        hear(trader, status="open", order=order(order_id))
    cancels = [next_of(trader) for _ in range(3)]
    assert {c["op"] for c in cancels} == {"delete"}
    assert {c["id"] for c in cancels} == {"a", "b", "c"}
    assert next_of(trader)["op"] == "add"


def test_an_order_that_was_filled_is_forgotten():
    trader = trader_of("cancel=1")
    for order_id in "abc":
        hear(trader, status="open", order=order(order_id))
    hear(trader, status="partiallyFilled", order=order("a", filled=1.0))
    hear(trader, status="filled", order=order("a", filled=2.0))
    assert {next_of(trader)["id"], next_of(trader)["id"]} == {"b", "c"}
    assert next_of(trader)["op"] == "add"


def test_a_trader_with_enough_open_orders_places_no_more():
    trader = trader_of("place=1", open_max=2)
    placed(trader, "a")
    placed(trader, "b")
    assert next_of(trader)["op"] == "delete"


def test_an_amend_moves_an_order_on_its_own_side():
    trader = trader_of("amend=1")
    placed(trader, "a")
    side = trader._open[0][1]
    command = next_of(trader)
    assert (command["op"], command["id"]) == ("amend", "a")
    assert command["price"] in BAND.prices[side]


def test_a_wait_counts_from_the_moment_at_which_the_command_was_due():
    trader = trader_of("take=1")
    command = next_of(trader, due_s=10.0)
    assert command["order"]["execType"] == "market"
    hear(trader, 10.25, ref=command["ref"], status="cancelled", order=order("a"))
    waits = trader.tally.waits["take"]
    assert (waits.count, waits.max_ms, trader.unanswered) == (1, 250.0, 0)


def test_what_is_due_before_it_counts_does_not_count():
    trader = trader_of("take=1")
    trader.counting = False
    command = next_of(trader)
    trader.counting = True
    hear(trader, 1.0, ref=command["ref"], status="filled", order=order("a", filled=1.0))
    assert trader.tally.all_waits.count == 0
    assert trader.tally.answers == 1, "the answer came while it counted"
    trader.counting = False
    hear(trader, 1.0, ref=next_of(trader)["ref"], status="filled", order=order("b", filled=1.0))
    assert trader.tally.answers == 1


def test_orders_and_trades_are_counted():
    trader = trader_of("take=1")
    for filled in (0.0, 0.5):
        ref = next_of(trader)["ref"]
        hear(trader, ref=ref, status="cancelled", order=order("a", filled=filled))
    assert (trader.tally.orders, trader.tally.trades) == (2, 1)


def test_a_refusal_is_counted_by_its_code_and_has_no_wait():
    trader = trader_of("take=1")
    hear(trader, ref=next_of(trader)["ref"], status="rejected", code="rate_limited")
    hear(trader, ref=next_of(trader)["ref"], event="error", code="overloaded")
    assert trader.tally.refused == {"rate_limited": 1, "overloaded": 1}
    assert (trader.tally.answers, trader.tally.orders) == (2, 0)
    assert trader.tally.all_waits.count == 0


def test_a_cancel_that_comes_too_late_is_no_refusal():
    trader = trader_of("cancel=1")
    placed(trader, "a")
    command = next_of(trader)
    hear(trader, ref=command["ref"], status="rejected", code="unknown_order")
    assert not trader.tally.refused
    assert trader.tally.waits["cancel"].count == 1


def test_other_frames_are_none_of_its_answers():
    trader = trader_of("place=1")
    next_of(trader)
    trader.hear(b'{"event":"fill","fillId":1,"orderId":"x","type":"bid"}', 0.0)
    trader.hear(b'{"event":"order","ref":99,"status":"open"}', 0.0)
    assert (trader.unanswered, trader.tally.answers) == (1, 0)


def test_the_end_says_how_many_orders_were_left():
    trader = trader_of("place=1")
    command = json.loads(trader.end())
    assert command["op"] == "deleteAll"
    assert trader.left is None
    hear(trader, event="deletedAll", ref=command["ref"], count=7)
    assert trader.left == 7


@pytest.mark.parametrize("mix", ["place=1", "place=2,cancel=1,amend=1,take=1"])
def test_the_same_seed_sends_the_same_commands(mix):
    one, other = trader_of(mix), trader_of(mix)
    assert [one.next(0) for _ in range(50)] == [other.next(0) for _ in range(50)]
