"""The balances of accounts, as a pure function of what the exchange does.

An order of an account must be paid for before the book sees it (`check_new`, `check_change`).
Afterwards the ledger follows the events of a command (`changes`): a fill pays, what rests or waits
for its trigger is locked, what ends unfilled is free again. Nobody sees the states in between.
Whoever is no account has unlimited credit and is never asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import assert_never, get_args

from fastbook_server.channels.order_channel import Deposit
from fastbook_server.matching.order_progress import OrderProgress
from fastbook_server.matching.security_book import SecurityBook
from fastbook_server.matching.steps import Steps
from fastbook_server.matching.terms import RuleBroken, Terms
from fastbook_server.matching.what_it_costs import lots_and_notional
from fastbook_server.values.accounts import Assets, Pair, is_account
from fastbook_server.values.decimals import units_of
from fastbook_server.values.events import (
    BalanceChanged,
    ExchangeEvent,
    Order,
    OrderAmended,
    OrderCancelled,
    OrderFilled,
    OrderHeld,
    OrderRested,
    OrderTriggered,
)
from fastbook_server.values.instruments import Instrument
from fastbook_server.values.persisted import OpenOrder
from fastbook_wire.words import Code

_Key = tuple[str, str]  # user id and asset
_Moves = OrderCancelled | OrderAmended | OrderHeld | OrderTriggered
_MOVES = frozenset(get_args(_Moves))


def price_to_lock(order: Order) -> int | None:
    """Return at which price an open order is paid for, in ticks.

    One that will buy at any price once it is triggered is paid for at its trigger price.
    """
    return order.trigger_price if order.price is None else order.price


class Balance:
    """What an account has of an asset, in the asset's units, so many ``decimals`` of it.

    ``is_touched`` once the running command has changed it.
    """

    __slots__ = ("asset", "decimals", "free", "is_touched", "locked", "user_id")

    def __init__(self, user_id: str, asset: str, decimals: int, free: int) -> None:
        self.user_id = user_id
        self.asset = asset
        self.decimals = decimals
        self.free = free
        self.locked = 0
        self.is_touched = False


class Ledger:
    """The balances of all accounts; `totals` are free and locked together, as recovered.

    Without an account it is not ``active``, and the exchange never asks it.
    """

    def __init__(
        self,
        instruments: Iterable[Instrument],
        totals: Mapping[_Key, Decimal],
        open_orders: Iterable[OpenOrder],
        *,
        active: bool,
    ) -> None:
        self.active = active or bool(totals)
        self._assets = Assets(instruments)
        self._balances: dict[_Key, Balance] = {}
        self._touched: list[Balance] = []
        self._followed = 0  # of the running command's events
        for key, total in totals.items():
            free = self._assets.units(key[1], total)
            self._balances[key] = Balance(*key, self._assets.decimals(key[1]), free)
        for past in open_orders if self.active else ():
            self._lock(past.order, price_to_lock(past.order), past.remaining)
        self._touch_none()

    def balance(self, user_id: str, asset: str) -> tuple[int, int]:
        """Return what an account has of an asset, free and locked."""
        balance = self._balances.get((user_id, asset))
        return (0, 0) if balance is None else (balance.free, balance.locked)

    # ---- before ------------------------------------------------------------------------------

    def check_new(self, user_id: str, terms: Terms, market: SecurityBook) -> None:
        """Check that an account can pay for a new order, now that nothing comes between.

        Raises:
            RuleBroken: it cannot.
        """
        if not is_account(user_id):
            return
        pair = self._pair(market.instrument.security)
        price, quantity, budget = terms.price, terms.quantity, terms.budget
        if terms.side == "ask":
            if budget is not None:
                quantity = lots_and_notional(market, user_id, terms)[0]
            self._check(user_id, pair.base, quantity * pair.lot_units)
            return
        if price is None:
            price = terms.trigger_price
        if price is not None:
            notional = price * quantity
        elif budget is not None:
            notional = budget
        else:
            notional = lots_and_notional(market, user_id, terms)[1]
        self._check(user_id, pair.quote, notional * pair.notional_units)

    def check_change(self, progress: OrderProgress, after: Order) -> None:
        """Check that an account can pay for what an order is to become. Raises like `check_new`."""
        before = progress.order
        if not is_account(before.user_id):
            return
        pair = self._pair(before.instrument.security)
        remaining = progress.remaining + after.quantity - before.quantity
        asset, more = pair.held(after.side, price_to_lock(after), remaining)
        more -= pair.held(before.side, price_to_lock(before), progress.remaining)[1]
        if more > 0:
            self._check(before.user_id, asset, more)

    def _check(self, user_id: str, asset: str, needed: int) -> None:
        balance = self._balances.get((user_id, asset))
        free = 0 if balance is None else balance.free
        if needed > free:
            message = f"balance: the order needs more {asset} than is free"
            raise RuleBroken(Code.INSUFFICIENT_BALANCE, message)

    def _pair(self, security: str) -> Pair:
        pair = self._assets.pairs.get(security)
        if pair is None:
            message = f"security: {security!r} does not say what it trades for what"
            raise RuleBroken(Code.UNKNOWN_SECURITY, message)
        return pair

    # ---- afterwards --------------------------------------------------------------------------

    def follow(self, begun: list[ExchangeEvent] | Steps) -> list[ExchangeEvent] | Steps:
        """Return what a command causes, with the balances that it changes at its end."""
        if isinstance(begun, list):
            if not self.active:
                return begun
            changes = self.changes(begun)
            return begun + changes if changes else begun
        return self.following(begun)

    def following(self, steps: Steps) -> Steps:
        """Return the steps of a command, with the balances that it changes at their end."""
        events = yield from steps
        if self.active:
            events += self.changes(events)
        return events

    def changes(self, events: list[ExchangeEvent]) -> list[ExchangeEvent]:
        """Follow all that a command has caused; return the balances that have changed."""
        self._catch_up(events)
        self._followed = 0
        return self._told(None) if self._touched else []

    def affords(self, market: SecurityBook, order: Order, events: list[ExchangeEvent]) -> bool:
        """Whether the user of a triggered order can pay for it, after all `events` so far.

        Those are what the command has caused until now. What buys at any price may cost more than
        at its trigger price, which is all that was locked.
        """
        if order.price is not None or order.side == "ask" or not is_account(order.user_id):
            return True
        self._catch_up(events)
        pair = self._pair(order.instrument.security)
        _, notional = lots_and_notional(market, order.user_id, order)
        return notional * pair.notional_units <= self.balance(order.user_id, pair.quote)[0]

    def _catch_up(self, events: list[ExchangeEvent]) -> None:
        """Follow those events of the running command that have not been followed yet."""
        for event in events[self._followed :] if self._followed else events:
            if type(event) is OrderRested:
                self._lock(event.order, price_to_lock(event.order), event.remaining)
            elif type(event) is OrderFilled:
                self._filled(event)
            elif type(event) in _MOVES:
                self._moved(event)  # type: ignore[arg-type]  # as _MOVES says
        self._followed = len(events)

    def deposit(self, user_id: str, command: Deposit) -> list[ExchangeEvent]:
        """Add to a balance."""
        units = units_of(command.amount, self._assets.decimals(command.asset))
        balance = self._balance(user_id, command.asset)
        balance.free += units
        return self._told(command.number)

    def _told(self, deposit: int | None) -> list[ExchangeEvent]:
        told: list[ExchangeEvent] = []
        for balance in self._touched:
            user_id, asset = balance.user_id, balance.asset
            free, locked = balance.free, balance.locked
            assert free >= 0, f"{user_id} has spent more {asset} than there was"
            assert locked >= 0, f"{user_id} has less {asset} locked than nothing"
            told.append(BalanceChanged(user_id, asset, free, locked, balance.decimals, deposit))
        self._touch_none()
        return told

    def _touch_none(self) -> None:
        for balance in self._touched:
            balance.is_touched = False
        self._touched.clear()

    def _moved(self, event: _Moves) -> None:
        """Lock what comes to wait, and free what leaves."""
        order = event.order
        if not is_account(order.user_id):
            return
        match event:
            case OrderHeld():
                self._lock(order, price_to_lock(order), order.quantity)
            case OrderTriggered():
                self._lock(order, price_to_lock(order), -order.quantity)
            case OrderCancelled():
                if event.rested or event.held:
                    self._lock(order, price_to_lock(order), -event.quantity)
            case OrderAmended():
                if event.cause == "self_trade" and not event.in_book:
                    return  # it is incoming: nothing of it is locked
                before = event.before
                lots = order.quantity - before.quantity - event.remaining
                self._lock(order, price_to_lock(before), lots)
                if event.stays or not event.in_book:
                    self._lock(order, price_to_lock(order), event.remaining)
            case _:
                assert_never(event)

    def _filled(self, event: OrderFilled) -> None:
        """Let both sides of a fill pay: the taker of what is free, the maker of what is locked."""
        taker, maker = event.taker, event.maker
        for order, rests in ((taker, False), (maker, True)):
            pair = self._assets.pairs.get(order.instrument.security)
            if pair is None or not is_account(order.user_id):
                continue
            lots = event.quantity * pair.lot_units
            notional = event.price * event.quantity * pair.notional_units
            bought = order.side == "bid"
            got, received = (pair.base, lots) if bought else (pair.quote, notional)
            gave, paid = (pair.quote, notional) if bought else (pair.base, lots)
            payee = self._balance(order.user_id, got)
            payee.free += received
            payer = self._balance(order.user_id, gave)
            if rests:
                payer.locked -= paid
            else:
                payer.free -= paid

    def _lock(self, order: Order, price: int | None, lots: int) -> None:
        """Lock so many more lots of an order at a price; fewer if they are negative."""
        pair = self._assets.pairs.get(order.instrument.security)
        if pair is None or not is_account(order.user_id):
            return
        if order.side == "ask":
            asset, units = pair.base, lots * pair.lot_units
        else:
            assert price is not None, "what buys and stays open has a price"
            asset, units = pair.quote, price * lots * pair.notional_units
        balance = self._balance(order.user_id, asset)
        balance.free -= units
        balance.locked += units

    def _balance(self, user_id: str, asset: str) -> Balance:
        key = (user_id, asset)
        balance = self._balances.get(key)
        if balance is None:
            decimals = self._assets.decimals(asset)
            balance = self._balances[key] = Balance(user_id, asset, decimals, 0)
        if not balance.is_touched:
            balance.is_touched = True
            self._touched.append(balance)
        return balance
