"""A whole book that stands in the middle of a recording, and the book that was followed so far.

Venues publish one at the start of each day, or after a gap. What is in both stays where it is, so
that the market does not vanish for a moment; only what differs is placed, changed or taken away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from fastbook_cli.replay.venue_book import VenueBook
from fastbook_wire.words import SideName


class Listed(NamedTuple):
    """An order of a snapshot; those of one price are in their order."""

    order_id: str
    side: SideName
    price: Any
    amount: Any


def reconcile(book: VenueBook, listed: Sequence[Listed]) -> None:
    """Make of `book` what the snapshot lists."""
    there = {order.order_id: order for order in listed}
    is_first = not book.has_placed  # later, an id may come a second time
    for order_id in [*book.open_ids]:
        order = there.get(order_id)
        if order is None or book.side_of(order_id) != order.side:
            book.cancel(order_id)
    for order in listed:
        if book.side_of(order.order_id) is None:
            book.add(*order, is_again=not is_first)
        else:
            book.amend(order.order_id, order.price, order.amount)
