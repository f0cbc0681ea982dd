"""Events of the book, each with the fields that matter in it, and resting orders to begin with."""

from __future__ import annotations

import fastbook
from fastbook import (
    EVENT_CANCEL,
    EVENT_DISCARD,
    EVENT_FILL,
    EVENT_REDUCE,
    EVENT_REJECT,
    EVENT_REST,
    reference,
)

Book = fastbook.OrderBook | reference.OrderBook


def fill(
    side: int,
    taker: int,
    maker: int,
    price: int,
    quantity: int,
    left: int,
    of_maker: int,
    level: int,
) -> tuple[int, ...]:
    return (EVENT_FILL, side, 0, taker, maker, price, quantity, left, of_maker, level)


def rest(side: int, order_id: int, price: int, quantity: int, level: int) -> tuple[int, ...]:
    return (EVENT_REST, side, 0, order_id, 0, price, quantity, quantity, 0, level)


def cancel(
    side: int, reason: int, order_id: int, price: int, quantity: int, level: int
) -> tuple[int, ...]:
    return (EVENT_CANCEL, side, reason, order_id, 0, price, quantity, 0, 0, level)


def discard(
    side: int, reason: int, order_id: int, price: int, quantity: int, left: int = 0
) -> tuple[int, ...]:
    return (EVENT_DISCARD, side, reason, order_id, 0, price, quantity, left, 0, 0)


def reduce(
    side: int,
    order_id: int,
    old_id: int,
    price: int,
    removed: int,
    left: int,
    level: int,
    reason: int = 0,
) -> tuple[int, ...]:
    return (EVENT_REDUCE, side, reason, order_id, old_id, price, removed, left, 0, level)


def reject(
    side: int, reason: int, order_id: int, old_id: int, price: int, quantity: int
) -> tuple[int, ...]:
    return (EVENT_REJECT, side, reason, order_id, old_id, price, quantity, 0, 0, 0)


def given(book: Book, *orders: tuple[int, int, int, int] | tuple[int, int, int, int, int]) -> None:
    """Rest orders, each given as id, side, price, quantity and perhaps owner."""
    for order_id, side, price, quantity, *owner in orders:
        (event,) = book.add(order_id, side, price, quantity, owner=owner[0] if owner else 0)
        assert event.kind == EVENT_REST
