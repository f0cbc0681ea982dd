"""The book that a recording leads to where nobody else trades, without a server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

import msgspec

import fastbook
from fastbook_cli.replay.actions import Action
from fastbook_server.values.instruments import InstrumentSpec
from fastbook_wire.grid import UNITS_MAX, Grid
from fastbook_wire.words import SideName

_SIDES = {"bid": fastbook.Side.BID, "ask": fastbook.Side.ASK}
_RESTING_FROM = 1 << 48
"""Above the numbers of all actions."""
_NAMES: tuple[SideName, SideName] = ("bid", "ask")


class OrderInBook(msgspec.Struct, frozen=True, gc=False):
    """An order as it rests: what is left of it, and how much of it had been filled."""

    order_id: str
    side: SideName
    price: Decimal
    left: Decimal
    filled: Decimal


class Fold:
    """Takes actions one by one; what the instrument's server would refuse changes nothing.

    `book` is what rests at first, the oldest of each price first.
    """

    def __init__(self, spec: InstrumentSpec, book: Iterable[OrderInBook] = ()) -> None:
        self._tick, self._lot = _step(spec.tick), _step(spec.lot)
        self._book = fastbook.OrderBook()
        self._numbers: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._filled: dict[int, int] = {}
        for number, order in enumerate(book, _RESTING_FROM):
            self._numbers[order.order_id], self._names[number] = number, order.order_id
            price, lots = int(order.price / self._tick), int(order.left / self._lot)
            self._book.add(number, _SIDES[order.side], price, lots)
            if order.filled:
                self._filled[number] = int(order.filled / self._lot)

    def take(self, action: Action) -> None:
        """Carry out one action."""
        number = self._numbers.get(action.order_id)
        if action.op == "delete":
            if number is not None:
                self._book.cancel(number)
                self._forget(number)
            return
        price = None if action.price is None else _units(action.price, self._tick)
        lots = None if action.amount is None else _units(action.amount, self._lot)
        if lots is None or (price is None and action.price is not None):
            return
        if action.op == "add" and number is None:
            self._add(action, price, lots)
        elif action.op == "amend" and number is not None and price is not None:
            self._amend(number, price, lots)

    def resting(self) -> Iterator[OrderInBook]:
        """Yield all resting orders: bids, then asks, by price, the oldest first."""
        for order in self._book:
            yield OrderInBook(
                self._names[order.order_id],
                _NAMES[order.side],
                order.price * self._tick,
                order.quantity * self._lot,
                self._filled.get(order.order_id, 0) * self._lot,
            )

    def _add(self, action: Action, price: int | None, lots: int) -> None:
        number, side = action.number, _SIDES[action.side]
        self._numbers[action.order_id], self._names[number] = number, action.order_id
        if price is None:
            events = self._book.market(number, side, lots)
        else:
            tif = fastbook.TimeInForce.IOC if action.ioc else fastbook.TimeInForce.GTC
            events = self._book.add(number, side, price, lots, tif=tif, post_only=action.post_only)
        self._follow(number, events)

    def _amend(self, number: int, price: int, lots: int) -> None:
        left = lots - self._filled.get(number, 0)
        if left > 0:
            self._follow(number, self._book.replace(number, number, price, left))
        else:
            self._book.cancel(number)
            self._forget(number)

    def _follow(self, number: int, events: list[fastbook.Event]) -> None:
        for event in events:
            if event.kind == fastbook.EVENT_FILL:
                maker = event.maker_order_id
                self._filled[maker] = self._filled.get(maker, 0) + event.quantity
                self._filled[number] = self._filled.get(number, 0) + event.quantity
                if not event.maker_remaining:
                    self._forget(maker)
        if number not in self._book:
            self._forget(number)

    def _forget(self, number: int) -> None:
        del self._numbers[self._names.pop(number)]
        self._filled.pop(number, None)


def _step(grid: Grid) -> Decimal:
    return Decimal(grid.numerator) / grid.denominator


def _units(number: Decimal, step: Decimal) -> int | None:
    units = number / step
    return int(units) if 0 < units <= UNITS_MAX and units == int(units) else None
