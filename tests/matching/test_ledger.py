"""Balances of accounts: by example, and beside a plain reckoning over random commands."""

from __future__ import annotations

import random
from collections import defaultdict
from decimal import Decimal

import msgspec
import pytest
from every_kind import EveryKind
from fakes import T0
from trading import recovered

from fastbook_server.channels.order_channel import Deposit, Replace
from fastbook_server.matching.exchange import Exchange
from fastbook_server.store.memory import MemoryDatabase, MemoryStore
from fastbook_server.values.events import (
    PRIVATE,
    BalanceChanged,
    CommandRefused,
    OrderCancelled,
    OrderFilled,
    OrderReport,
)
from fastbook_server.values.instruments import Instrument, InstrumentSpec
from fastbook_server.values.persisted import Batch
from fastbook_wire.commands import Add, Delete, DeleteAll, NewOrder
from fastbook_wire.grid import Grid

PAIR = Instrument(1, "COIN-USD", Grid.parse("1"), Grid.parse("1"))
FINE = Instrument(2, "FINE-USD", Grid.parse("0.01"), Grid.parse("0.0001"))
ALICE, BOB, NATIVE = "api#alice", "api#bob", "user#native"
EIGHT = 10**8
PAIRS = (InstrumentSpec.parse("COIN-USD:1:1"),)


class House:
    """An exchange with accounts; what it told last of each balance, free and locked."""

    def __init__(self, past=None):
        self.exchange = Exchange(past or recovered(PAIR, FINE), accounts=True)
        self.now_ms = T0
        self.balances = {}
        self.events = []
        self.deposits = 0

    def do(self, user, command):
        self.now_ms += 1
        events = self.exchange.apply(user, command, self.now_ms)
        self.events += events
        for event in events:
            if isinstance(event, BalanceChanged):
                self.balances[event.user_id, event.asset] = (event.free, event.locked)
        return events

    def pay_in(self, user, **amounts):
        for asset, amount in amounts.items():
            self.deposits += 1
            self.do(user, Deposit(self.deposits, asset, str(amount)))

    def order(self, user, side, price, amount, **terms):
        exec_type = "market" if price is None else "limit"
        terms = {"exec_type": exec_type, "price": price, "security": "COIN-USD"} | terms
        return self.do(user, Add(order=NewOrder(type=side, amount=amount, **terms)))

    def of(self, user):
        return {
            asset: (free / EIGHT, locked / EIGHT)
            for (owner, asset), (free, locked) in self.balances.items()
            if owner == user
        }


def refused(events):
    return [e.code for e in events if isinstance(e, CommandRefused)]


@pytest.fixture
def house():
    house = House()
    house.pay_in(ALICE, USD=1_000)
    house.pay_in(BOB, COIN=10)
    return house


def test_what_rests_is_locked_and_what_is_cancelled_is_free_again(house):
    house.order(ALICE, "bid", 100.0, 4.0)
    assert house.of(ALICE) == {"USD": (600, 400)}
    house.do(ALICE, DeleteAll())
    assert house.of(ALICE) == {"USD": (1_000, 0)}


def test_a_better_price_frees_the_difference_at_once(house):
    house.order(BOB, "ask", 90.0, 3.0)
    assert house.of(BOB) == {"COIN": (7, 3)}
    house.order(ALICE, "bid", 100.0, 4.0)
    assert house.of(ALICE) == {"USD": (630, 100), "COIN": (3, 0)}
    assert house.of(BOB) == {"COIN": (7, 0), "USD": (270, 0)}


def test_nobody_spends_what_is_not_there(house):
    assert refused(house.order(ALICE, "bid", 100.0, 11.0)) == ["insufficient_balance"]
    assert refused(house.order(ALICE, "ask", 100.0, 1.0)) == ["insufficient_balance"]
    house.order(ALICE, "bid", 100.0, 9.0)
    assert refused(house.order(ALICE, "bid", 100.0, 2.0)) == ["insufficient_balance"]
    house.order("api#new", "bid", 1.0, 1.0)
    assert house.of("api#new") == {}


def test_a_market_order_costs_what_the_book_says_hidden_lots_included(house):
    house.order(NATIVE, "ask", 100.0, 20.0, display=1.0)
    house.order(NATIVE, "ask", 200.0, 1.0)
    assert refused(house.order(ALICE, "bid", None, 11.0)) == ["insufficient_balance"]
    house.order(ALICE, "bid", None, 10.0)
    assert house.of(ALICE) == {"USD": (0, 0), "COIN": (10, 0)}


def test_a_stop_that_buys_at_any_price_is_paid_for_at_its_trigger_price(house):
    stop = {"exec_type": "stop", "trigger_price": 110.0}
    assert refused(house.order(ALICE, "bid", None, 10.0, **stop)) == ["insufficient_balance"]
    house.order(ALICE, "bid", None, 9.0, **stop)
    assert house.of(ALICE)["USD"] == (10, 990)
    house.order(NATIVE, "ask", 110.0, 1.0)
    house.order(NATIVE, "ask", 111.0, 9.0)
    house.order(NATIVE, "bid", 110.0, 1.0)
    assert house.of(ALICE) == {"USD": (1, 0), "COIN": (9, 0)}


def test_a_triggered_order_that_costs_more_than_there_is_buys_nothing(house):
    house.order(ALICE, "bid", None, 9.0, exec_type="stop", trigger_price=110.0)
    house.order(NATIVE, "ask", 110.0, 1.0)
    house.order(NATIVE, "ask", 112.0, 9.0)
    events = house.order(NATIVE, "bid", 110.0, 1.0)
    (gone,) = (e for e in events if isinstance(e, OrderCancelled))
    assert (gone.reason, gone.quantity) == ("balance", 9)
    assert house.of(ALICE) == {"USD": (1_000, 0)}


def test_a_triggered_order_spends_what_others_have_left_not_what_they_have_locked(house):
    stop = {"exec_type": "stop", "trigger_price": 100.0}
    house.order(ALICE, "bid", None, 5.0, **stop)
    house.order(ALICE, "bid", None, 5.0, **stop)
    house.order(NATIVE, "ask", 100.0, 1.0)
    house.order(NATIVE, "ask", 101.0, 10.0)
    events = house.order(NATIVE, "bid", 100.0, 1.0)
    assert [e.reason for e in events if isinstance(e, OrderCancelled)] == ["balance"]
    assert house.of(ALICE) == {"USD": (495, 0), "COIN": (5, 0)}


def test_an_order_that_takes_a_profit_is_paid_for_at_its_trigger_price(house):
    house.order(ALICE, "bid", None, 2.0, exec_type="takeProfit", trigger_price=90.0)
    assert house.of(ALICE)["USD"] == (820, 180)
    house.order(NATIVE, "ask", 89.0, 1.0)
    house.order(NATIVE, "ask", 91.0, 1.0)
    house.order(NATIVE, "bid", 90.0, 2.0)  # at 89; the rest is for sale
    assert house.of(ALICE) == {"USD": (909, 0), "COIN": (1, 0)}


def test_natives_have_unlimited_credit_and_no_balance(house):
    house.order(NATIVE, "bid", 100.0, 10_000.0)
    house.order(BOB, "ask", 100.0, 10.0)
    assert house.of(BOB) == {"COIN": (0, 0), "USD": (1_000, 0)}
    assert house.of(NATIVE) == {}


def test_a_trade_with_oneself_changes_nothing(house):
    house.pay_in(ALICE, COIN=5)
    house.order(ALICE, "ask", 100.0, 5.0)
    house.order(ALICE, "bid", 100.0, 5.0)
    assert house.of(ALICE) == {"USD": (1_000, 0), "COIN": (5, 0)}


def test_a_client_order_id_is_free_again_once_its_order_has_ended(house):
    first = house.order(ALICE, "bid", 1.0, 1.0, client_order_id="a")
    assert refused(first) == []
    repeated = house.order(ALICE, "bid", 1.0, 1.0, client_order_id="a")
    assert refused(repeated) == ["duplicate_client_order_id"]
    house.do(ALICE, DeleteAll())
    third = house.order(ALICE, "bid", 1.0, 1.0, client_order_id="a")
    ids = {e.order.id for e in (*first, *third) if isinstance(e, OrderReport)}
    assert len(ids) == 2


def test_units_are_fine_enough_for_every_tick_times_lot():
    house = House()
    house.pay_in(ALICE, USD="0.00000100")
    house.order(ALICE, "bid", 0.01, 0.0001, security="FINE-USD")
    assert house.balances[ALICE, "USD"] == (0, 100)


def replacing(old, *, stops, **terms):
    """Return a command that places a buy of 10 coins in place of an order."""
    given = {"type": "bid", "exec_type": "limit", "security": "COIN-USD", "amount": 10.0} | terms
    return Replace(Delete(id=old, ref=1), Add(order=NewOrder(**given), ref=2), stops)


def test_a_replacement_is_paid_for_by_what_it_replaces(house):
    old = house.order(ALICE, "bid", 90.0, 10.0)[0].order.id
    events = house.do(ALICE, replacing(old, stops=True, price=100.0))
    reports = [e for e in events if isinstance(e, OrderReport)]
    assert [(r.ref, r.status) for r in reports] == [(1, "cancelled"), (2, "open")]
    assert house.of(ALICE) == {"USD": (0, 1_000)}


def test_a_replacement_stops_where_it_is_told_to(house):
    events = house.do(ALICE, replacing("none", stops=True, price=100.0))
    assert [(type(e), e.ref) for e in events] == [(CommandRefused, 1)]
    events = house.do(ALICE, replacing("none", stops=False, price=100.0))
    assert [e.ref for e in events if isinstance(e, CommandRefused | OrderReport)] == [1, 2]
    assert house.of(ALICE) == {"USD": (0, 1_000)}
    old = next(e.order.id for e in events if isinstance(e, OrderReport))
    assert refused(house.do(ALICE, replacing(old, stops=True, price=101.0))) == [
        "insufficient_balance"
    ]
    assert house.of(ALICE) == {"USD": (1_000, 0)}, "the old order is gone nevertheless"


def expected(house, deposits):
    """Return totals and locked amounts, reckoned from all events in another way."""
    totals = defaultdict(Decimal, {key: Decimal(amount) for key, amount in deposits.items()})
    for event in house.events:
        if isinstance(event, OrderFilled):
            for order in (event.taker, event.maker):
                sign = 1 if order.side == "bid" else -1
                totals[order.user_id, "COIN"] += sign * event.quantity
                totals[order.user_id, "USD"] -= sign * event.quantity * event.price
    locked = defaultdict(Decimal)
    for progress in house.exchange.markets["COIN-USD"].open.values():
        order, left = progress.order, progress.remaining
        asset, amount = (
            ("COIN", left)
            if order.side == "ask"
            else ("USD", left * (order.price or order.trigger_price))
        )
        locked[order.user_id, asset] += amount
    return totals, locked


def in_pair(command):
    """Return a command of the random flow, in the pair that is traded here."""
    order = getattr(command, "order", None)
    if order is not None:
        command = msgspec.structs.replace(
            command, order=msgspec.structs.replace(order, security="COIN-USD")
        )
    return command


@pytest.mark.parametrize("seed", range(4))
def test_balances_are_what_deposits_fills_and_open_orders_say(seed):
    """Random commands of every kind, accounts and a native against each other."""
    house, flow, chance = House(), EveryKind(seed, users=3), random.Random(seed)
    users = {"u0": ALICE, "u1": BOB, "u2": NATIVE}
    deposits = {(ALICE, "USD"): 20_000, (ALICE, "COIN"): 100, (BOB, "COIN"): 300}
    for (user, asset), amount in deposits.items():
        house.pay_in(user, **{asset: amount})
    codes = set()
    for _ in range(1_500):
        flow.now_ms = house.now_ms
        user, command = flow.next()
        codes |= set(refused(house.do(users[user], in_pair(command))))
        if chance.random() < 0.1:
            totals, locked = expected(house, deposits)
            for (owner, asset), (free, held) in house.balances.items():
                assert free >= 0
                assert (free + held, held) == (
                    totals[owner, asset] * EIGHT,
                    locked[owner, asset] * EIGHT,
                )
    assert "insufficient_balance" in codes
    assert sum(isinstance(e, OrderFilled) for e in house.events) > 100


async def test_a_restart_knows_the_same_balances():
    data = MemoryDatabase()
    store = MemoryStore(data)
    house = House(await store.open(PAIRS, 0))
    house.pay_in(ALICE, USD=1_000)
    house.order(ALICE, "bid", 100.0, 4.0)
    stored = tuple(e for e in house.events if type(e) not in PRIVATE)
    await store.commit(store.prepare(Batch(1, house.now_ms, stored)))
    again = House(await store.open(PAIRS, 0))
    again.order(ALICE, "bid", 100.0, 1.0)
    assert again.of(ALICE) == {"USD": (500, 500)}


def test_a_market_order_is_covered_beyond_the_first_levels():
    house = House()
    for price in range(1, 41):
        house.order(NATIVE, "ask", float(price), 1.0)
    house.pay_in(ALICE, USD=819)
    (refused,) = house.order(ALICE, "bid", None, 40.0)
    assert refused.code == "insufficient_balance", "820 is what forty levels cost"
    house.pay_in(ALICE, USD=1)
    house.order(ALICE, "bid", None, 40.0)
    assert house.of(ALICE) == {"USD": (0, 0), "COIN": (40, 0)}


def test_an_account_trades_only_what_says_what_it_is_paid_in():
    game = Instrument(1, "GAME", Grid.parse("1"), Grid.parse("1"))
    house = House(recovered(game))
    (refused,) = house.order(ALICE, "bid", 1.0, 1.0, security="GAME")
    assert refused.code == "unknown_security"
