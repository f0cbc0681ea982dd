"""What a recording must lead to: its actions folded through the reference book, nothing else.

Shares no code with the server but the engine's reference: ticks and lots are made from decimals,
``seq`` is counted by hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

import fastbook
from fastbook import reference
from fastbook_cli.replay.actions import Action

TICK = Decimal("0.1")
LOT = Decimal("1e-8")
UNITS_MAX = 2**52

Book = dict[tuple[str, int], int]
"""Lots by side and price in ticks."""


class Fill(NamedTuple):
    """One match: the taker's ``seq``, which of its fills, and both orders by their recorded ids."""

    seq: int
    n: int
    taker: str
    maker: str
    price: int
    quantity: int


class Fold:
    """The totals of a recording, every fill in order, and the books at the `seqs` asked for."""

    def __init__(self, actions: Iterable[Action], seqs: Iterable[int] = ()) -> None:
        self.seq = 0
        self.accepted = 0
        self.would_cross = 0
        self.refused: Counter[str] = Counter()
        self.cancelled = 0
        self.gone = 0
        self.fills: list[Fill] = []
        self.books: dict[int, Book] = {}
        self._wanted = set(seqs)
        self._book = reference.OrderBook()
        self._names: dict[int, str] = {}
        self._resting: dict[str, int] = {}
        self._levels: Book = {}
        for action in actions:
            self._add(action) if action.op == "add" else self._delete(action)

    @property
    def traded_lots(self) -> int:
        return sum(f.quantity for f in self.fills)

    @property
    def open_orders(self) -> int:
        return len(self._resting)

    def _add(self, action: Action) -> None:
        price, quantity = _units(action.price, TICK), _units(action.amount, LOT)
        if quantity is None or (price is None and action.price is not None):
            self.refused["invalid_amount" if quantity is None else "invalid_price"] += 1
            return
        side = fastbook.Side.BID if action.side == "bid" else fastbook.Side.ASK
        number = self.seq + 1
        events = (
            self._book.market(number, side, quantity)
            if price is None
            else self._book.add(number, side, price, quantity, post_only=action.post_only)
        )
        if events and events[0].kind == fastbook.EVENT_REJECT:
            self.would_cross += 1
            return
        self._next_seq()
        self.accepted += 1
        self._names[number] = action.order_id
        for n, event in enumerate(events):
            if event.kind == fastbook.EVENT_FILL:
                maker = self._names[event.maker_order_id]
                self.fills.append(
                    Fill(number, n, action.order_id, maker, event.price, event.quantity)
                )
                self._change("ask" if action.side == "bid" else "bid", event.price, -event.quantity)
                if not event.maker_remaining:
                    del self._resting[maker]
            elif event.kind == fastbook.EVENT_REST:
                assert price is not None
                self._resting[action.order_id] = number
                self._change(action.side, price, event.quantity)
        self._look()

    def _delete(self, action: Action) -> None:
        number = self._resting.pop(action.order_id, None)
        if number is None:
            self.gone += 1
            return
        self._next_seq()
        self.cancelled += 1
        event = self._book.cancel(number)
        side = "bid" if event.side == fastbook.Side.BID else "ask"
        self._change(side, event.price, -event.quantity)
        self._look()

    def _next_seq(self) -> int:
        self.seq += 1
        return self.seq

    def _change(self, side: str, price: int, quantity: int) -> None:
        level = self._levels.get((side, price), 0) + quantity
        if level:
            self._levels[side, price] = level
        else:
            del self._levels[side, price]

    def _look(self) -> None:
        if self.seq in self._wanted:
            self.books[self.seq] = dict(self._levels)


def _units(number: Decimal | None, step: Decimal) -> int | None:
    if number is None:
        return None
    units = number / step
    return int(units) if units == int(units) and 0 < units <= UNITS_MAX else None
