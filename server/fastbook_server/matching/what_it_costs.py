"""What a market order would trade now, if nothing came between."""

from __future__ import annotations

from collections.abc import Iterator

import fastbook
from fastbook_server.matching.security_book import SecurityBook
from fastbook_server.matching.terms import Terms
from fastbook_server.values.events import Order

LEVELS_FIRST = 32


def lots_and_notional(market: SecurityBook, user_id: str, terms: Terms | Order) -> tuple[int, int]:
    """Return how many lots a market order would fill, and for how many ticks x lots.

    Hidden lots count; orders of the same user do not if the order would not trade with them.
    """
    lots = notional = 0
    side = fastbook.Side.ASK if terms.side == "bid" else fastbook.Side.BID
    skips = terms.self_trade != "allow"
    for price in _prices(market.book, side):
        for order in market.book.orders_at(side, price):
            if skips and market.open[order.order_id].order.user_id == user_id:
                continue
            quantity = order.quantity
            if terms.budget is None:
                quantity = min(quantity, terms.quantity - lots)
            else:
                quantity = min(quantity, (terms.budget - notional) // price)
            lots += quantity
            notional += price * quantity
            if quantity < order.quantity or lots == terms.quantity:
                return lots, notional
    return lots, notional


def _prices(book: fastbook.OrderBook, side: fastbook.Side) -> Iterator[int]:
    """Yield the prices of a side, best first; most often a few are enough."""
    index = 0 if side is fastbook.Side.BID else 1
    first = book.depth(LEVELS_FIRST)[index]
    yield from (price for price, _ in first)
    if len(first) == LEVELS_FIRST:
        yield from (price for price, _ in book.depth()[index][LEVELS_FIRST:])
