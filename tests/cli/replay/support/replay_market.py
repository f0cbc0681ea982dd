"""A random market with price-time priority, told as events; formats are written from it.

It shares no code with the engine or the readers: queues are lists, the oldest order first.
"""

from __future__ import annotations

import random
from typing import NamedTuple

MIDDLE = 10_000


class Fill(NamedTuple):
    """One match: whose order, at which price in ticks, how many lots, what is left of it."""

    maker: int
    price: int
    lots: int
    left: int


class Event(NamedTuple):
    """What happened at a time; ``lots`` is the size that came, was taken away, or is now there.

    ``kind``: limit, ioc, market (with ``fills``, of which ``left`` rests), reduce, cancel,
    grow (more at the same price), move (another price) or replace (by the order ``new_id``).
    """

    time_ns: int
    kind: str
    order_id: int
    side: str
    price: int
    lots: int
    fills: tuple[Fill, ...] = ()
    left: int = 0
    new_id: int = 0


class _Order:
    def __init__(self, order_id: int, side: str, price: int, lots: int) -> None:
        self.id, self.side, self.price, self.left = order_id, side, price, lots


def market(count: int, seed: int, *, kinds: str = "reduce cancel replace") -> list[Event]:
    """Return so many events; `kinds` are those that happen to resting orders."""
    return list(_Market(random.Random(seed), kinds.split()).run(count))


class _Market:
    def __init__(self, rng: random.Random, kinds: list[str]) -> None:
        self._rng = rng
        self._kinds = kinds
        self._queues: dict[str, list[_Order]] = {"bid": [], "ask": []}
        self._id = 1_000
        self._time_ns = 34_200 * 10**9

    def run(self, count: int) -> list[Event]:
        events = []
        while len(events) < count:
            self._time_ns += self._rng.randrange(1, 2_000_000)
            resting = [*self._queues["bid"], *self._queues["ask"]]
            if resting and self._rng.random() < 0.4:
                event = self._change(self._rng.choice(resting))
            else:
                event = self._arrive()
            if event is not None:
                events.append(event)
        return events

    def _arrive(self) -> Event:
        rng = self._rng
        kind = rng.choices(("limit", "ioc", "market"), (8, 1, 1))[0]
        side = rng.choice(("bid", "ask"))
        away = round(rng.gauss(4, 6)) * (-1 if side == "bid" else 1)
        price, lots = MIDDLE + away, rng.randrange(1, 50)
        self._id += rng.randrange(1, 4)
        order = _Order(self._id, side, price, lots)
        fills = self._match(order, at_any=kind == "market")
        if kind == "limit" and order.left:
            self._rest(order)
        return Event(
            self._time_ns, kind, order.id, side, price, lots, fills,
            order.left if kind == "limit" else 0,
        )  # fmt: skip

    def _match(self, taker: _Order, *, at_any: bool) -> tuple[Fill, ...]:
        queue, fills = self._queues["ask" if taker.side == "bid" else "bid"], []
        while taker.left and queue:
            maker = queue[0]
            worse = maker.price > taker.price if taker.side == "bid" else maker.price < taker.price
            if worse and not at_any:
                break
            lots = min(maker.left, taker.left)
            maker.left -= lots
            taker.left -= lots
            fills.append(Fill(maker.id, maker.price, lots, maker.left))
            if not maker.left:
                queue.pop(0)
        return tuple(fills)

    def _rest(self, order: _Order) -> None:
        queue = self._queues[order.side]
        sign = -1 if order.side == "bid" else 1
        at = sum(sign * other.price <= sign * order.price for other in queue)
        queue.insert(at, order)

    def _change(self, order: _Order) -> Event | None:
        rng, kind = self._rng, self._rng.choice(self._kinds)
        queue = self._queues[order.side]
        if kind == "reduce":
            if order.left == 1:
                return None
            lots = rng.randrange(1, order.left)
            order.left -= lots
            return Event(self._time_ns, kind, order.id, order.side, order.price, lots)
        queue.remove(order)
        if kind == "cancel":
            return Event(self._time_ns, kind, order.id, order.side, order.price, order.left)
        if kind == "grow":
            order.left += rng.randrange(1, 20)
            self._rest(order)
            return Event(self._time_ns, kind, order.id, order.side, order.price, order.left)
        away = 1 if order.side == "ask" else -1
        order.price += away * rng.randrange(1, 5)  # further from the middle: it meets nobody
        before = order.id
        if kind == "replace":
            self._id += 1
            order.id = self._id
            order.left = rng.randrange(1, 50)
        self._rest(order)
        return Event(
            self._time_ns, kind, before, order.side, order.price, order.left, new_id=order.id
        )
