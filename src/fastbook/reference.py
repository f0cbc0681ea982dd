"""The order book and the depth in plain Python: the oracle of the tests.

The same calls return the same events as those of the Cython classes. The code is written for
reading.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from fastbook import _errors
from fastbook._checks import (
    as_int,
    check_count,
    check_int64,
    check_level_quantity_max,
    check_owner,
    check_self_trade,
    check_side,
    check_tif,
)
from fastbook._errors import INT64_MAX
from fastbook._plain_depth import Depth as Depth
from fastbook._plain_levels import PriceLevels, RestingOrder
from fastbook._types import (
    EVENT_CANCEL,
    EVENT_DISCARD,
    EVENT_FILL,
    EVENT_REDUCE,
    EVENT_REJECT,
    EVENT_REST,
    FLAG_BUDGET,
    FLAG_DISPLAY,
    FLAG_POST_ONLY,
    OP_CANCEL,
    OP_LIMIT,
    OP_MARKET,
    OP_REPLACE,
    REASON_BUDGET,
    REASON_FOK,
    REASON_IOC,
    REASON_NO_LIQUIDITY,
    REASON_NONE,
    REASON_REPLACED,
    REASON_SELF_TRADE,
    REASON_USER,
    REJECT_DUPLICATE_ORDER,
    REJECT_INVALID_DISPLAY,
    REJECT_INVALID_ORDER,
    REJECT_INVALID_PRICE,
    REJECT_INVALID_QUANTITY,
    REJECT_OVERFLOW,
    REJECT_POST_ONLY,
    REJECT_UNKNOWN_ORDER,
    Order,
    SelfTrade,
    Side,
    TimeInForce,
)


class Command(NamedTuple):
    """A command, with the fields of COMMAND_DTYPE; those that its op does not use are ignored."""

    op: int
    side: int = 0
    tif: int = 0
    flags: int = 0  # bits 1 to 3: self-trade mode; others: the FLAG constants
    owner: int = 0
    order_id: int = 0
    new_order_id: int = 0  # with FLAG_DISPLAY, the display of a limit order
    price: int = 0
    quantity: int = 0  # with FLAG_BUDGET, the budget of a market order

    @property
    def incoming_id(self) -> int:
        """The id of the incoming order."""
        return self.new_order_id if self.op == OP_REPLACE else self.order_id

    @property
    def self_trade(self) -> int:
        """The self-trade mode of the incoming order."""
        return self.flags >> 1 & 7

    @property
    def has_budget(self) -> bool:
        """Whether `quantity` is a budget."""
        return bool(self.flags & FLAG_BUDGET)

    @property
    def display(self) -> int:
        """The display of an iceberg; 0: the order is none."""
        return self.new_order_id if self.flags & FLAG_DISPLAY else 0


class Event(NamedTuple):
    """One effect of a command; the fields are those of `fastbook.Event`."""

    kind: int
    side: int
    reason: int
    order_id: int
    maker_order_id: int
    price: int
    quantity: int
    remaining: int
    maker_remaining: int
    level_quantity: int


@dataclass(slots=True)
class _Incoming:
    """An incoming order."""

    order_id: int
    side: int
    limit: int | None  # None: at any price
    remaining: int  # with a budget: what it pays for at the price of the next maker
    tif: int
    owner: int
    self_trade: int
    display: int = 0
    budget: int | None = None  # ticks x lots; None: a quantity is given instead

    def would_self_trade(self, maker: RestingOrder) -> bool:
        return self.self_trade != SelfTrade.ALLOW and self.owner != 0 and self.owner == maker.owner


class OrderBook:
    """The order book in plain Python; `fastbook.OrderBook` documents the calls."""

    events_at_once = 0  # it never stops, whatever this says
    unfinished = False

    def __init__(self, level_quantity_max: int = INT64_MAX) -> None:
        """Create an empty book; a level holds at most `level_quantity_max` lots."""
        self._level_quantity_max = check_level_quantity_max(level_quantity_max)
        self._orders: dict[int, RestingOrder] = {}
        self._sides = (PriceLevels(Side.BID), PriceLevels(Side.ASK))

    # ---- the commands ----

    def add(
        self,
        order_id: int,
        side: int,
        price: int,
        quantity: int,
        tif: int = 0,
        post_only: bool = False,
        owner: int = 0,
        self_trade: int = 0,
        display: int = 0,
    ) -> list[Event]:
        """Match a limit order, then rest what remains if its time in force allows."""
        command = Command(
            OP_LIMIT,
            check_side(side),
            check_tif(tif),
            bool(post_only) | check_self_trade(self_trade) << 1,
            check_owner(owner),
            order_id=check_int64("order_id", order_id),
            price=check_int64("price", price),
            quantity=check_int64("quantity", quantity),
        )
        value = check_int64("display", display)
        if value:
            _errors.expect_display(value, command.quantity, command.tif)
            command = command._replace(flags=command.flags | FLAG_DISPLAY, new_order_id=value)
        return self._scalar(command)

    def rest(
        self,
        order_id: int,
        side: int,
        price: int,
        quantity: int,
        owner: int = 0,
        display: int = 0,
        visible: int = 0,
    ) -> Event:
        """Rest an order as it stood in another book; return its event."""
        most, shown = check_int64("display", display), check_int64("visible", visible)
        command = Command(
            OP_LIMIT,
            check_side(side),
            flags=FLAG_POST_ONLY,
            owner=check_owner(owner),
            order_id=check_int64("order_id", order_id),
            price=check_int64("price", price),
            quantity=check_int64("quantity", quantity),
        )
        _errors.expect_slice(shown, most, command.quantity)
        reason = self._refusal(command)
        if reason == REJECT_POST_ONLY:
            raise _errors.crossing(command.price)
        if reason:
            raise self._error(command, reason)
        order = RestingOrder(
            command.order_id, command.side, command.price, command.quantity, command.owner, most
        )
        order.show()
        if shown:
            order.hidden = order.quantity - shown
        return self._queue(order)

    def market(
        self,
        order_id: int,
        side: int,
        quantity: int = 0,
        owner: int = 0,
        self_trade: int = 0,
        tif: int = TimeInForce.IOC,
        budget: int = 0,
    ) -> list[Event]:
        """Match a market order at any price, then discard what remains."""
        command = Command(
            OP_MARKET,
            check_side(side),
            check_tif(tif),
            flags=check_self_trade(self_trade) << 1,
            owner=check_owner(owner),
            order_id=check_int64("order_id", order_id),
            quantity=check_int64("quantity", quantity),
        )
        value = check_int64("budget", budget)
        if value:
            _errors.expect_budget(value, command.quantity, command.tif)
            command = command._replace(flags=command.flags | FLAG_BUDGET, quantity=value)
        return self._scalar(command)

    def cancel(self, order_id: int) -> Event:
        """Cancel a resting order; return its event."""
        return self._scalar(Command(OP_CANCEL, order_id=as_int("order_id", order_id)))[0]

    def replace(
        self,
        order_id: int,
        new_order_id: int,
        price: int,
        quantity: int,
        post_only: bool = False,
        self_trade: int = 0,
    ) -> list[Event]:
        """Reduce a resting order in place, or cancel it and place a new one."""
        return self._scalar(
            Command(
                OP_REPLACE,
                flags=bool(post_only) | check_self_trade(self_trade) << 1,
                order_id=as_int("order_id", order_id),
                new_order_id=check_int64("new_order_id", new_order_id),
                price=check_int64("price", price),
                quantity=check_int64("quantity", quantity),
            )
        )

    def go_on(self) -> list[Event]:
        """Raise RuntimeError: no call is unfinished."""
        raise RuntimeError("OrderBook: no call is unfinished")

    def apply(self, command: Command) -> list[Event]:
        """Execute a command as `fastbook.OrderBook.process` does: a refusal is an event."""
        reason = self._refusal(command)
        return [self._reject(command, reason)] if reason else self._execute(command)

    # ---- refusals ----

    def _scalar(self, command: Command) -> list[Event]:
        """Execute a command; raise if refused, but return the event of a post-only refusal."""
        reason = self._refusal(command)
        if reason == REASON_NONE:
            return self._execute(command)
        if reason == REJECT_POST_ONLY:
            return [self._reject(command, reason)]
        raise self._error(command, reason)

    def _error(self, command: Command, reason: int) -> ValueError | KeyError:
        """Return the error of a refused scalar call."""
        return _errors.refusal(
            reason,
            command.order_id,
            command.price,
            command.quantity,
            command.new_order_id if command.op == OP_REPLACE else None,
            self._level_quantity_max,
        )

    def _refusal(self, command: Command) -> int:
        """Return the reason of the first rule that a command breaks, or REASON_NONE."""
        op, order_id = command.op, command.order_id
        if op == OP_CANCEL:
            return REASON_NONE if order_id in self._orders else REJECT_UNKNOWN_ORDER
        if not _well_formed(command):
            return REJECT_INVALID_ORDER
        if command.flags & FLAG_DISPLAY and not _may_display(command):
            return REJECT_INVALID_DISPLAY
        if op != OP_MARKET and command.price <= 0:
            return REJECT_INVALID_PRICE
        if command.quantity <= 0:
            return REJECT_INVALID_QUANTITY
        old = None
        if op == OP_REPLACE:
            old = self._orders.get(order_id)
            if old is None:
                return REJECT_UNKNOWN_ORDER
        if command.incoming_id in self._orders and not (old and command.incoming_id == order_id):
            return REJECT_DUPLICATE_ORDER
        if op == OP_MARKET or (old and _keeps_priority(old, command)):
            return REASON_NONE
        return self._refusal_to_enter(command, old)

    def _refusal_to_enter(self, command: Command, old: RestingOrder | None) -> int:
        """Return why a limit order, perhaps replacing `old`, may not enter; or REASON_NONE.

        The whole quantity of a GTC order counts towards the bound of its level. If the level
        exists, nothing crosses its price, so that is also what will rest.
        """
        side = old.side if old else command.side
        beside = self._sides[side].whole(command.price)
        if old and old.price == command.price:
            beside -= old.quantity
        may_rest = command.op == OP_REPLACE or command.tif == TimeInForce.GTC
        if may_rest and beside + command.quantity > self._level_quantity_max:
            return REJECT_OVERFLOW
        others = self._sides[1 - side]
        best = others.best()
        crosses = best is not None and others.within(best, command.price)
        if command.flags & FLAG_POST_ONLY and crosses:
            return REJECT_POST_ONLY
        return REASON_NONE

    def _reject(self, command: Command, reason: int) -> Event:
        """Return the event of a refused command: its own fields, with unused ones 0."""
        op, side = command.op, command.side
        if op in (OP_CANCEL, OP_REPLACE):
            old = self._orders.get(command.order_id)
            side = old.side if old else 0
        return Event(
            EVENT_REJECT,
            side,
            reason,
            order_id=command.incoming_id,
            maker_order_id=command.order_id if op == OP_REPLACE else 0,
            price=0 if op in (OP_CANCEL, OP_MARKET) else command.price,
            quantity=0 if op == OP_CANCEL else command.quantity,
            remaining=0,
            maker_remaining=0,
            level_quantity=0,
        )

    def _execute(self, command: Command) -> list[Event]:
        """Execute a command that breaks no rule."""
        if command.op == OP_CANCEL:
            return [self._leave(self._orders[command.order_id], REASON_USER)]
        if command.op == OP_REPLACE:
            return self._replace(command)
        return self._enter(
            _Incoming(
                command.order_id,
                command.side,
                command.price if command.op == OP_LIMIT else None,
                0 if command.has_budget else command.quantity,
                command.tif,
                command.owner,
                command.self_trade,
                command.display,
                command.quantity if command.has_budget else None,
            )
        )

    # ---- matching ----

    def _enter(self, taker: _Incoming) -> list[Event]:
        """Match, then rest or discard what remains; return the events."""
        if taker.budget is not None:
            return self._spend(taker, taker.budget)
        if taker.tif == TimeInForce.FOK and self._available(taker) < taker.remaining:
            return [_discard(taker, REASON_FOK, taker.remaining)]
        events: list[Event] = []
        stopped = self._match(taker, events)
        if taker.remaining == 0:
            return events
        if stopped:
            events.append(_discard(taker, REASON_SELF_TRADE, taker.remaining))
        elif taker.limit is None:
            events.append(_discard(taker, REASON_NO_LIQUIDITY, taker.remaining))
        elif taker.tif == TimeInForce.GTC:
            events.append(self._rest(taker, taker.limit))
        else:
            events.append(_discard(taker, REASON_IOC, taker.remaining))
        return events

    def _spend(self, taker: _Incoming, budget: int) -> list[Event]:
        """Trade whole lots as long as the budget pays for them; return the events."""
        events: list[Event] = []
        room = self._level_quantity_max
        others = self._sides[1 - taker.side]
        reason = REASON_NONE
        while not reason:
            price = others.best()
            if not (budget and room) or (price and price > budget):
                reason = REASON_BUDGET
            elif price is None:
                reason = REASON_NO_LIQUIDITY
            else:
                lots = taker.remaining = min(budget // price, room)
                if self._meet(taker, others.oldest(price), events):
                    reason = REASON_SELF_TRADE
                room -= lots - taker.remaining
                budget -= (lots - taker.remaining) * price
        taker.remaining = 0
        events.append(_discard(taker, reason, 0))
        # What the budget paid for at one price is no quantity that remains.
        return [e._replace(remaining=0) if e.order_id == taker.order_id else e for e in events]

    def _match(self, taker: _Incoming, events: list[Event]) -> bool:
        """Trade until nothing remains or crosses; return whether a self-trade stopped it."""
        others = self._sides[1 - taker.side]
        while taker.remaining:
            price = others.best()
            if price is None or not others.within(price, taker.limit):
                break
            if self._meet(taker, others.oldest(price), events):
                return True
        return False

    def _meet(self, taker: _Incoming, maker: RestingOrder, events: list[Event]) -> bool:
        """Trade with a maker, or avoid a self-trade; return whether that ends the taker."""
        if taker.would_self_trade(maker):
            return self._avoid_self_trade(taker, maker, events)
        events.append(self._fill(taker, maker))
        return False

    def _avoid_self_trade(self, taker: _Incoming, maker: RestingOrder, events: list[Event]) -> bool:
        """Do what the taker's mode asks for; return whether the taker ends."""
        if taker.self_trade == SelfTrade.DECREMENT:
            self._decrement(taker, maker, events)
            return False
        if taker.self_trade != SelfTrade.CANCEL_NEWEST:
            events.append(self._leave(maker, REASON_SELF_TRADE))
        return taker.self_trade != SelfTrade.CANCEL_OLDEST

    def _decrement(self, taker: _Incoming, maker: RestingOrder, events: list[Event]) -> None:
        """Take the smaller of both quantities away from both."""
        removed = min(taker.remaining, maker.quantity)
        left = maker.quantity - removed
        if left:
            events.append(self._reduce(maker, maker.order_id, left, REASON_SELF_TRADE))
        else:
            events.append(self._leave(maker, REASON_SELF_TRADE))
        events.append(_discard(taker, REASON_SELF_TRADE, removed))

    def _fill(self, taker: _Incoming, maker: RestingOrder) -> Event:
        """Trade the taker's quantity or what the maker shows, at the maker's price."""
        quantity = min(taker.remaining, maker.visible)
        taker.remaining -= quantity
        maker_remaining = maker.quantity - quantity
        if maker_remaining:
            total = self._sides[maker.side].take(maker, quantity)
        else:
            total = self._remove(maker)
        return Event(
            EVENT_FILL,
            taker.side,
            REASON_NONE,
            taker.order_id,
            maker.order_id,
            maker.price,
            quantity,
            taker.remaining,
            maker_remaining,
            total,
        )

    def _available(self, taker: _Incoming) -> int:
        """Return what `_match` would trade if the order's quantity were unlimited.

        Orders of the same owner do not count if they may not trade. If such an order would end or
        reduce the incoming one, nothing behind it counts either: not even what an iceberg ahead of
        it hides, because its next slice would queue behind.
        """
        others = self._sides[1 - taker.side]
        available = 0
        for price in others.prices():
            if not others.within(price, taker.limit):
                break
            hidden = 0
            for maker in others.by_price[price].orders.values():
                if not taker.would_self_trade(maker):
                    available += maker.visible
                    hidden += maker.hidden
                elif taker.self_trade != SelfTrade.CANCEL_OLDEST:
                    return available
            available += hidden
        return available

    def _rest(self, taker: _Incoming, price: int) -> Event:
        """Rest the remainder at a price; return the event."""
        order = RestingOrder(
            taker.order_id, taker.side, price, taker.remaining, taker.owner, taker.display
        )
        order.show()
        return self._queue(order)

    def _queue(self, order: RestingOrder) -> Event:
        """Put an order behind all others at its price; return the event."""
        self._orders[order.order_id] = order
        total = self._sides[order.side].append(order)
        return Event(
            EVENT_REST,
            order.side,
            REASON_NONE,
            order.order_id,
            0,
            order.price,
            order.quantity,
            order.quantity,
            0,
            total,
        )

    def _remove(self, order: RestingOrder) -> int:
        """Remove a resting order from the book; return its level's new total."""
        del self._orders[order.order_id]
        return self._sides[order.side].remove(order)

    def _leave(self, order: RestingOrder, reason: int) -> Event:
        """Remove a resting order unfilled; return the event."""
        total = self._remove(order)
        return Event(
            EVENT_CANCEL,
            order.side,
            reason,
            order.order_id,
            0,
            order.price,
            order.quantity,
            0,
            0,
            total,
        )

    def _replace(self, command: Command) -> list[Event]:
        """Execute a replace that breaks no rule; return the events."""
        old = self._orders[command.order_id]
        if _keeps_priority(old, command):
            return [self._reduce(old, command.new_order_id, command.quantity, REASON_NONE)]
        left = self._leave(old, REASON_REPLACED)
        taker = _Incoming(
            command.new_order_id,
            old.side,
            command.price,
            command.quantity,
            TimeInForce.GTC,
            old.owner,
            command.self_trade,
            min(old.display, command.quantity),
        )
        return [left, *self._enter(taker)]

    def _reduce(self, order: RestingOrder, new_order_id: int, quantity: int, reason: int) -> Event:
        """Reduce an order in place, perhaps under a new id; return the event."""
        removed = order.quantity - quantity
        levels = self._sides[order.side]
        total = levels.shrink(order, removed)
        old_order_id = order.order_id
        if new_order_id != old_order_id:
            del self._orders[old_order_id]
            self._orders[new_order_id] = order
            order.order_id = new_order_id
            level = levels.by_price[order.price]
            level.orders = OrderedDict((each.order_id, each) for each in level.orders.values())
        return Event(
            EVENT_REDUCE,
            order.side,
            reason,
            new_order_id,
            old_order_id,
            order.price,
            removed,
            quantity,
            0,
            total,
        )

    # ---- views ----

    def depth(self, n: int = 0) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return the best `n` levels (0: all) of bids and of asks as (price, total), best first."""
        count = check_count(n) or None
        bids, asks = (
            [(price, levels.total(price)) for price in islice(levels.prices(), count)]
            for levels in self._sides
        )
        return bids, asks

    def levels(self, side: int) -> Iterator[tuple[int, int]]:
        """Iterate over the levels of a side as (price, total), best price first."""
        return iter(self.depth()[check_side(side)])

    def level(self, side: int, price: int) -> int:
        """Return the visible lots at a price, 0 if nothing rests there."""
        return self._sides[check_side(side)].total(as_int("price", price))

    def orders_at(self, side: int, price: int) -> list[Order]:
        """Return the orders at a price, in the order in which they will trade."""
        levels = self._sides[check_side(side)]
        level = levels.by_price.get(as_int("price", price))
        return [_order(order) for order in level.orders.values()] if level else []

    @property
    def best_bid(self) -> tuple[int, int] | None:
        """The best bid level as (price, total), or None."""
        return self._best(Side.BID)

    @property
    def best_ask(self) -> tuple[int, int] | None:
        """The best ask level as (price, total), or None."""
        return self._best(Side.ASK)

    def _best(self, side: int) -> tuple[int, int] | None:
        price = self._sides[side].best()
        return None if price is None else (price, self._sides[side].total(price))

    @property
    def level_quantity_max(self) -> int:
        """The most lots that may rest at one price of one side."""
        return self._level_quantity_max

    def __len__(self) -> int:
        """Return the number of resting orders."""
        return len(self._orders)

    def __contains__(self, order_id: object) -> bool:
        """Return whether an order is resting."""
        return as_int("order_id", order_id) in self._orders

    def get(self, order_id: int) -> Order | None:
        """Return a resting order in its current state, or None if it is not resting."""
        order = self._orders.get(as_int("order_id", order_id))
        return None if order is None else _order(order)

    def __iter__(self) -> Iterator[Order]:
        """Iterate over all resting orders: bids, then asks, by price (best first), then by age."""
        found = [
            _order(order)
            for levels in self._sides
            for price in levels.prices()
            for order in levels.by_price[price].orders.values()
        ]
        return iter(found)

    def check_invariants(self) -> None:
        """Verify the consistency of the whole book; the AssertionError says where it is broken."""
        bid, ask = self._sides[Side.BID].best(), self._sides[Side.ASK].best()
        assert bid is None or ask is None or bid < ask, f"crossed: bid {bid}, ask {ask}"
        seen: dict[int, RestingOrder] = {}
        for side, levels in enumerate(self._sides):
            ranks = sorted(levels.sign * price for price in levels.by_price)
            assert levels.ranks == ranks, f"side {side}: prices out of order"
            for price, level in levels.by_price.items():
                total = sum(order.visible for order in level.orders.values())
                assert level.orders, f"side {side}, price {price}: empty level"
                assert level.total == total, f"side {side}, price {price}: wrong total"
                whole = sum(order.quantity for order in level.orders.values())
                assert level.whole == whole, f"side {side}, price {price}: wrong sum"
                assert whole <= self._level_quantity_max, f"side {side}, price {price}: {whole}"
                for order_id, order in level.orders.items():
                    where = (order.order_id, order.side, order.price)
                    assert where == (order_id, side, price), f"order {order_id}: misplaced"
                    assert order.visible > 0, f"order {order_id}: nothing to see"
                    most = order.display or order.quantity
                    assert order.visible <= most, f"order {order_id}: visible {order.visible}"
                    assert order.hidden >= 0, f"order {order_id}: hidden {order.hidden}"
                    seen[order_id] = order
        assert seen == self._orders, "the id map differs from the orders in the levels"


# The flag that an op may have besides those of every incoming order.
_FLAG_OF = {OP_LIMIT: FLAG_DISPLAY, OP_MARKET: FLAG_BUDGET, OP_REPLACE: 0}


def _well_formed(command: Command) -> bool:
    """Return whether op, flags, id and, where the op uses them, side and tif are valid."""
    op = command.op
    return (
        op in _FLAG_OF
        and command.self_trade <= SelfTrade.DECREMENT
        and command.flags & ~15 in (0, _FLAG_OF[op])
        and not (command.has_budget and command.tif == TimeInForce.FOK)
        and command.incoming_id > 0
        and (op == OP_REPLACE or (command.side <= Side.ASK and command.tif <= TimeInForce.FOK))
    )


def _may_display(command: Command) -> bool:
    """Return whether an order may be an iceberg with its display."""
    return 0 < command.display <= command.quantity and command.tif == TimeInForce.GTC


def _keeps_priority(order: RestingOrder, command: Command) -> bool:
    """Return whether a replace leaves the order at its place in the queue."""
    return command.price == order.price and command.quantity <= order.quantity


def _discard(taker: _Incoming, reason: int, quantity: int) -> Event:
    """End a part of an incoming order; return the event."""
    taker.remaining -= quantity
    return Event(
        EVENT_DISCARD,
        taker.side,
        reason,
        taker.order_id,
        0,
        taker.limit or 0,
        quantity,
        taker.remaining,
        0,
        0,
    )


def _order(order: RestingOrder) -> Order:
    return Order(
        order.order_id,
        order.side,
        order.price,
        order.quantity,
        order.owner,
        order.display,
        order.hidden,
    )
