"""Every rule of the market, as a pure function of commands: no clock, no I/O, no randomness.

``Exchange.apply`` takes one stamped command and returns what happened. The same commands give the
same events, byte for byte, so simulation, replay and audit come for free. The books match; the
exchange knows grids, owners, limits and reports.
"""

from __future__ import annotations

import msgspec

import fastbook
from fastbook_server.channels.order_channel import (
    CancelDue,
    Connected,
    Forget,
    GatewayCommand,
    Withdraw,
)
from fastbook_server.matching.cancel_rules import CancelRules
from fastbook_server.matching.order_progress import OrderProgress
from fastbook_server.matching.owners import Owners
from fastbook_server.matching.refusals import overloaded, retried, unknown_order
from fastbook_server.matching.security_book import SecurityBook
from fastbook_server.matching.terms import RuleBroken, Terms
from fastbook_server.values import ids
from fastbook_server.values.events import (
    AllDeleted,
    CancelScheduled,
    CommandRefused,
    ExchangeEvent,
    Order,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderRested,
    OrdersListed,
    Traded,
)
from fastbook_server.values.instruments import default_security
from fastbook_server.values.persisted import Recovered
from fastbook_wire.commands import (
    Add,
    CancelAfter,
    Delete,
    DeleteAll,
    ExchangeCommand,
    GetOrder,
    Orders,
)
from fastbook_wire.words import Code, Reason, SideName

_REASONS: dict[int, Reason] = {
    fastbook.REASON_NO_LIQUIDITY: "no_liquidity",
    fastbook.REASON_IOC: "ioc",
    fastbook.REASON_FOK: "fok",
    fastbook.REASON_SELF_TRADE: "self_trade",
}


class ExchangeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of the market, per user and over all users."""

    open_orders_max: int = 200_000
    open_orders_total_max: int = 2_000_000
    client_order_ids_max: int = 500_000
    client_order_ids_total_max: int = 5_000_000


class Exchange:
    """All securities and the owners of their orders; the one place where orders take effect.

    `book_type` makes the books: the Cython one, or the plain-Python one for audits.
    """

    def __init__(
        self,
        recovered: Recovered,
        *,
        limits: ExchangeLimits = ExchangeLimits(),  # noqa: B008 (frozen)
        book_type: type[fastbook.OrderBook] = fastbook.OrderBook,
    ) -> None:
        self._epoch = recovered.epoch
        self._limits = limits
        self.markets = {
            i.security: SecurityBook(
                i,
                recovered.seqs.get(i.security, 0),
                recovered.fill_ids.get(i.security, 0),
                book_type(),
            )
            for i in recovered.instruments
        }
        self._default = default_security(recovered.instruments)
        self._by_number = {m.instrument.number: m for m in self.markets.values()}
        self._owners = Owners()
        self._cancel_rules = CancelRules(recovered.cancel_rules)
        self._restore(recovered)

    def _restore(self, recovered: Recovered) -> None:
        resting: dict[str, OrderProgress] = {}
        for past in recovered.open_orders:
            order = past.order
            market = self.markets[order.instrument.security]
            state = resting[order.id] = OrderProgress(order, past.remaining, past.notional)
            owner = self._owners.owner(order.user_id)
            market.restore(state, owner.number)
            self._owners.opened(owner, state)
        for gone in recovered.client_orders:
            if gone.order.id not in resting:
                self._owners.remember(
                    OrderProgress(
                        gone.order,
                        gone.remaining,
                        gone.notional,
                        gone.status,
                        gone.reason,
                        gone.ended_ms,
                    )
                )
        for state in resting.values():
            if state.order.client_order_id is not None:
                self._owners.remember(state)

    def apply(
        self, user_id: str, command: ExchangeCommand | GatewayCommand, time_ms: int
    ) -> list[ExchangeEvent]:
        """Return all events that the command causes, in order, the reply among them.

        `time_ms` must not go back from call to call. A refused command changes nothing and takes
        no ``seq``.
        """
        try:
            match command:
                case Add():
                    return self._add(user_id, command, time_ms)
                case Delete():
                    return self._delete(user_id, command, time_ms)
                case DeleteAll():
                    return self._delete_all(user_id, command, time_ms)
                case GetOrder():
                    return [self._lookup(user_id, command, time_ms).report(command.ref)]
                case Orders():
                    # Ids sort by age, over all securities and restarts.
                    states = sorted(self._owners.open_orders(user_id), key=lambda s: s.order.id)
                    reports = tuple(s.report() for s in states)
                    return [OrdersListed(user_id, command.ref, reports)]
                case CancelAfter():
                    return self._cancel_after(user_id, command, time_ms)
                case _:
                    return self._of_gateway(user_id, command, time_ms)
        except RuleBroken as refused:
            assert not isinstance(command, GatewayCommand), "no rule forbids those"
            of_order = isinstance(command, Add | Delete | GetOrder)
            return [
                CommandRefused(
                    user_id,
                    command.ref,
                    refused.code,
                    refused.message,
                    of_order,
                    refused.retry_after_ms,
                    command.id if isinstance(command, GetOrder) else None,
                )
            ]

    def _market(self, security: str | None) -> SecurityBook:
        security = self._default if security is None else security
        market = self.markets.get(security)
        if market is None:
            names = ", ".join(list(self.markets)[:10])
            raise RuleBroken(
                Code.UNKNOWN_SECURITY,
                f"security: expected one of {names}, got {security[:40]!r}",
            )
        return market

    # ---- add ----------------------------------------------------------------------------------

    def _add(self, user_id: str, command: Add, time_ms: int) -> list[ExchangeEvent]:
        new = command.order
        market = self._market(new.security)
        terms = Terms.check(new, market.instrument)
        if new.client_order_id is not None:
            self._owners.expire(time_ms)
            known = self._owners.client_order(user_id, new.client_order_id, time_ms)
            if known is not None:
                return [retried(known, market.instrument, terms).report(command.ref)]
        self._check_limits(user_id, terms, market)
        owner = self._owners.owner(user_id)
        try:
            happened = market.place(terms, owner.number)
        except RuleBroken:
            self._owners.release_if_idle(owner)
            raise
        order = self._accept(user_id, terms, new.client_order_id, market, time_ms)
        state = OrderProgress(order, order.quantity)
        events: list[ExchangeEvent] = [OrderAccepted(order)]
        own_fills, maker_reports = self._fold(market, state, happened, events, time_ms)
        if state.status == "open" or state.status == "partiallyFilled":
            market.open[order.seq] = state
            self._owners.opened(owner, state)
        if order.client_order_id is not None:
            self._remember(state, time_ms)
        filled = order.quantity - state.remaining
        if filled:
            trade_id = ids.encode(
                time_ms, self._epoch, order.seq, market.instrument.number, ids.Kind.TRADE
            )
            events.append(Traded(trade_id, order.seq, time_ms, order, filled, state.notional))
        events += own_fills
        events.append(state.report(command.ref))
        events += maker_reports
        self._owners.release_if_idle(owner)
        return events

    def _remember(self, progress: OrderProgress, time_ms: int) -> None:
        """Remember a new order by its client order id; the oldest ended ones make room for it."""
        self._owners.make_room(
            progress.order.user_id,
            of_user_max=self._limits.client_order_ids_max,
            total_max=self._limits.client_order_ids_total_max,
        )
        self._owners.remember(progress)
        if not progress.is_open:
            self._owners.ended(progress, time_ms)

    def _check_limits(self, user_id: str, terms: Terms, market: SecurityBook) -> None:
        if market.instrument.status == "halted":
            raise RuleBroken(Code.HALTED, f"{market.instrument.security} is halted: deletes only")
        owners, limits = self._owners, self._limits
        if terms.time_in_force == "gtc":  # it may rest
            if owners.open_count(user_id) >= limits.open_orders_max:
                message = f"open_orders_max: {limits.open_orders_max} orders are open"
                raise RuleBroken(Code.TOO_MANY_ORDERS, message)
            if owners.open_total() >= limits.open_orders_total_max:
                raise overloaded("open_orders_total_max", limits.open_orders_total_max)

    def _accept(
        self,
        user_id: str,
        terms: Terms,
        client_order_id: str | None,
        market: SecurityBook,
        time_ms: int,
    ) -> Order:
        number = market.instrument.number
        return Order(
            id=ids.encode(time_ms, self._epoch, market.seq, number, ids.Kind.ORDER),
            seq=market.seq,
            time_ms=time_ms,
            user_id=user_id,
            instrument=market.instrument,
            side=terms.side,
            exec_type="limit" if terms.price is not None else "market",
            price=terms.price,
            quantity=terms.quantity,
            time_in_force=terms.time_in_force,
            post_only=terms.post_only,
            self_trade=terms.self_trade,
            client_order_id=client_order_id,
            withdraw_on_close=self._cancel_rules.cancels_on_disconnect(user_id),
        )

    def _fold(
        self,
        market: SecurityBook,
        taker: OrderProgress,
        happened: list[fastbook.Event],
        events: list[ExchangeEvent],
        time_ms: int,
    ) -> tuple[list[ExchangeEvent], list[ExchangeEvent]]:
        """Append the public events of what the book did.

        Returns the reports to the taker, which are its fills, and those to the makers.
        """
        order, seq = taker.order, taker.order.seq
        fills = cancellations = 0
        own_fills: list[ExchangeEvent] = []
        reports: list[ExchangeEvent] = []
        for e in happened:
            kind = e.kind
            if kind == fastbook.EVENT_FILL:
                maker = market.open[e.maker_order_id]
                price, quantity = e.price, e.quantity
                market.fill_id = fill_id = market.fill_id + 1
                taker.fill(price, quantity)
                maker.fill(price, quantity)
                fill = (fill_id, seq, time_ms, price, quantity)
                own_fills.append(taker.fill_report("taker", *fill))
                reports.append(maker.fill_report("maker", *fill))
                events.append(
                    OrderFilled(
                        fill_id,
                        seq,
                        fills,
                        time_ms,
                        order,
                        maker.order,
                        price,
                        quantity,
                        maker.remaining,
                        maker.notional,
                        e.level_quantity,
                    )
                )
                fills += 1
                if not maker.remaining:
                    self._leave(market, maker, time_ms, taker)
                reports.append(maker.report(None, price, quantity))
            elif kind == fastbook.EVENT_REST:
                level = e.level_quantity
                events.append(OrderRested(order, taker.remaining, taker.notional, level))
            else:
                rested = kind == fastbook.EVENT_CANCEL
                gone = market.open[e.order_id] if rested else taker
                reason = _REASONS[e.reason]
                events.append(_cancelled(gone, seq, cancellations, time_ms, reason, e))
                cancellations += 1
                gone.cancel(reason)
                if rested:
                    self._leave(market, gone, time_ms, taker)
                    reports.append(gone.report())
        return own_fills, reports

    def _leave(
        self,
        market: SecurityBook,
        progress: OrderProgress,
        time_ms: int,
        taker: OrderProgress | None = None,
    ) -> None:
        """Drop an order that has left the book; the taker's owner keeps its number."""
        del market.open[progress.order.seq]
        self._owners.ended(progress, time_ms)
        owner = self._owners.closed(progress)
        if taker is None or taker.order.user_id != owner.user_id:
            self._owners.release_if_idle(owner)

    # ---- delete -------------------------------------------------------------------------------

    def _delete(self, user_id: str, command: Delete, time_ms: int) -> list[ExchangeEvent]:
        state = self._find(user_id, command, time_ms)
        market = self.markets[state.order.instrument.security]
        market.advance()
        event = self._remove(market, state, 0, time_ms, "user")
        return [event, state.report(command.ref)]

    def _find(self, user_id: str, command: Delete, time_ms: int) -> OrderProgress:
        """Return the user's open order. Whether an id exists is not revealed to other users."""
        found = self._known(user_id, command, time_ms)
        if found is None or not found.is_open:
            raise unknown_order("open order", command)
        return found

    def _lookup(self, user_id: str, command: GetOrder, time_ms: int) -> OrderProgress:
        """Return the user's order, open or ended, as far as it is remembered here."""
        found = self._known(user_id, command, time_ms)
        if found is None:
            raise unknown_order("order", command)
        return found

    def _known(
        self, user_id: str, command: Delete | GetOrder, time_ms: int
    ) -> OrderProgress | None:
        if command.client_order_id is not None:
            return self._owners.client_order(user_id, command.client_order_id, time_ms)
        claim = ids.decode(command.id or "")
        market = self._by_number.get(claim.instrument) if claim is not None else None
        if claim is None or market is None:
            return None
        found = market.open.get(claim.seq)
        is_it = found is not None and (found.order.id, found.order.user_id) == (command.id, user_id)
        return found if is_it else None

    def _delete_all(self, user_id: str, command: DeleteAll, time_ms: int) -> list[ExchangeEvent]:
        markets = list(self.markets.values())
        if command.security is not None:
            markets = [self._market(command.security)]
        events = self._cancel_all(user_id, markets, time_ms, "user", command.type)
        count = sum(isinstance(e, OrderCancelled) for e in events)
        return [AllDeleted(user_id, command.ref, count), *events]

    # ---- cancelled unasked --------------------------------------------------------------------

    def _cancel_after(
        self, user_id: str, command: CancelAfter, time_ms: int
    ) -> list[ExchangeEvent]:
        deadline_ms = time_ms + command.ms if command.ms else None
        changed = self._cancel_rules.set_deadline(user_id, deadline_ms)
        return [*changed, CancelScheduled(user_id, command.ref, time_ms, deadline_ms)]

    def _of_gateway(
        self, user_id: str, command: GatewayCommand, time_ms: int
    ) -> list[ExchangeEvent]:
        rules, markets = self._cancel_rules, list(self.markets.values())
        match command:
            case Connected():
                return [*rules.choose(user_id, command.cancel_on_disconnect_s)]
            case Withdraw():
                gone = self._cancel_all(user_id, markets, time_ms, "disconnect")
                return [*rules.choose(user_id, None), *gone]
            case CancelDue():
                if not rules.is_due(user_id, time_ms):
                    return []
                gone = self._cancel_all(user_id, markets, time_ms, "cancel_after")
                return [*rules.set_deadline(user_id, None), *gone]
            case Forget():
                return [] if self._owners.open_count(user_id) else [*rules.drop(user_id)]

    def _cancel_all(
        self,
        user_id: str,
        markets: list[SecurityBook],
        time_ms: int,
        reason: Reason,
        side: SideName | None = None,
    ) -> list[ExchangeEvent]:
        """Cancel the user's orders in these books, under one ``seq`` per security that changes.

        With `side`, only the orders of this side are cancelled.
        """
        events: list[ExchangeEvent] = []
        reports: list[ExchangeEvent] = []
        by_security: dict[str, list[OrderProgress]] = {m.instrument.security: [] for m in markets}
        for state in self._owners.open_orders(user_id):
            if side is not None and state.order.side != side:
                continue
            if state.order.instrument.security in by_security:
                by_security[state.order.instrument.security].append(state)
        for security, states in by_security.items():
            market = self.markets[security]
            if states:
                market.advance()
            for n, state in enumerate(states):
                events.append(self._remove(market, state, n, time_ms, reason))
                reports.append(state.report())
        return events + reports

    def _remove(
        self, market: SecurityBook, state: OrderProgress, n: int, time_ms: int, reason: Reason
    ) -> OrderCancelled:
        gone = market.book.cancel(state.order.seq)
        event = _cancelled(state, market.seq, n, time_ms, reason, gone)
        state.cancel(reason)
        self._leave(market, state, time_ms)
        return event


def _cancelled(
    state: OrderProgress,
    seq: int,
    n: int,
    time_ms: int,
    reason: Reason,
    gone: fastbook.Event,
) -> OrderCancelled:
    rested = gone.kind == fastbook.EVENT_CANCEL
    return OrderCancelled(
        seq, n, time_ms, state.order, gone.quantity, reason, rested, gone.level_quantity
    )
