"""Order books that pip can install, each driven by one idiomatic call per operation.

The `make` of a peer imports it and returns `(run, totals)`: `run` executes rows, and `totals`
returns what was traded, as far as the peer reports it. A peer that cannot be imported is listed as
absent. The extra `peers` installs all but orderly-chaos.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.plain import FAR, Row

Run = Callable[[list[Row]], None]
Totals = Callable[[], tuple[int | None, int | None]]  # trades, volume; None: not reported


class Peer(NamedTuple):
    """Another project's order book."""

    name: str  # on PyPI
    what: str
    make: Callable[[], tuple[Run, Totals]]


def _orderly_chaos() -> tuple[Run, Totals]:
    from orderly_chaos import LimitOrderBook, Side

    traded: list[int] = []
    book = LimitOrderBook(on_trade=lambda trade: traded.append(trade.quantity))
    sides = (Side.BUY, Side.SELL)
    limit, cancel, market = book.limit, book.cancel, book.market

    def run(rows: list[Row]) -> None:
        for op, side, order_id, new_order_id, price, quantity in rows:
            if op == 0:
                limit(sides[side], order_id, quantity, price)
            elif op == 1:
                cancel(order_id)
            elif op == 2:
                cancel(order_id)
                limit(sides[side], new_order_id, quantity, price)
            else:
                market(sides[side], order_id, quantity)

    return run, lambda: (len(traded), sum(traded))


def _limit_order_book() -> tuple[Run, Totals]:
    from limit_order_book import LimitOrderBook

    book = LimitOrderBook()

    def run(rows: list[Row]) -> None:
        for op, side, order_id, new_order_id, price, quantity in rows:
            if op == 0:
                book.limit(not side, order_id, quantity, price)
            elif op == 1:
                book.cancel(order_id)
            elif op == 2:
                book.cancel(order_id)
                book.limit(not side, new_order_id, quantity, price)
            else:
                book.market(not side, order_id, quantity)

    return run, lambda: (None, None)


def _litebook() -> tuple[Run, Totals]:
    from litebook import OrderBook, OrderType

    book = OrderBook(tick_size=1.0)
    kinds = (OrderType.Buy, OrderType.Sell)
    orders: dict[int, Any] = {}
    traded: list[int] = []

    def add(order_id: int, side: int, price: float, quantity: int) -> None:
        order = book.create_order(kinds[side], price, quantity)
        orders[order_id] = order.id
        for fill in book.add(order):
            traded.append(int(fill.quantity))

    def run(rows: list[Row]) -> None:
        for op, side, order_id, new_order_id, price, quantity in rows:
            if op == 0:
                add(order_id, side, float(price), quantity)
            elif op == 1:
                book.cancel(orders[order_id])
            elif op == 2:
                book.cancel(orders[order_id])
                add(new_order_id, side, float(price), quantity)
            else:  # it has no market orders
                add(order_id, side, 1.0 if side else 65_000.0, quantity)

    return run, lambda: (len(traded), sum(traded))


def _lightmatchingengine() -> tuple[Run, Totals]:
    from lightmatchingengine.lightmatchingengine import LightMatchingEngine, Side

    book = LightMatchingEngine()
    sides = (Side.BUY, Side.SELL)
    orders: dict[int, int] = {}
    traded: list[int] = []

    def add(order_id: int, side: int, price: float, quantity: int) -> None:
        order, trades = book.add_order("X", price, quantity, sides[side])
        orders[order_id] = order.order_id
        traded.extend(int(t.trade_qty) for t in trades if t.order_id != order.order_id)

    def run(rows: list[Row]) -> None:
        for op, side, order_id, new_order_id, price, quantity in rows:
            if op == 0:
                add(order_id, side, price, quantity)
            elif op == 1:
                book.cancel_order(orders[order_id], "X")
            elif op == 2:
                book.cancel_order(orders[order_id], "X")
                add(new_order_id, side, price, quantity)
            else:
                add(order_id, side, 0, quantity)

    return run, lambda: (len(traded), sum(traded))


def _sortedcontainers() -> tuple[Run, Totals]:
    from collections import OrderedDict

    from sortedcontainers import SortedDict

    levels: tuple[Any, Any] = (SortedDict(lambda price: -price), SortedDict())
    where: dict[int, tuple[int, int]] = {}
    traded: list[int] = []

    def add(order_id: int, side: int, limit: int, quantity: int, rests: bool) -> None:
        others = levels[1 - side]
        while quantity and others:
            price, queue = others.peekitem(0)
            if price < limit if side else price > limit:
                break
            maker, available = next(iter(queue.items()))
            amount = min(available, quantity)
            quantity -= amount
            traded.append(amount)
            if amount < available:
                queue[maker] = available - amount
                continue
            cancel(maker)
        if quantity and rests:
            levels[side].setdefault(limit, OrderedDict())[order_id] = quantity
            where[order_id] = side, limit

    def cancel(order_id: int) -> None:
        side, price = where.pop(order_id)
        queue = levels[side][price]
        del queue[order_id]
        if not queue:
            del levels[side][price]

    def run(rows: list[Row]) -> None:
        for op, side, order_id, new_order_id, price, quantity in rows:
            if op == 0:
                add(order_id, side, price, quantity, True)
            elif op == 1:
                cancel(order_id)
            elif op == 2:
                cancel(order_id)
                add(new_order_id, side, price, quantity, True)
            else:
                add(order_id, side, 0 if side else FAR, quantity, False)

    return run, lambda: (len(traded), sum(traded))


PEERS = (
    Peer("orderly-chaos", "C++ by ctypes, a callback per trade", _orderly_chaos),
    Peer("limit-order-book", "C++ by ctypes, reports no trades", _limit_order_book),
    Peer("litebook", "Rust", _litebook),
    Peer("lightmatchingengine", "Cython", _lightmatchingengine),
    Peer("sortedcontainers", "a book of SortedDict and OrderedDict", _sortedcontainers),
)
