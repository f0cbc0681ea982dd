"""The durable state in the wire's numbers, read from the store rather than matcher or feeds."""

from __future__ import annotations

import sys
from typing import NamedTuple

import msgspec

from fastbook_server.gateway import encode
from fastbook_server.store.memory import MemoryDatabase
from fastbook_server.store.memory_history import MemoryHistory
from fastbook_server.values.persisted import FillSpan
from fastbook_wire.frames import OrderView, OwnFillView, TradeView


class StoredLevel(NamedTuple):
    """A price level; equals a plain ``(price, amount)``."""

    price: float
    amount: float


class StoredBook(msgspec.Struct, frozen=True):
    """The whole aggregated book of a security, best first, as it stands after ``seq``.

    Of icebergs what shows counts; stop orders that wait are not in it.
    """

    security: str
    seq: int
    bids: list[StoredLevel]
    asks: list[StoredLevel]

    @property
    def best_bid(self) -> float | None:
        """The highest bid price."""
        return self.bids[0].price if self.bids else None

    @property
    def best_ask(self) -> float | None:
        """The lowest ask price."""
        return self.asks[0].price if self.asks else None

    def __str__(self) -> str:
        rows = [f"    {'':>12} | {p:<12g} {a:g}" for p, a in reversed(self.asks)]
        rows += [f"    {a:>12g} | {p:<12g}" for p, a in self.bids]
        return "\n".join([f"{self.security} after seq {self.seq}", *(rows or ["    (empty)"])])


def book(data: MemoryDatabase, security: str) -> StoredBook:
    """Return the book of a security, with what shows of each order in it."""
    instrument = data.instruments[security]
    sides: dict[str, dict[int, int]] = {"bid": {}, "ask": {}}
    for resting in data.open_orders.values():
        order = resting.order
        if order.instrument.security == security and not resting.held:
            assert order.price is not None, "a market order never rests"
            side = sides[order.side]
            side[order.price] = side.get(order.price, 0) + resting.visible

    def levels(name: str, best_last: bool) -> list[StoredLevel]:
        return [
            StoredLevel(instrument.tick.number(ticks), instrument.lot.number(lots))
            for ticks, lots in sorted(sides[name].items(), reverse=best_last)
        ]

    return StoredBook(
        security, data.seqs.get(security, 0), levels("bid", True), levels("ask", False)
    )


def orders(data: MemoryDatabase, user_id: str | None) -> list[OrderView]:
    """Return the open orders of a user (None: of all), oldest first."""
    found = [o for o in data.open_orders.values() if user_id in (None, o.order.user_id)]
    found.sort(key=lambda resting: resting.order.id)
    return [encode.order_view(o.order, o.remaining, o.notional, waits=o.held) for o in found]


def trades(data: MemoryDatabase, security: str) -> list[TradeView]:
    """Return all trades of a security, oldest first."""
    return [encode.trade_view(trade) for trade in data.trades.get(security, ())]


async def fills(data: MemoryDatabase, user_id: str, security: str) -> list[OwnFillView]:
    """Return all fills of a user's orders, oldest first."""
    span = FillSpan(since=0, limit=sys.maxsize)
    found = await MemoryHistory(data).own_fills(user_id, security, span)
    return [encode.own_fill_view(data.instruments[security], own) for own in found]
