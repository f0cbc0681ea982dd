"""One security: its book, and the accepted orders that rest in it."""

from __future__ import annotations

import fastbook
from fastbook_server.matching.order_progress import OrderProgress
from fastbook_server.matching.terms import RuleBroken, Terms
from fastbook_server.values.instruments import Instrument
from fastbook_wire.words import Code

_SIDES = {"bid": fastbook.Side.BID, "ask": fastbook.Side.ASK}
_TIMES_IN_FORCE = {
    "gtc": fastbook.TimeInForce.GTC,
    "ioc": fastbook.TimeInForce.IOC,
    "fok": fastbook.TimeInForce.FOK,
}
_SELF_TRADE = {
    "allow": fastbook.SelfTrade.ALLOW,
    "cancelNewest": fastbook.SelfTrade.CANCEL_NEWEST,
    "cancelOldest": fastbook.SelfTrade.CANCEL_OLDEST,
    "cancelBoth": fastbook.SelfTrade.CANCEL_BOTH,
}


class SecurityBook:
    """The book of one instrument, its last ``seq`` and fill, and its open orders by their ``seq``.

    An order's ``seq`` is its number in the book.
    """

    def __init__(
        self, instrument: Instrument, seq: int, fill_id: int, book: fastbook.OrderBook
    ) -> None:
        self.instrument = instrument
        self.seq = seq
        self.fill_id = fill_id
        self.book = book
        self.open: dict[int, OrderProgress] = {}

    def place(self, terms: Terms, owner: int) -> list[fastbook.Event]:
        """Place an order in the book under the next number; a refused one takes none.

        Raises:
            RuleBroken: it is post-only and would cross, or a level cannot hold its quantity.
        """
        side, mode = _SIDES[terms.side], _SELF_TRADE[terms.self_trade]
        number, price, quantity = self.seq + 1, terms.price, terms.quantity
        try:
            if price is None:
                events = self.book.market(number, side, quantity, owner, mode)
            else:
                tif = _TIMES_IN_FORCE[terms.time_in_force]
                post_only = terms.post_only
                events = self.book.add(number, side, price, quantity, tif, post_only, owner, mode)
        except ValueError as error:  # terms are checked: only the sum of a level can overflow
            raise RuleBroken(Code.INVALID_AMOUNT, f"amount: {error}") from None
        if events and events[0].kind == fastbook.EVENT_REJECT:
            raise RuleBroken(
                Code.POST_ONLY_WOULD_CROSS, "the order is postOnly and would trade at once"
            )
        self.advance()
        return events

    def advance(self) -> int:
        """Count one more command that changed the security; return its ``seq``."""
        self.seq += 1
        return self.seq

    def restore(self, state: OrderProgress, owner: int) -> None:
        """Rest a recovered order; call in priority order within each price level."""
        order = state.order
        assert order.price is not None, "a market order never rests"
        side = _SIDES[order.side]
        events = self.book.add(order.seq, side, order.price, state.remaining, owner=owner)
        if [e.kind for e in events] != [fastbook.EVENT_REST]:
            raise AssertionError(f"recovered order {order.id} did not come to rest: {events}")
        self.open[order.seq] = state
