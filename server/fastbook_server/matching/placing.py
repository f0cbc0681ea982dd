"""How orders take effect: they enter their book, wait for a trigger, or change."""

from __future__ import annotations

from collections.abc import Generator

import fastbook
from fastbook_server.matching.execution import Execution
from fastbook_server.matching.ledger import Ledger
from fastbook_server.matching.open_orders import OpenOrders
from fastbook_server.matching.order_progress import OrderProgress
from fastbook_server.matching.owners import Owners
from fastbook_server.matching.security_book import SecurityBook
from fastbook_server.matching.steps import PORTION, Steps
from fastbook_server.matching.terms import RuleBroken, Terms
from fastbook_server.values.events import (
    ExchangeEvent,
    Order,
    OrderAccepted,
    OrderHeld,
    OrderTriggered,
)
from fastbook_server.values.ids import Kind, encode
from fastbook_wire.words import Code

_ORDER = int(Kind.ORDER)

Ref = str | int | None


class Placing:
    """Lets orders take effect in their books; what happens is returned with the reply to `ref`.

    Without accounts there is no `ledger`.
    """

    def __init__(
        self, epoch: int, owners: Owners, open_orders: OpenOrders, ledger: Ledger | None
    ) -> None:
        self._epoch = epoch
        self._affords = None if ledger is None else ledger.affords
        self._owners = owners
        self._open_orders = open_orders

    def order(
        self,
        user_id: str,
        terms: Terms,
        client_order_id: str | None,
        market: SecurityBook,
        time_ms: int,
        withdraw_on_close: bool,
    ) -> Order:
        """Return the order that takes the security's next ``seq``, if it is accepted."""
        number, seq = market.instrument.number, market.seq + 1
        return Order(
            encode(time_ms, self._epoch, seq, number, _ORDER),
            seq,
            time_ms,
            user_id,
            market.instrument,
            terms.side,
            terms.exec_type,
            terms.price,
            terms.quantity,
            terms.time_in_force,
            terms.post_only,
            terms.self_trade,
            client_order_id,
            withdraw_on_close,
            terms.trigger_price,
            terms.display,
            terms.expire_ms,
            terms.budget,
        )

    def enter(self, market: SecurityBook, progress: OrderProgress, time_ms: int) -> Execution:
        """Let a new order match; what comes of it is to be folded, and then `entered`."""
        order = progress.order
        owner = self._owners.owner(order.user_id)
        try:
            happened = market.enter(order, owner.number)
        except RuleBroken:
            self._owners.release_if_idle(owner)
            raise
        market.advance()
        execution = Execution(market, self._open_orders, progress, time_ms)
        execution.begin(happened, self._epoch)
        execution.accept()
        return execution

    def entered(
        self, market: SecurityBook, progress: OrderProgress, execution: Execution, ref: Ref
    ) -> list[ExchangeEvent]:
        """Let the new order rest, if it does; return all that happened, with the reply to `ref`."""
        self._stand(market, progress)
        return execution.told(progress.report(ref))

    def entered_among_many(
        self, market: SecurityBook, progress: OrderProgress, execution: Execution, ref: Ref
    ) -> Steps:
        """Like `entered`, in steps."""
        self._stand(market, progress)
        return (yield from execution.telling(progress.report(ref)))

    def _stand(self, market: SecurityBook, progress: OrderProgress) -> None:
        owner = self._owners.owner(progress.order.user_id)
        if progress.is_open():
            self._open_orders.came(market, owner, progress)
        self._owners.release_if_idle(owner)

    def hold(
        self,
        market: SecurityBook,
        progress: OrderProgress,
        time_ms: int,
        ref: Ref,
    ) -> Steps:
        """Let a new stop order wait, unless the last fill triggers it at once."""
        order = progress.order
        progress.status = "untriggered"
        market.advance()
        self._open_orders.came(market, self._owners.owner(order.user_id), progress)
        events: list[ExchangeEvent] = [OrderAccepted(order), OrderHeld(order)]
        market.stops.hold(progress)
        if market.stops.meets(order):
            market.stops.release(progress)
            yield from self._trigger(events, market, progress, time_ms, ref)
            return events
        return [*events, progress.report(ref)]

    def run_triggered(
        self, events: list[ExchangeEvent], market: SecurityBook, time_ms: int
    ) -> Steps:
        """Let all triggered stop orders take effect, one by one, and those that they trigger.

        `events` are what has triggered them; what happens is appended.
        """
        told = len(events)
        while market.stops.triggered:
            progress = market.stops.triggered.popleft()
            market.advance()
            yield from self._trigger(events, market, progress, time_ms, None)
            if len(events) - told > PORTION:
                told = len(events)
                yield
        return events

    def _trigger(
        self,
        events: list[ExchangeEvent],
        market: SecurityBook,
        progress: OrderProgress,
        time_ms: int,
        ref: Ref,
    ) -> Generator[None, None, None]:
        """Let a stop order take effect under the security's newest ``seq``.

        `events` are what the command has caused so far; what happens is appended.
        """
        order = progress.order
        progress.status = "triggered"
        events.append(OrderTriggered(market.seq, time_ms, order))
        events.append(progress.report())
        owner = self._owners.owner(order.user_id)
        # The trigger is the first change under this seq.
        execution = Execution(market, self._open_orders, progress, time_ms, first_n=1)
        if self._affords is not None and not self._affords(market, order, events):
            execution.cancel_all_of_it("balance")
        else:
            try:
                execution.begin(market.enter(order, owner.number), self._epoch)
            except RuleBroken as refused:  # it would cross, or its level has been filled meanwhile
                crosses = refused.code == Code.POST_ONLY_WOULD_CROSS
                execution.cancel_all_of_it("post_only" if crosses else "level_full")
        while execution.fold(PORTION):
            yield
        if not progress.is_open():
            self._open_orders.left(market, progress, time_ms)
        events += yield from execution.telling(progress.report(ref))

    def change(
        self, market: SecurityBook, progress: OrderProgress, after: Order, time_ms: int
    ) -> Execution:
        """Give an open order other terms; without a larger quantity it keeps its place.

        What comes of it is to be folded, and then `changed`.

        Raises:
            RuleBroken: it is refused, and nothing has changed.
        """
        before, shown = progress.order, 0 if progress.is_held() else progress.visible()
        stays = after.price == before.price and after.quantity <= before.quantity
        happened: list[fastbook.Event] = []
        moves = (after.price, after.quantity) != (before.price, before.quantity)
        if moves and not progress.is_held():
            remaining = progress.remaining + after.quantity - before.quantity
            happened = market.replace(after, remaining)
        market.advance()
        progress.amend(after)
        execution = Execution(market, self._open_orders, progress, time_ms)
        execution.amended(before, happened, shown=shown, stays=stays)
        if not stays and not progress.is_held():
            progress.slice = 0  # it shows nothing until it rests again
            execution.begin(happened, self._epoch, skip=1)  # the end of the old order
        return execution

    def changed(
        self,
        market: SecurityBook,
        progress: OrderProgress,
        execution: Execution,
        time_ms: int,
        ref: Ref,
    ) -> Steps:
        """Return all that happened to a changed order, with the reply to `ref`."""
        if not progress.is_open():
            self._open_orders.left(market, progress, time_ms)
        return (yield from execution.telling(progress.report(ref)))
