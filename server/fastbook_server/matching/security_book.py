"""One security: its book, its waiting stop orders, and all accepted orders that are open."""

from __future__ import annotations

import fastbook
from fastbook_server.matching.order_progress import OrderProgress
from fastbook_server.matching.steps import PORTION
from fastbook_server.matching.stops import Stops
from fastbook_server.matching.terms import RuleBroken
from fastbook_server.values.events import Order
from fastbook_server.values.instruments import Instrument
from fastbook_wire.grid import UNITS_MAX
from fastbook_wire.words import Code

_SIDES: dict[str, int] = {"bid": fastbook.Side.BID, "ask": fastbook.Side.ASK}
_TIMES_IN_FORCE: dict[str, int] = {
    "gtc": fastbook.TimeInForce.GTC,
    "gtt": fastbook.TimeInForce.GTC,
    "ioc": fastbook.TimeInForce.IOC,
    "fok": fastbook.TimeInForce.FOK,
}
_SELF_TRADE: dict[str, int] = {
    "allow": fastbook.SelfTrade.ALLOW,
    "cancelNewest": fastbook.SelfTrade.CANCEL_NEWEST,
    "cancelOldest": fastbook.SelfTrade.CANCEL_OLDEST,
    "cancelBoth": fastbook.SelfTrade.CANCEL_BOTH,
    "decrement": fastbook.SelfTrade.DECREMENT,
}
_REJECT = fastbook.EVENT_REJECT

LEVEL_QUANTITY_MAX = UNITS_MAX
"""The most lots at one price of one side: a double must carry the sum to the lot."""


class SecurityBook:
    """The book of one instrument, its last ``seq`` and fill, and its open orders by their ``seq``.

    An order's ``seq`` is its number in the book.
    """

    def __init__(
        self,
        instrument: Instrument,
        *,
        seq: int,
        fill_id: int,
        agg_trade_id: int,
        last_price: int | None,
        book: fastbook.OrderBook,
    ) -> None:
        self.instrument = instrument
        self.seq = seq
        self.fill_id = fill_id
        self.agg_trade_id = agg_trade_id
        self.book = book
        book.events_at_once = PORTION
        self.open: dict[int, OrderProgress] = {}
        self.stops = Stops(last_price)

    def enter(self, order: Order, owner: int) -> list[fastbook.Event]:
        """Let an order match and rest as its terms say; a refused one changes nothing.

        Raises:
            RuleBroken: it is post-only and would cross, or a level cannot hold its quantity.
        """
        side, mode = _SIDES[order.side], _SELF_TRADE[order.self_trade]
        tif, number = _TIMES_IN_FORCE[order.time_in_force], order.seq
        price, quantity, budget = order.price, order.quantity, 0
        try:
            if price is not None:
                post_only, display = order.post_only, order.display
                return _accepted(
                    self.book.add(
                        number, side, price, quantity, tif, post_only, owner, mode, display
                    )
                )
            if order.budget is not None:
                quantity, budget = 0, order.budget
            return _accepted(self.book.market(number, side, quantity, owner, mode, tif, budget))
        except ValueError:
            raise self._no_room() from None

    def replace(self, order: Order, remaining: int) -> list[fastbook.Event]:
        """Give a resting order the price and self-trade mode of `order`, and so many open lots.

        Raises like `enter`.
        """
        mode = _SELF_TRADE[order.self_trade]
        assert order.price is not None, "a market order never rests"
        number, price, post_only = order.seq, order.price, order.post_only
        try:
            return _accepted(self.book.replace(number, number, price, remaining, post_only, mode))
        except ValueError:
            raise self._no_room() from None

    def rested(self, order: Order, event: fastbook.Event) -> int:
        """Return the visible lots at its price after an order has come to rest, by EVENT_REST.

        A book keeps no more of a display than the quantity, which may have grown again since: all
        of the display shows.
        """
        if not order.display:
            return event.level_quantity
        resting = self.book.get(order.seq)
        assert resting is not None, "it has come to rest"
        if resting.display >= min(order.display, resting.quantity):
            return event.level_quantity
        self.book.cancel(order.seq)
        return self._rest(order, resting.quantity, resting.owner).level_quantity

    def _no_room(self) -> RuleBroken:
        """Return the refusal of an order for which the sum of a level has no room."""
        most = self.instrument.lot.number(LEVEL_QUANTITY_MAX)
        message = f"amount: a level holds at most {most!r}, and this one has no room for it"
        return RuleBroken(Code.INVALID_AMOUNT, message)

    def advance(self) -> int:
        """Count one more command that changed the security; return its ``seq``."""
        self.seq += 1
        return self.seq

    def restore(self, progress: OrderProgress, owner: int) -> None:
        """Rest a recovered order, or let it wait; call in priority order within each level.

        Then note that it is open.
        """
        order = progress.order
        if progress.is_held():
            self.stops.hold(progress)
            return
        self._rest(order, progress.remaining, owner, progress.slice)

    def _rest(self, order: Order, remaining: int, owner: int, visible: int = 0) -> fastbook.Event:
        assert order.price is not None, "a market order never rests"
        display = min(order.display, remaining)
        side, number = _SIDES[order.side], order.seq
        return self.book.rest(number, side, order.price, remaining, owner, display, visible)


def _accepted(events: list[fastbook.Event]) -> list[fastbook.Event]:
    """Return what the book did, unless it refused a post-only order."""
    if events and events[0].kind == _REJECT:
        raise RuleBroken(
            Code.POST_ONLY_WOULD_CROSS, "the order is postOnly and would trade at once"
        )
    return events
