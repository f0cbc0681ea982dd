"""Every rule of the market, as a pure function of commands: no clock, no I/O, no randomness.

``Exchange.apply`` takes one stamped command and returns what happened. The same commands give the
same events, byte for byte, so simulation, replay and audit come for free. The books match; the
exchange knows grids, owners, limits and reports.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import fastbook
from fastbook_server.channels.order_channel import (
    CancelDue,
    Command,
    Connected,
    Deposit,
    Forget,
    GatewayCommand,
    Numbered,
    Operate,
    Replace,
    Withdraw,
)
from fastbook_server.matching.amending import amended
from fastbook_server.matching.cancel_rules import CancelRules
from fastbook_server.matching.cancelling import cancelling, open_in
from fastbook_server.matching.execution import Execution
from fastbook_server.matching.known_orders import KnownOrders
from fastbook_server.matching.ledger import Ledger
from fastbook_server.matching.limits import ExchangeLimits
from fastbook_server.matching.listing import listing
from fastbook_server.matching.open_orders import OpenOrders
from fastbook_server.matching.operating import operate
from fastbook_server.matching.order_progress import OrderProgress
from fastbook_server.matching.owners import Owners
from fastbook_server.matching.placing import Placing, Ref
from fastbook_server.matching.refusals import duplicate, named_again, overloaded
from fastbook_server.matching.restoring import restore
from fastbook_server.matching.security_book import LEVEL_QUANTITY_MAX, SecurityBook
from fastbook_server.matching.steps import PORTION, Steps, after, finished, followed_by, joined
from fastbook_server.matching.terms import RuleBroken, Terms, checked
from fastbook_server.values.events import (
    AllDeleted,
    CancelScheduled,
    CommandRefused,
    CommandTaken,
    ExchangeEvent,
)
from fastbook_server.values.instruments import default_security
from fastbook_server.values.persisted import Recovered
from fastbook_wire.commands import (
    Add,
    Amend,
    CancelAfter,
    Delete,
    DeleteAll,
    GetOrder,
    OfOneOrder,
    Orders,
)
from fastbook_wire.words import Code, Reason, SideName


class Exchange:
    """All securities and the owners of their orders; the one place where orders take effect.

    `book_type` makes the books: the Cython one, or the plain-Python one for audits. With `accounts`
    there may be accounts, even if none has been recovered. Others may match some of `securities`.
    """

    def __init__(
        self,
        recovered: Recovered,
        *,
        limits: ExchangeLimits = ExchangeLimits(),  # noqa: B008 (frozen)
        book_type: type[fastbook.OrderBook] = fastbook.OrderBook,
        accounts: bool = False,
        securities: Sequence[str] = (),
    ) -> None:
        self._open_orders_max = limits.open_orders_max
        self._open_orders_total_max = limits.open_orders_total_max
        self._client_order_ids_max = limits.client_order_ids_max
        self._client_order_ids_total_max = limits.client_order_ids_total_max
        self.markets = {
            i.security: SecurityBook(
                i,
                seq=recovered.seqs.get(i.security, 0),
                fill_id=recovered.fill_ids.get(i.security, 0),
                agg_trade_id=recovered.agg_trade_ids.get(i.security, 0),
                last_price=recovered.last_prices.get(i.security),
                book=book_type(LEVEL_QUANTITY_MAX),
            )
            for i in recovered.instruments
        }
        self._securities = list(securities or self.markets)
        self._default = default_security(recovered.instruments)
        self._owners = Owners()
        self._known = KnownOrders(self.markets.values(), self._owners)
        self._open_orders = OpenOrders(self._owners)
        self._cancel_rules = CancelRules(recovered.cancel_rules)
        self._halted = {i.security for i in recovered.instruments if i.status == "halted"}
        restore(recovered, self.markets, self._owners, self._open_orders)
        past = (recovered.instruments, recovered.balances, recovered.open_orders)
        self._ledger = Ledger(*past, active=accounts)
        self._has_accounts = self._ledger.active
        ledger = self._ledger if self._has_accounts else None
        self._placing = Placing(recovered.epoch, self._owners, self._open_orders, ledger)

    def apply(self, user_id: str, command: Command | Numbered, time_ms: int) -> list[ExchangeEvent]:
        """Return all events that the command causes, in order, the reply among them.

        Orders that expire until then end first. `time_ms` must not go back from call to call. A
        refused command changes nothing and takes no ``seq``.
        """
        return finished(self.begin(user_id, command, time_ms))

    def begin(
        self, user_id: str, command: Command | Numbered, time_ms: int
    ) -> list[ExchangeEvent] | Steps:
        """Like `apply`, but return what takes long as steps, which return the events at their end.

        Until they have been taken, nothing else may be asked of the exchange.
        """
        if type(command) is Numbered:  # for what is not a Numbered, isinstance takes far longer
            return self._numbered(user_id, command, time_ms)
        next_ms = self._open_orders.expiries.next_ms()
        if next_ms is not None and next_ms <= time_ms:
            due = self._open_orders.expiries.take_due(time_ms)
            return self._expiring(due, user_id, command, time_ms)
        begun = self._begin(user_id, command, time_ms)
        return self._followed(command, begun) if self._has_accounts else begun

    def _followed(
        self, command: Command, begun: list[ExchangeEvent] | Steps
    ) -> list[ExchangeEvent] | Steps:
        """Return what a command causes, followed by the ledger; both parts of a `Replace` are."""
        return begun if isinstance(command, Replace) else self._ledger.follow(begun)

    def _numbered(
        self, user_id: str, numbered: Numbered, time_ms: int
    ) -> list[ExchangeEvent] | Steps:
        """Let a command happen, and tell its gateway that it has."""
        command = numbered.command
        holds = user_id if isinstance(command, Connected) else None
        taken = CommandTaken(numbered.gateway, numbered.number, holds)
        if command is None:
            return [taken]
        begun = self.begin(user_id, command, time_ms)
        return [*begun, taken] if isinstance(begun, list) else followed_by(begun, taken)

    def _expiring(
        self,
        due: list[OrderProgress],
        user_id: str,
        command: Command,
        time_ms: int,
    ) -> Steps:
        """Let orders expire, and then a command happen."""
        expired = yield from self._ledger.following(self._cancelling(due, time_ms, "expired"))
        begun = self._followed(command, self._begin(user_id, command, time_ms))
        if not isinstance(begun, list):
            begun = yield from begun
        return (yield from joined(expired, begun))

    def next_expiry_ms(self) -> int | None:
        """Return the time until which `expire` finds nothing to do; None: for ever."""
        return self._open_orders.expiries.next_ms()

    def expire(self, time_ms: int) -> Steps:
        """End the orders that expire until `time_ms`; the steps return what happens."""
        due = self._open_orders.expiries.take_due(time_ms)
        return self._ledger.following(self._cancelling(due, time_ms, "expired"))

    def _begin(self, user_id: str, command: Command, time_ms: int) -> list[ExchangeEvent] | Steps:
        try:
            if type(command) is Add:
                return self._add(user_id, command, time_ms)
            if type(command) is Delete:
                return self._delete(user_id, command, time_ms)
            if type(command) is Amend:
                return self._amend(user_id, command, time_ms)
            match command:
                case DeleteAll():
                    return self._delete_all(user_id, command, time_ms)
                case GetOrder():
                    return [self._known.remembered(user_id, command, time_ms).report(command.ref)]
                case Orders():
                    return listing(self._owners, user_id, command.ref)
                case CancelAfter():
                    return self._cancel_after(user_id, command, time_ms)
                case _:
                    return self._of_gateway(user_id, command, time_ms)
        except RuleBroken as refused:
            assert not isinstance(command, GatewayCommand), "no rule forbids those"
            of_order = isinstance(command, OfOneOrder)
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
            names = ", ".join(self._securities[:10])
            wrong = f"security: expected one of {names}, got {security[:40]!r}"
            raise RuleBroken(Code.UNKNOWN_SECURITY, wrong)
        return market

    # ---- add ----------------------------------------------------------------------------------

    def _add(self, user_id: str, command: Add, time_ms: int) -> list[ExchangeEvent] | Steps:
        new = command.order
        market = self._market(new.security)
        terms = checked(new, market.instrument)
        if new.client_order_id is not None:
            self._owners.expire(time_ms)
            known = self._owners.client_order(user_id, new.client_order_id, time_ms)
            if known is not None:
                again = named_again(new.client_order_id, known, market.instrument, terms)
                if again is not None:
                    return [again.report(command.ref)]
        self._check_limits(user_id, terms, market, time_ms)
        if self._has_accounts:
            self._ledger.check_new(user_id, terms, market)
        withdraws = self._cancel_rules.cancels_on_disconnect(user_id)
        placing = self._placing
        order = placing.order(user_id, terms, new.client_order_id, market, time_ms, withdraws)
        progress = OrderProgress(order, order.quantity)
        if order.trigger_price is not None:
            return self._holding(market, progress, time_ms, command.ref)
        entering = self._placing.enter(market, progress, time_ms)
        if entering.takes_long():
            return self._adding(market, progress, entering, time_ms, command.ref)
        entering.fold()
        events = self._placing.entered(market, progress, entering, command.ref)
        if order.client_order_id is not None:
            self._remember(progress, order.client_order_id, time_ms)
        if market.stops.triggered:
            return self._then_triggered(events, market, time_ms)
        return events

    def _adding(
        self,
        market: SecurityBook,
        progress: OrderProgress,
        entering: Execution,
        time_ms: int,
        ref: Ref,
    ) -> Steps:
        """Let an order happen that has met many others."""
        if progress.order.budget is not None:
            yield from entering.gathering()
        while entering.fold(PORTION):
            yield
        events = yield from self._placing.entered_among_many(market, progress, entering, ref)
        if progress.order.client_order_id is not None:
            self._remember(progress, progress.order.client_order_id, time_ms)
        return (yield from self._then_triggered(events, market, time_ms))

    def _holding(
        self,
        market: SecurityBook,
        progress: OrderProgress,
        time_ms: int,
        ref: Ref,
    ) -> Steps:
        """Let a stop order wait, or happen if it need not."""
        events = yield from self._placing.hold(market, progress, time_ms, ref)
        if progress.order.client_order_id is not None:
            self._remember(progress, progress.order.client_order_id, time_ms)
        return (yield from self._then_triggered(events, market, time_ms))

    def _then_triggered(
        self, events: list[ExchangeEvent], market: SecurityBook, time_ms: int
    ) -> Steps:
        """Let the stop orders that were triggered follow what triggered them."""
        return (yield from self._placing.run_triggered(events, market, time_ms))

    def _remember(self, progress: OrderProgress, client_order_id: str, time_ms: int) -> None:
        """Remember an order by a new client order id; the oldest ended ones make room for it."""
        self._owners.make_room(
            progress.order.user_id,
            self._client_order_ids_max,
            self._client_order_ids_total_max,
        )
        self._owners.remember(progress, client_order_id)
        if not progress.is_open():
            self._owners.ended(progress, time_ms)

    def _check_limits(self, user_id: str, terms: Terms, market: SecurityBook, time_ms: int) -> None:
        self._check_not_halted(market)
        if terms.expire_ms is not None and terms.expire_ms <= time_ms:
            raise RuleBroken(
                Code.INVALID_ORDER,
                f"expireTime: expected a time after {time_ms}, got {terms.expire_ms}",
            )
        if terms.may_rest():
            if self._owners.open_count(user_id) >= self._open_orders_max:
                message = f"open_orders_max: {self._open_orders_max} orders are open"
                raise RuleBroken(Code.TOO_MANY_ORDERS, message)
            if self._owners.open_total() >= self._open_orders_total_max:
                raise overloaded("open_orders_total_max", self._open_orders_total_max)

    def _check_not_halted(self, market: SecurityBook) -> None:
        if self._halted and market.instrument.security in self._halted:
            raise RuleBroken(Code.HALTED, f"{market.instrument.security} is halted: deletes only")

    # ---- amend --------------------------------------------------------------------------------

    def _amend(self, user_id: str, command: Amend, time_ms: int) -> list[ExchangeEvent] | Steps:
        progress = self._known.open(user_id, command, time_ms)
        before = progress.order
        market = self.markets[before.instrument.security]
        self._check_not_halted(market)
        filled = before.quantity - progress.remaining
        after = amended(before, command, filled)
        new_name = (
            after.client_order_id if after.client_order_id != before.client_order_id else None
        )
        if new_name is not None:
            self._owners.expire(time_ms)
            known = self._owners.client_order(user_id, new_name, time_ms)
            if known is not None and known is not progress:
                raise duplicate(new_name, known.order, "newClientOrderId")
            if known is None:
                self._owners.check_room(
                    user_id,
                    of_user_max=self._client_order_ids_max,
                    total_max=self._client_order_ids_total_max,
                )
        if after is before:
            return [progress.report(command.ref)]
        if self._has_accounts:
            self._ledger.check_change(progress, after)
        if after.quantity == filled:
            market.advance()
            gone = self._open_orders.cancel(market, progress, 0, time_ms, "amend")
            return [gone, progress.report(command.ref)]
        changing = self._placing.change(market, progress, after, time_ms)
        return self._changing(market, progress, changing, new_name, time_ms, command.ref)

    def _changing(
        self,
        market: SecurityBook,
        progress: OrderProgress,
        changing: Execution,
        new_name: str | None,
        time_ms: int,
        ref: Ref,
    ) -> Steps:
        """Let an order that has changed happen anew, and be called `new_name` too."""
        while changing.fold(PORTION):
            yield
        events = yield from self._placing.changed(market, progress, changing, time_ms, ref)
        if new_name is not None:
            self._remember(progress, new_name, time_ms)
        return (yield from self._then_triggered(events, market, time_ms))

    # ---- delete -------------------------------------------------------------------------------

    def _delete(self, user_id: str, command: Delete, time_ms: int) -> list[ExchangeEvent]:
        state = self._known.open(user_id, command, time_ms)
        market = self.markets[state.order.instrument.security]
        market.advance()
        event = self._open_orders.cancel(market, state, 0, time_ms, "user")
        return [event, state.report(command.ref)]

    def _delete_all(self, user_id: str, command: DeleteAll, time_ms: int) -> Steps:
        markets = list(self.markets.values())
        if command.security is not None:
            markets = [self._market(command.security)]
        return self._deleting(user_id, markets, command, time_ms)

    def _deleting(
        self, user_id: str, markets: list[SecurityBook], command: DeleteAll, time_ms: int
    ) -> Steps:
        events = yield from self._cancelling_all(user_id, markets, time_ms, "user", command.type)
        events.insert(0, AllDeleted(user_id, command.ref, len(events) // 2))  # two of each order
        return events

    # ---- cancelled unasked --------------------------------------------------------------------

    def _cancel_after(
        self, user_id: str, command: CancelAfter, time_ms: int
    ) -> list[ExchangeEvent]:
        deadline_ms = time_ms + command.ms if command.ms else None
        changed = self._cancel_rules.set_deadline(user_id, deadline_ms)
        return [*changed, CancelScheduled(user_id, command.ref, time_ms, deadline_ms)]

    def _of_gateway(
        self, user_id: str, command: GatewayCommand, time_ms: int
    ) -> list[ExchangeEvent] | Steps:
        rules, markets = self._cancel_rules, list(self.markets.values())
        match command:
            case Connected():
                return [*rules.choose(user_id, command.cancel_on_disconnect_s)]
            case Withdraw():
                gone = self._cancelling_all(user_id, markets, time_ms, "disconnect")
                return after(rules.choose(user_id, None), gone)
            case CancelDue():
                if not rules.is_due(user_id, time_ms):
                    return []
                gone = self._cancelling_all(user_id, markets, time_ms, "cancel_after")
                return after(rules.set_deadline(user_id, None), gone)
            case Deposit():
                return self._ledger.deposit(user_id, command)
            case Operate():
                return operate(command, self._halted, self.markets, self._open_orders, time_ms)
            case Replace():
                return self._replacing(user_id, command, time_ms)
            case Forget():
                return [] if self._owners.open_count(user_id) else [*rules.drop(user_id)]

    def _replacing(self, user_id: str, command: Replace, time_ms: int) -> Steps:
        """Cancel an order, and then place another, which may spend what the first has freed."""
        gone = self._ledger.follow(self._begin(user_id, command.delete, time_ms))
        assert isinstance(gone, list), "one cancellation does not take long"
        if command.stops and isinstance(gone[-1], CommandRefused):
            return gone
        begun = self._ledger.follow(self._begin(user_id, command.add, time_ms))
        if not isinstance(begun, list):
            begun = yield from begun
        return gone + begun

    def _cancelling(self, orders: Iterable[OrderProgress], time_ms: int, reason: Reason) -> Steps:
        return cancelling(orders, self.markets, self._open_orders, time_ms, reason)

    def _cancelling_all(
        self,
        user_id: str,
        markets: list[SecurityBook],
        time_ms: int,
        reason: Reason,
        side: SideName | None = None,
    ) -> Steps:
        """Cancel the user's orders in these books, under one ``seq`` per security that changes.

        With `side`, only the orders of this side are cancelled.
        """
        mine, wanted = self._owners.open_orders(user_id), open_in(markets, side)
        return cancelling(mine, self.markets, self._open_orders, time_ms, reason, wanted)
