"""Turns what a venue published about its book into the orders that make the same market.

A feed tells what happened to orders that rest. What it leaves out is worked out here, from the
file alone:

- **the aggressor** of executions: one order for as much as was executed, at the worst price of it;
- **earlier orders**, which the file only mentions: they are placed before the first order that came
  after them (see ``survey``);
- **stale orders**: the venue executed others that ought to have come after them, or let an order
  pass that ought to have met them, and the file never mentions them again: they are taken away;
- **auctions**: orders that cross the book although nothing is executed are held back until they no
  longer do. The venue does not match at such a time.

Each is counted. Numbers are those of the file, integers or decimals; `price_of` and `amount_of`
make decimals of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from fastbook_cli.replay.actions import Action, Undecided, VenueFill
from fastbook_cli.replay.earlier import Earlier
from fastbook_cli.replay.venue_queues import Queued, Queues
from fastbook_wire.words import SideName

OPPOSITE: dict[SideName, SideName] = {"bid": "ask", "ask": "bid"}

STALE = "stale orders taken away"
HELD = "orders held back while the venue did not match"
UNKNOWN = "executions of orders that the file does not describe"
HIDDEN = "hidden executions"
AUCTION = "executions in auctions"
PASSED = "orders that the venue passed over"
NOT_PLACED = "executions of orders that were held back"
BEYOND = "executions of more than was shown (icebergs)"

PASSED_MAX = 8
"""So many orders are taken out of the way of an execution; more say that the file is at odds."""


class VenueBook:
    """The venue's book so far; what it takes to follow it is collected in ``out``.

    With `earlier` from a survey it also places the orders from before the file; `survey` instead
    is one to fill in. `ids_ascend`: a newer order has a greater id, which is a number.
    """

    def __init__(
        self,
        notes: Undecided,
        price_of: Callable[[Any], Decimal],
        amount_of: Callable[[Any], Decimal],
        *,
        earlier: Earlier | None = None,
        survey: Earlier | None = None,
        ids_ascend: bool = False,
    ) -> None:
        self.out: list[Action] = []
        self.line = 0
        self.time_ns = 0
        self._notes = notes
        self._price_of = price_of
        self._amount_of = amount_of
        self._survey = survey
        self._orders: dict[str, Queued] = {}
        self._sides = {"bid": Queues(-1), "ask": Queues(1)}
        self._held: dict[str, Queued] = {}
        self._is_releasing = False
        self._passed: str | None = None  # the first order that a trade passes over
        self._number = 0
        self._takers = 0
        self._unended = earlier.unended if earlier is not None else frozenset()
        self._ids_ascend = ids_ascend
        self._to_come: list[str] = []
        self._earlier = earlier.orders if earlier is not None else {}
        if self._earlier:
            ids = list(self._earlier)
            self._to_come = sorted(ids, key=int, reverse=True) if ids_ascend else ids[::-1]

    @property
    def open_ids(self) -> Iterable[str]:
        """The orders that rest at the venue, as far as the file tells."""
        return self._orders.keys()

    @property
    def has_placed(self) -> bool:
        """Whether any order has come to rest so far."""
        return self._number > 0

    def would_meet(self, side: SideName, limit: Any, fills: Sequence[tuple[str, Any, Any]]) -> bool:
        """Return whether an order would find somebody to trade with, besides what it has traded.

        Without `limit` it takes any price.
        """
        return self._survey is None and self._sides[OPPOSITE[side]].meets(limit, fills)

    def knows(self, order_id: str) -> bool:
        """Return whether an order rests at the venue."""
        return self._find(order_id) is not None

    def side_of(self, order_id: str) -> SideName | None:
        """Return the side of a resting order."""
        order = self._orders.get(order_id)
        return None if order is None else order.side

    def price_at(self, order_id: str) -> Any:
        """Return the price of a resting order."""
        return self._orders[order_id].price

    def left_of(self, order_id: str) -> Any:
        """Return what is left of a resting order; 0 of any other."""
        order = self._orders.get(order_id)
        return 0 if order is None else order.amount

    # ---- what the venue says ------------------------------------------------------------------

    def add(
        self, order_id: str, side: SideName, price: Any, amount: Any, *, is_again: bool = False
    ) -> None:
        """An order has come to rest; perhaps not for the first time."""
        if self._to_come:
            self.place_earlier(int(order_id) - 1 if self._ids_ascend else None)
        if order_id in self._orders:
            self._notes.count("orders placed twice", self.line)
            return
        order = self._orders[order_id] = Queued(order_id, side, price, amount)
        if is_again:
            self._again(order)
        self._enter(order)

    def place_earlier(self, last: int | None = None) -> None:
        """Place the orders from before the file: all, or those with ids up to `last`."""
        while self._to_come and (last is None or int(self._to_come[-1]) <= last):
            order_id = self._to_come.pop()
            order = self._orders[order_id] = Queued(order_id, *self._earlier[order_id])
            self._notes.count("orders from before the file", self.line)
            self._enter(order)

    def _find(self, order_id: str) -> Queued | None:
        """Return a resting order; if it is from before the file, older ones rest by now too."""
        if self._to_come and order_id in self._earlier and order_id not in self._orders:
            self.place_earlier(int(order_id) if self._ids_ascend else None)
        return self._orders.get(order_id)

    def cancel(
        self, order_id: str, by: Any = None, seen: tuple[SideName, Any] | None = None
    ) -> None:
        """An order is gone, or so much of it; `seen` is its side and price, if the file tells."""
        order = self._find(order_id)
        if order is None:
            self._mention(order_id, by, seen, "cancels of unknown orders")
        elif by is None or by >= order.amount:
            self._drop(order)
        else:
            order.amount -= by
            self._tell_amount(order)

    def amend(self, order_id: str, price: Any, left: Any) -> None:
        """An order has another price, or so much of it is left now.

        It keeps its place in the queue if the price is the same and no more is left than before.
        """
        order = self._orders[order_id]
        if price == order.price:
            if left == order.amount:
                return
            more = left > order.amount
            order.amount = left
            if more and order.is_in:
                self._leave_queue(order)
                self._join_queue(order)
            self._tell_amount(order)
            return
        self._leave_queue(order)
        was_in, order.is_in = order.is_in, False
        order.price, order.amount = price, left
        if was_in and self._may_enter(order):
            self._join_queue(order)
            self._tell("amend", order)
        elif was_in:
            self._tell("delete", order)
            self._again(order)
            self._hold(order)
        else:
            self._held.pop(order_id, None)
            self._enter(order)
        self._release()

    def replace(self, order_id: str, new_id: str, price: Any, amount: Any) -> bool:
        """Another order has taken the place of one; return whether that one was known."""
        order = self._find(order_id)
        if order is None:
            return False
        self._drop(order)
        self.add(new_id, order.side, price, amount)
        return True

    def trade(
        self,
        side: SideName,
        fills: Sequence[tuple[str, Any, Any]],
        *,
        taker: str | None = None,
        limit: Any = None,
        rest: Any = None,
        wanted: Any = None,
        is_market: bool = False,
    ) -> None:
        """An order on `side` has executed: maker, price and amount of each match, in their order.

        `rest` of it rests at its `limit`, under its id `taker`. Without `limit` it is taken to be
        the worst price; `wanted` is its amount if that is more than what was executed.
        """
        known = [fill for fill in fills if self._is_there(fill[0])]
        if not known and limit is None and not is_market:
            return
        self._is_releasing = True  # until the end: nothing else is placed meanwhile
        makers, passed = self._execute(known)
        total: Any = sum(amount for _, _, amount in known)
        worst = known[-1][1] if known else limit
        over, self._passed = self._passed, None
        if taker is None:
            self._takers += 1
            taker = f"taker-{self._takers}"
        whole = wanted if wanted is not None else total + (rest or 0)
        price = None if is_market else worst if limit is None else limit
        resting = self._orders.pop(taker, None)
        if resting is not None and resting.is_in:  # its new price made it trade
            self._leave_queue(resting)
            amount = resting.filled + whole
            self._tell_taker("amend", resting.name, side, price, amount, makers, over)
        else:
            self._held.pop(taker, None)
            self._tell_taker("add", taker, side, price, whole, makers, over, ioc=rest is None)
            resting = Queued(taker, side, price, whole)
        resting.filled += total
        if rest is not None:
            resting.price, resting.amount = price, rest
            self._orders[taker] = resting
            self._join_queue(resting)
        for order in passed:
            self._again(order)
            self._enter(order)
        self._is_releasing = False
        self._release()

    def _execute(
        self, fills: Sequence[tuple[str, Any, Any]]
    ) -> tuple[tuple[VenueFill, ...], list[Queued]]:
        """Take the executions out of the book; return them and the orders that they passed over."""
        venue: list[VenueFill] = []
        passed: list[Queued] = []
        to_come: dict[str, Any] = {}
        for maker, _, amount in fills:
            to_come[maker] = to_come.get(maker, 0) + amount
        for maker, at, amount in fills:
            order = self._orders[maker]
            if to_come[maker] > order.amount:
                self._notes.count(BEYOND, self.line)
                self.amend(maker, order.price, to_come[maker])
            passed += self._clear_way(order, to_come)
            to_come[maker] -= amount
            venue.append(VenueFill(order.name, self._price_of(at), self._amount_of(amount)))
            self._filled(order, amount)
        return tuple(venue), passed

    # ---- what follows from it -----------------------------------------------------------------

    def _is_there(self, maker: str) -> bool:
        order = self._find(maker)
        if order is None:
            self._notes.count(UNKNOWN, self.line)
            return False
        if not order.is_in:
            self._notes.count(NOT_PLACED, self.line)
            return False
        return True

    def _mention(
        self, order_id: str, amount: Any, seen: tuple[SideName, Any] | None, otherwise: str
    ) -> None:
        if self._survey is not None and seen is not None and amount is not None:
            self._survey.mention(order_id, *seen, amount)
            self._survey.ticks.see(self._price_of(seen[1]))
            self._survey.lots.see(self._amount_of(amount))
        else:
            self._notes.count(otherwise, self.line)

    def mention(self, order_id: str, side: SideName, price: Any, amount: Any) -> None:
        """So much of an order that the file has not placed has been executed."""
        self._mention(order_id, amount, (side, price), UNKNOWN)

    def _enter(self, order: Queued) -> None:
        if self._survey is None and not self._may_enter(order):
            self._hold(order)
            return
        self._join_queue(order)
        self._tell("add", order)

    def _may_enter(self, order: Queued) -> bool:
        """Return whether an order would rest, once stale orders in its way are taken away."""
        opposite = self._sides[OPPOSITE[order.side]]
        while (best := opposite.best()) is not None:
            price = next(iter(best.values())).price
            if (order.price < price) if order.side == "bid" else (order.price > price):
                return True
            stale = [other for other in best.values() if other.id in self._unended]
            if len(stale) < len(best):
                return False
            for other in stale:
                if other.id in self._orders:
                    self._stale(other)
        return True

    def _clear_way(self, maker: Queued, met: dict[str, Any]) -> list[Queued]:
        """Take away the orders that have priority over one that is executed.

        Those that are to be met for so much in the same trade stay, or go behind the others.
        Returns those that are not stale. They are to be placed again: the venue passed them over,
        which tells that its rules have more to them than price and time.
        """
        if self._survey is not None:
            return []
        passed = []
        before = self._sides[maker.side].before(maker)
        unmet = sum(other.id not in met for other in before)
        for other in before:
            if other.id in met:
                if 0 < met[other.id] < other.amount and other.price == maker.price:
                    self._pass_over(other)
                    self._join_queue(other)
                    self._again(other)
                    self._tell("add", other)
            elif other.id in self._unended:
                self._stale(other)
            elif unmet <= PASSED_MAX:
                self._pass_over(other)
                passed.append(other)
        return passed

    def _pass_over(self, order: Queued) -> None:
        self._notes.count(PASSED, self.line)
        self._passed = self._passed or order.name
        self._leave_queue(order)
        self._tell("delete", order)
        order.is_in = False

    def _stale(self, order: Queued) -> None:
        self._notes.count(STALE, self.line)
        self._drop(order)

    def _hold(self, order: Queued) -> None:
        self._notes.count(HELD, self.line)
        self._held[order.id] = order

    def _release(self) -> None:
        """Place the orders held back that no longer cross the book."""
        if not self._held or self._is_releasing:
            return
        self._is_releasing = True  # what is placed may clear stale orders, and so come here again
        for order in [*self._held.values()]:
            if order.id in self._held and self._may_enter(order):
                self._held.pop(order.id, None)
                self._join_queue(order)
                self._tell("add", order)
        self._is_releasing = False

    def _filled(self, order: Queued, amount: Any) -> None:
        order.amount -= amount
        order.filled += amount
        if not order.amount:
            self._leave_queue(order)
            del self._orders[order.id]

    def _drop(self, order: Queued) -> None:
        self._leave_queue(order)
        del self._orders[order.id]
        if order.is_in:
            self._tell("delete", order)
            self._release()
        self._held.pop(order.id, None)

    def _again(self, order: Queued) -> None:
        """Name an order that left our market, and may come back, as another without a past."""
        order.filled = 0 * order.filled
        order.name = f"{order.id}~{self._number}"

    def _join_queue(self, order: Queued) -> None:
        order.is_in = True
        if self._survey is None:
            self._sides[order.side].push(order)

    def _leave_queue(self, order: Queued) -> None:
        if self._survey is None and order.is_in:
            self._sides[order.side].pull(order)

    # ---- actions ------------------------------------------------------------------------------

    def _tell_amount(self, order: Queued) -> None:
        if order.is_in:
            self._tell("amend", order)

    def _tell(self, op: Any, order: Queued) -> None:
        self._number += 1
        price = amount = None
        if op != "delete":
            price = self._price_of(order.price)
            amount = self._amount_of(order.filled + order.amount)
        self.out.append(
            Action(op, self._number, self.line, self.time_ns, order.name, order.side, price, amount)
        )

    def _tell_taker(
        self,
        op: Any,
        taker: str,
        side: SideName,
        price: Any,
        whole: Any,
        fills: tuple[VenueFill, ...],
        passed: str | None,
        *,
        ioc: bool = False,
    ) -> None:
        self._number += 1
        limit = None if price is None else self._price_of(price)
        ioc = ioc and limit is not None
        self.out.append(
            Action(
                op, self._number, self.line, self.time_ns, taker, side, limit,
                self._amount_of(whole), ioc, fills=fills, passed=passed,
            )
        )  # fmt: skip
