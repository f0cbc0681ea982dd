"""What one incoming order causes in the book, as events; all progress follows."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import fastbook
from fastbook_server.matching.open_orders import OpenOrders
from fastbook_server.matching.order_progress import OrderProgress
from fastbook_server.matching.security_book import SecurityBook
from fastbook_server.matching.steps import PORTION, Steps, joined
from fastbook_server.values._unwatched import unwatched
from fastbook_server.values.events import (
    ExchangeEvent,
    Order,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderFilled,
    OrderReport,
    OrderRested,
    Traded,
    changed,
)
from fastbook_server.values.ids import Kind, encode
from fastbook_wire.words import Reason

_TRADE = int(Kind.TRADE)

_FILL = fastbook.EVENT_FILL
_REST = fastbook.EVENT_REST
_CANCEL = fastbook.EVENT_CANCEL
_REDUCE = fastbook.EVENT_REDUCE
_DISCARD = fastbook.EVENT_DISCARD

_REASONS: dict[int, Reason] = {
    fastbook.REASON_NO_LIQUIDITY: "no_liquidity",
    fastbook.REASON_IOC: "ioc",
    fastbook.REASON_FOK: "fok",
    fastbook.REASON_SELF_TRADE: "self_trade",
}


class Execution:
    """One order entering the book under the security's newest ``seq``.

    ``public`` collects the public events, ``own_fills`` the reports to its user about each fill,
    in a self-trade of both orders, ``reports`` all others that follow its new state.
    """

    def __init__(
        self,
        market: SecurityBook,
        open_orders: OpenOrders,
        taker: OrderProgress,
        time_ms: int,
        first_n: int = 0,
    ) -> None:
        self.public: list[ExchangeEvent] = unwatched()
        self.own_fills: list[ExchangeEvent] = unwatched()
        self.reports: list[ExchangeEvent] = unwatched()
        self._market = market
        self._open_orders = open_orders
        self._taker = taker
        self._seq = market.seq
        self._time_ms = time_ms
        self._n = first_n  # of the next change or cancellation
        self._fills = self._quantity = self._notional = 0
        self._own_orders_took = False  # some of the total, by decrement
        self._happened: list[fastbook.Event] = []
        self._folded = 0  # how much of it has been taken in
        self._epoch = 0

    def begin(self, happened: list[fastbook.Event], epoch: int, skip: int = 0) -> None:
        """Be told what the book did, for `fold` to take it in after so many events."""
        self._happened, self._epoch, self._folded = happened, epoch, skip

    def takes_long(self) -> bool:
        """Whether to take in all of it at once would keep others waiting."""
        return len(self._happened) >= PORTION

    def accept(self) -> None:
        """Tell that the order is accepted; one by total, when all that it bought is known."""
        order = self._taker.order
        if order.budget is None:
            self.public.append(OrderAccepted(order))
        elif not self.takes_long():
            self._accept_for(_filled(self._happened))

    def gathering(self) -> Generator[None, None, None]:
        """Let the book finish with an order by total; then it is accepted for what it bought."""
        book, quantity = self._market.book, _filled(self._happened)
        while book.unfinished:
            yield
            more = book.go_on()
            self._happened += more
            quantity += _filled(more)
        self._accept_for(quantity)

    def _accept_for(self, quantity: int) -> None:
        taker = self._taker
        taker.order = replace(taker.order, quantity=quantity)
        taker.remaining = quantity
        self.public.append(OrderAccepted(taker.order))

    def fold(self, count: int = 0) -> bool:
        """Take in so much more of what the book did (0: all); return whether something is left.

        If the book has stopped after many events, it goes on. In the end the fills are summed up as
        one trade.
        """
        happened, start = self._happened, self._folded
        end = min(start + count, len(happened)) if count else len(happened)
        self._folded = end
        for e in happened if not start and end == len(happened) else happened[start:end]:
            kind = e.kind
            if kind == _FILL:
                self._fill(e)
            elif kind == _REST:
                self._rest(e)
            elif kind == _CANCEL:
                self._cancel_maker(e)
            elif kind == _REDUCE:
                self._reduce_maker(e)
            else:
                assert kind == _DISCARD, "no other is an effect of an incoming order"
                self._discard(e)
        if end < len(happened):
            return True
        if end >= PORTION and self._market.book.unfinished:
            self._happened, self._folded = self._market.book.go_on(), 0
            return True
        if self._fills:
            self._sum_up()
        return False

    def _sum_up(self) -> None:
        number, order = self._market.instrument.number, self._taker.order
        trade_id = encode(self._time_ms, self._epoch, self._seq, number, _TRADE)
        sums = (self._quantity, self._notional)
        self.public.append(Traded(trade_id, self._seq, self._time_ms, order, *sums))

    def amended(
        self, before: Order, happened: list[fastbook.Event], *, shown: int, stays: bool
    ) -> None:
        """Tell that the order was changed before it entered, or at its place in the queue."""
        taker = self._taker
        self.public.append(
            OrderAmended(
                self._seq,
                self._next_n(),
                self._time_ms,
                taker.order,
                before,
                taker.remaining,
                taker.notional,
                "user",
                in_book=not taker.is_held(),
                stays=stays,
                shown=shown,
                visible=taker.visible() if stays and not taker.is_held() else 0,
                level_quantity=happened[0].level_quantity if happened else 0,
                queued_seq=taker.queued_seq or before.seq,
                queued_n=taker.queued_n,
            )
        )

    def cancel_all_of_it(self, reason: Reason) -> None:
        """Cancel the order, which could not enter."""
        taker = self._taker
        where = (self._seq, self._next_n(), self._time_ms, taker.order, taker.remaining)
        self.public.append(OrderCancelled(*where, reason, False, 0))
        taker.cancel(reason)

    def told(self, state: OrderReport) -> list[ExchangeEvent]:
        """Return all events, once, with the new state of the order after its fills."""
        told = self.public
        if self.own_fills:
            told += self.own_fills
        told.append(state)
        if self.reports:
            told += self.reports
        return told

    def telling(self, state: OrderReport) -> Steps:
        """Like `told`, in steps."""
        return joined(self.public, self.own_fills, [state], self.reports)

    def _fill(self, e: fastbook.Event) -> None:
        market, taker = self._market, self._taker
        maker = market.open[e.maker_order_id]
        price, quantity = e.price, e.quantity
        market.fill_id += 1
        if not self._fills or price != market.stops.last_price:
            market.agg_trade_id += 1
        taker.fill(price, quantity)
        refilled = maker.fill(price, quantity)
        if refilled:
            maker.requeue(self._seq, self._fills)
        number, seq, time_ms = market.fill_id, self._seq, self._time_ms
        taken = taker.fill_report("taker", number, seq, time_ms, price, quantity)
        self.own_fills.append(taken)
        is_own = maker.order.user_id == taker.order.user_id
        told = self.own_fills if is_own else self.reports
        told.append(maker.fill_report("maker", number, seq, time_ms, price, quantity))
        self.public.append(
            OrderFilled(
                number,
                market.agg_trade_id,
                seq,
                self._fills,
                time_ms,
                taker.order,
                maker.order,
                price,
                quantity,
                taker.remaining,
                maker.remaining,
                maker.notional,
                e.level_quantity,
                maker.visible(),
                refilled,
            )
        )
        self._fills += 1
        self._quantity += quantity
        self._notional += price * quantity
        if not maker.remaining:
            self._open_orders.left(market, maker, self._time_ms, taker)
        self.reports.append(maker.report(None, price, quantity))
        market.stops.filled(price)

    def _rest(self, e: fastbook.Event) -> None:
        taker = self._taker
        taker.rest(self._seq)
        level = self._market.rested(taker.order, e)
        self.public.append(
            OrderRested(
                taker.order,
                taker.remaining,
                taker.notional,
                level,
                self._seq,
                taker.visible(),
            )
        )

    def _cancel_maker(self, e: fastbook.Event) -> None:
        maker = self._market.open[e.order_id]
        self._cancelled(maker, e, rested=True)
        self._open_orders.left(self._market, maker, self._time_ms, self._taker)
        self.reports.append(maker.report())

    def _reduce_maker(self, e: fastbook.Event) -> None:
        maker = self._market.open[e.order_id]
        self._decremented(maker, e, in_book=True)
        self.reports.append(maker.report())

    def _discard(self, e: fastbook.Event) -> None:
        taker, reason = self._taker, e.reason
        if reason == fastbook.REASON_SELF_TRADE and e.remaining:
            self._decremented(taker, e, in_book=False)
        elif taker.order.budget is None:
            self._cancelled(taker, e, rested=False)
        elif e.quantity:
            self._own_orders_took = True
        elif reason != fastbook.REASON_BUDGET:  # it could have paid for more
            self._cancelled(taker, e, rested=False)
        elif not self._fills:  # it paid for no lot
            took = self._own_orders_took
            self._cancelled(taker, e, rested=False, reason="self_trade" if took else "total")

    def _cancelled(
        self, gone: OrderProgress, e: fastbook.Event, *, rested: bool, reason: Reason | None = None
    ) -> None:
        reason = reason or _REASONS[e.reason]
        shown = gone.visible() if rested else 0
        where = (self._seq, self._next_n(), self._time_ms, gone.order, e.quantity)
        self.public.append(OrderCancelled(*where, reason, rested, e.level_quantity, shown))
        gone.cancel(reason)

    def _decremented(self, lessened: OrderProgress, e: fastbook.Event, *, in_book: bool) -> None:
        before, shown = lessened.order, lessened.visible()
        quantity = before.quantity - e.quantity
        lessened.amend(changed(before, price=before.price, quantity=quantity))
        self.public.append(
            OrderAmended(
                self._seq,
                self._next_n(),
                self._time_ms,
                lessened.order,
                before,
                lessened.remaining,
                lessened.notional,
                "self_trade",
                in_book=in_book,
                stays=True,
                shown=shown,
                visible=lessened.visible() if in_book else 0,
                level_quantity=e.level_quantity,
                queued_seq=lessened.queued_seq or before.seq,
                queued_n=lessened.queued_n,
            )
        )

    def _next_n(self) -> int:
        self._n += 1
        return self._n - 1


def _filled(happened: list[fastbook.Event]) -> int:
    """Return the lots that an order has traded."""
    return sum(e.quantity for e in happened if e.kind == fastbook.EVENT_FILL)
