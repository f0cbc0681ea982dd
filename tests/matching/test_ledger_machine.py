"""Balances under any sequence of commands: invariants that hold after each of them.

Several accounts and a native trade two pairs that share their quote asset, in every kind of order,
with restarts in between. What an account has is reckoned in another way: from its deposits, the
fills, and the orders that are open in the books.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from decimal import Decimal

from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fastbook_server.channels.order_channel import Deposit, Operate, Replace
from fastbook_server.matching.exchange import Exchange
from fastbook_server.store.memory import MemoryDatabase, MemoryStore
from fastbook_server.values.events import (
    PRIVATE,
    BalanceChanged,
    OrderAccepted,
    OrderFilled,
)
from fastbook_server.values.instruments import InstrumentSpec
from fastbook_server.values.persisted import Batch
from fastbook_wire.commands import Add, Amend, Delete, DeleteAll, NewOrder

COIN, FINE = "COIN-USD", "FINE-USD"
PAIRS = (InstrumentSpec.parse("COIN-USD:1:1"), InstrumentSpec.parse("FINE-USD:0.25:0.0001"))
GRIDS = {COIN: (Decimal(1), Decimal(1)), FINE: (Decimal("0.25"), Decimal("0.0001"))}
ACCOUNTS, NATIVE = ("api#a", "api#b", "api#c"), "user#n"
T0 = 1_767_225_600_000
ASSETS = ("USD", "COIN", "FINE")
UNIT = Decimal(1) / 10**8

users = st.sampled_from((*ACCOUNTS, NATIVE))
pairs = st.sampled_from((COIN, COIN, FINE))
ticks = st.integers(1, 12)
lots = st.integers(1, 12)
sides = st.sampled_from(("bid", "ask"))
self_trades = st.sampled_from(("allow", "cancelNewest", "cancelOldest", "cancelBoth", "decrement"))
terms = st.sampled_from(
    (
        {},
        {},
        {"post_only": True},
        {"time_in_force": "ioc"},
        {"time_in_force": "fok"},
        {"display": 1},
        {"exec_type": "market"},
        {"exec_type": "market", "time_in_force": "fok"},
        {"exec_type": "market", "total": 20.0},
        {"exec_type": "stop"},
        {"exec_type": "stopLimit"},
        {"exec_type": "takeProfit"},
        {"exec_type": "takeProfitLimit"},
    )
)
choices = st.integers(0, 10**6)


class Balances(RuleBasedStateMachine):
    """Does anything with an exchange, and compares what it tells of balances."""

    @initialize()
    def begin(self) -> None:
        self.data = MemoryDatabase()
        self.now_ms, self.batch_no, self.deposits = T0, 0, 0
        self.pending: list = []
        self.told: dict[tuple[str, str], tuple[int, int]] = {}
        self.totals: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self.paid_in: dict[str, Decimal] = defaultdict(Decimal)
        self.ids: dict[str, list[str]] = defaultdict(list)
        self.open()
        for user in ACCOUNTS:
            for asset in ASSETS:
                self.deposit(user, asset, 40)

    def open(self) -> None:
        self.store = MemoryStore(self.data)
        past = asyncio.run(self.store.open(PAIRS, 0, now_ms=self.now_ms))
        self.exchange = Exchange(past, accounts=True)

    def do(self, user: str, command: object) -> list:
        self.now_ms += 1
        events = self.exchange.apply(user, command, self.now_ms)
        note(f"{user} {command}: {[type(e).__name__ for e in events]}")
        self.pending += [e for e in events if type(e) not in PRIVATE]
        for event in events:
            match event:
                case BalanceChanged():
                    assert event.user_id in ACCOUNTS, "natives have none"
                    self.told[event.user_id, event.asset] = (event.free, event.locked)
                case OrderAccepted():
                    self.ids[event.order.user_id].append(event.order.id)
                case OrderFilled():
                    self.follow(event)
        return events

    def follow(self, fill: OrderFilled) -> None:
        base, quote = fill.taker.instrument.security.split("-")
        tick, lot = GRIDS[fill.taker.instrument.security]
        for order in (fill.taker, fill.maker):
            sign = 1 if order.side == "bid" else -1
            self.totals[order.user_id, base] += sign * fill.quantity * lot
            self.totals[order.user_id, quote] -= sign * fill.quantity * lot * fill.price * tick

    def new(self, pair: str, side: str, price: int, amount: int, mode: str, given: dict) -> Add:
        tick, lot = GRIDS[pair]
        fields = {"exec_type": "limit", "type": side, "security": pair, "self_trade": mode} | given
        if "total" not in fields:
            fields["amount"] = float(amount * lot)
        if fields["exec_type"] in ("limit", "stopLimit", "takeProfitLimit"):
            fields["price"] = float(price * tick)
        if fields["exec_type"].startswith(("stop", "takeProfit")):
            fields["trigger_price"] = float((13 - price) * tick)
        if "display" in fields:
            fields["display"] = float(max(1, amount // 2) * lot)
        return Add(order=NewOrder(**fields))

    def some(self, user: str, choice: int) -> str:
        """Return an order of a user: most often an open one."""
        markets = self.exchange.markets.values()
        every = (progress.order for market in markets for progress in market.open.values())
        known = [order.id for order in every if order.user_id == user]
        if choice % 8 == 0 or not known:
            known = self.ids[user][-3:] or ["none"]
        return known[choice % len(known)]

    # ---- what may happen -----------------------------------------------------------------------

    @rule(user=st.sampled_from(ACCOUNTS), asset=st.sampled_from(ASSETS), n=lots)
    def pay_in(self, user: str, asset: str, n: int) -> None:
        self.deposit(user, asset, n)

    def deposit(self, user: str, asset: str, n: int) -> None:
        amount = Decimal(n * 10) if asset == "USD" else Decimal(n) * GRIDS[f"{asset}-USD"][1]
        self.deposits += 1
        self.do(user, Deposit(self.deposits, asset, f"{amount:f}"))
        self.totals[user, asset] += amount
        self.paid_in[asset] += amount

    @rule(user=users, pair=pairs, side=sides, price=ticks, n=lots, mode=self_trades, given=terms)
    def add(
        self, user: str, pair: str, side: str, price: int, n: int, mode: str, given: dict
    ) -> None:
        self.do(user, self.new(pair, side, price, n, mode, given))

    @rule(pair=pairs, price=ticks, n=lots)
    def quote(self, pair: str, price: int, n: int) -> None:
        """A native makes a market, so that accounts find somebody."""
        self.do(NATIVE, self.new(pair, "bid", min(price, 6), n, "allow", {}))
        self.do(NATIVE, self.new(pair, "ask", max(price, 7), n, "allow", {}))

    @rule(user=users, pair=pairs, price=ticks, n=lots, more=lots, mode=self_trades)
    def meet_oneself(self, user: str, pair: str, price: int, n: int, more: int, mode: str) -> None:
        self.do(user, self.new(pair, "ask", price, n, "allow", {}))
        self.do(user, self.new(pair, "bid", price, more, mode, {}))

    @rule(user=users, pair=pairs, side=sides, price=ticks, other=ticks, n=lots)
    def move_what_waits(
        self, user: str, pair: str, side: str, price: int, other: int, n: int
    ) -> None:
        before = len(self.ids[user])
        self.do(user, self.new(pair, side, price, n, "allow", {"exec_type": "stopLimit"}))
        if len(self.ids[user]) > before:
            moved = float(other * GRIDS[pair][0])
            self.do(user, Amend(id=self.ids[user][-1], price=moved))

    @rule(user=users, choice=choices, pair=pairs, price=st.none() | ticks, n=st.none() | lots)
    def amend(self, user: str, choice: int, pair: str, price: int | None, n: int | None) -> None:
        tick, lot = GRIDS[pair]
        if price is None and n is None:
            return
        terms = {
            "price": None if price is None else float(price * tick),
            "amount": None if n is None else float(n * lot),
        }
        self.do(user, Amend(id=self.some(user, choice), **terms))

    @rule(
        user=users, choice=choices, pair=pairs, side=sides, price=ticks, n=lots, given=terms,
        stops=st.booleans(),
    )  # fmt: skip
    def replace(
        self, user: str, choice: int, pair: str, side: str, price: int, n: int, given: dict,
        stops: bool,
    ) -> None:  # fmt: skip
        old = Delete(id=self.some(user, choice), ref=1)
        new = self.new(pair, side, price, n, "allow", given)
        new.ref = 2
        self.do(user, Replace(old, new, stops))

    @rule(user=users, choice=choices)
    def delete(self, user: str, choice: int) -> None:
        self.do(user, Delete(id=self.some(user, choice)))

    @rule(user=users, side=sides, pair=pairs)
    def delete_all(self, user: str, side: str, pair: str) -> None:
        self.do(user, DeleteAll(type=side, security=pair))

    @rule(pair=pairs, user=users, choice=choices)
    def halt(self, pair: str, user: str, choice: int) -> None:
        """While a market is halted, orders can be deleted only."""
        self.do("operator", Operate("halt", pair))
        self.do(user, self.new(pair, "bid", 1, 1, "allow", {}))
        self.do(user, Delete(id=self.some(user, choice)))
        self.do("operator", Operate("resume", pair))

    @precondition(lambda self: self.pending)
    @rule()
    def restart(self) -> None:
        """Nothing is remembered but what was stored."""
        self.batch_no += 1
        batch = Batch(self.batch_no, self.now_ms, tuple(self.pending))
        asyncio.run(self.store.commit(self.store.prepare(batch)))
        self.pending = []
        self.open()

    # ---- what always holds ---------------------------------------------------------------------

    def locked(self) -> dict[tuple[str, str], Decimal]:
        """Return what open orders lock, of accounts."""
        found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for pair, market in self.exchange.markets.items():
            base, quote = pair.split("-")
            tick, lot = GRIDS[pair]
            for progress in market.open.values():
                order, left = progress.order, progress.remaining * lot
                if order.user_id not in ACCOUNTS:
                    continue
                if order.side == "ask":
                    found[order.user_id, base] += left
                else:
                    price = order.trigger_price if order.price is None else order.price
                    found[order.user_id, quote] += left * price * tick
        return found

    @invariant()
    def balances_are_what_happened(self) -> None:
        locked = self.locked()
        for user in ACCOUNTS:
            for asset in ASSETS:
                free, held = self.told.get((user, asset), (0, 0))
                assert free >= 0 <= held
                assert held * UNIT == locked[user, asset], (user, asset)
                assert (free + held) * UNIT == self.totals[user, asset], (user, asset)

    @invariant()
    def nothing_is_created_or_lost(self) -> None:
        """All have together what was paid in: natives may owe it."""
        for asset in ASSETS:
            every = sum((t for (_, of), t in self.totals.items() if of == asset), Decimal())
            held = sum((sum(b) for (_, of), b in self.told.items() if of == asset), 0)
            assert held * UNIT == every - self.totals[NATIVE, asset]
            assert every == self.paid_in[asset]


TestBalances = Balances.TestCase
TestBalances.settings = settings(max_examples=150, stateful_step_count=60)
