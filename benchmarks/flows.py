"""The order flows of the tables: `mixed`, a small busy book, and `deep`, a million resting orders.

Each starts with resting orders, which are not measured. Of every 100 operations that follow, about
50 are limit orders (3% of them marketable), 43 cancels and 4 replaces of orders drawn uniformly
from all that rest, and 3 market orders. A slight bias towards adds or cancels keeps the size of the
book constant. The same seed gives the same flow.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from benchmarks.plain import PlainBook, Row
from fastbook import COMMAND_DTYPE, OP_CANCEL, OP_LIMIT, OP_MARKET, OP_REPLACE

MIDDLE = 32_768


@dataclass(frozen=True)
class Shape:
    """The parameters that distinguish the flows."""

    resting: int
    distance: float  # mean distance of a new price from the middle, in ticks
    first_distance: int  # greatest distance of the first orders, in ticks; 0: like later ones
    drift: float  # probability per operation that the middle moves by a tick


SHAPES = {
    "mixed": Shape(10_000, 20.0, 0, 0.001),
    "deep": Shape(1_000_000, 2_000.0, 10_000, 0.002),
}


@dataclass(frozen=True)
class Flow:
    """A flow, and the trades that every engine must make of it."""

    name: str
    commands: NDArray[np.void]
    first: int  # number of commands that fill the book
    trades: int
    volume: int
    check: int

    @property
    def measured(self) -> int:
        """The number of operations that are measured."""
        return len(self.commands) - self.first

    def rows(self) -> list[Row]:
        """Return the commands as tuples, for engines that are called once per operation."""
        names = ["op", "side", "order_id", "new_order_id", "price", "quantity"]
        rows: list[Row] = self.commands[names].tolist()
        return rows

    def with_sparse_ids(self) -> NDArray[np.void]:
        """Return the commands with random 63-bit order ids."""
        commands = self.commands.copy()
        highest = max(int(commands["order_id"].max()), int(commands["new_order_id"].max()))
        ids = np.random.default_rng(1).integers(1, 2**63, highest + 1)
        ids[0] = 0
        commands["order_id"] = ids[self.commands["order_id"]]
        commands["new_order_id"] = ids[self.commands["new_order_id"]]
        return commands


class _Market:
    """The market that generates a flow; its plain book knows which orders rest."""

    def __init__(self, shape: Shape, operations: int, seed: int) -> None:
        self.shape = shape
        self.book = PlainBook()
        self.rows: list[Row] = []
        self.known: list[int] = []  # every id that rests, and some that no longer do
        self.next_id = 1
        self.middle = MIDDLE
        random = np.random.default_rng(seed)
        n = shape.resting + operations
        self.kind = random.random(n)
        self.pick = random.random(n)
        self.side: list[int] = random.integers(0, 2, n).tolist()
        self.quantity = random.integers(1, 101, n).tolist()
        away = np.minimum(random.geometric(1 / shape.distance, n), 15_000)
        if shape.first_distance:
            first = random.integers(1, shape.first_distance + 1, shape.resting)
            away[: shape.resting] = first
        self.away: list[int] = away.tolist()
        self.through: list[int] = np.where(
            random.random(n) < 0.03, random.integers(0, 3, n), -1
        ).tolist()
        self.drift = np.where(random.random(n) < shape.drift, random.choice([-1, 1], n), 0).tolist()

    def new_id(self) -> int:
        self.next_id += 1
        return self.next_id - 1

    def resting_id(self, pick: float) -> int:
        """Draw a resting order and remove it from `known`; 0 if there is none."""
        known = self.known
        while known:
            at = int(pick * len(known))
            known[at], known[-1] = known[-1], known[at]
            order_id = known.pop()
            if order_id in self.book.resting:
                return order_id
        return 0

    def price(self, i: int, side: int) -> int:
        through = self.through[i]
        touch = self.book.best(1 - side) if through >= 0 else None
        if touch is not None:
            return touch - through if side else touch + through
        return self.middle + self.away[i] if side else self.middle - self.away[i]

    def step(self, i: int) -> None:
        """Draw one operation and execute it."""
        resting = self.shape.resting
        bias = 0.6 * (len(self.book.resting) - resting) / resting
        draw = self.kind[i] + min(max(bias, -0.06), 0.06)
        side, quantity = self.side[i], self.quantity[i]
        self.middle += self.drift[i]
        old_id = self.resting_id(self.pick[i]) if draw >= 0.48 and self.kind[i] < 0.97 else 0
        if self.kind[i] >= 0.97:
            order_id = self.new_id()
            self.rows.append((OP_MARKET, side, order_id, 0, 0, quantity))
            self.book.market(order_id, side, quantity)
        elif old_id and self.kind[i] < 0.93:
            self.rows.append((OP_CANCEL, 0, old_id, 0, 0, 0))
            self.book.cancel(old_id)
        elif old_id:
            side = self.book.resting[old_id][1]
            price = self.price(i, side)
            if price == self.book.resting[old_id][2]:
                price += 1 if side else -1  # so that the order loses its priority in every engine
            order_id = self.new_id()
            self.rows.append((OP_REPLACE, side, old_id, order_id, price, quantity))
            if self.book.replace(old_id, order_id, price, quantity):
                self.known.append(order_id)
        else:
            self.limit(side, self.price(i, side), quantity)

    def limit(self, side: int, price: int, quantity: int) -> None:
        order_id = self.new_id()
        self.rows.append((OP_LIMIT, side, order_id, 0, price, quantity))
        if self.book.limit(order_id, side, price, quantity):
            self.known.append(order_id)


@cache
def flow(name: str, operations: int = 1_000_000, seed: int = 1) -> Flow:
    """Return a flow; generating it takes some seconds."""
    shape = SHAPES[name]
    market = _Market(shape, operations, seed)
    for i in range(shape.resting):
        side = market.side[i]
        away = market.away[i]
        market.limit(side, MIDDLE + away if side else MIDDLE - away, market.quantity[i])
    for i in range(shape.resting, shape.resting + operations):
        market.step(i)
    commands = np.zeros(len(market.rows), COMMAND_DTYPE)
    names = ("op", "side", "order_id", "new_order_id", "price", "quantity")
    for name_, column in zip(names, zip(*market.rows, strict=True), strict=True):
        commands[name_] = column
    book = market.book
    return Flow(name, commands, shape.resting, book.trades, book.volume, book.check)
