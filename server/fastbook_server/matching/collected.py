"""What a run of commands has caused, sorted by who is to hear of it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, TypeVar

from fastbook_server.channels.trade_channel import CommittedBatch
from fastbook_server.matching.steps import JOINED, PORTION, Steps
from fastbook_server.values._unwatched import unwatched
from fastbook_server.values.events import (
    PRIVATE,
    BalanceChanged,
    CancelRuleChanged,
    CommandRefused,
    CommandTaken,
    ExchangeEvent,
    FillReport,
    OperatorActed,
    OrderAccepted,
    OrderCancelled,
    OrderEvent,
    OrderFilled,
    OrderReport,
    OrderRested,
    OrdersListed,
    PrivateEvent,
    StoredEvent,
    Traded,
)
from fastbook_server.values.persisted import Batch
from fastbook_server.values.portions import taken

T = TypeVar("T")

SORTED = 10 * PORTION
"""Events that one step sorts: less work than an order."""


class Collected:
    """A batch that is being collected: `commands`, stamped from `since_ms` to `until_ms`.

    The oldest has been waiting since ``since_s``, by the clock that measures.

    ``stored`` holds all events for the store, in order; of these ``orders``, ``trades``,
    ``cancel_rules`` and ``balances`` are for gateways, as are the ``reports``. ``weight`` is how
    many events there are; a list of orders weighs as much as what it carries. ``senders`` says how
    many of the commands are whose.
    """

    def __init__(self) -> None:
        self.commands = 0
        self.since_s = 0.0
        self.since_ms = 0
        self.until_ms = 0
        self.weight = 0
        self.senders: dict[str, int] = {}
        self.stored: list[StoredEvent] = unwatched()
        self.orders: list[OrderEvent] = unwatched()
        self.trades: list[Traded] = unwatched()
        self.reports: list[PrivateEvent] = unwatched()
        self.refused: list[CommandRefused] = []  # these are among the reports
        self.cancel_rules: list[CancelRuleChanged] = []
        self.operator_actions: list[OperatorActed] = []
        self.balances: list[BalanceChanged] = []
        self.taken: dict[str, int] = {}  # by gateway
        self.held: dict[str, str] = {}  # by user

    def add(self, events: list[ExchangeEvent], time_ms: int) -> int:
        """Add what one command caused; return its weight."""
        if not self.commands:
            self.since_ms = time_ms
        self.until_ms = time_ms
        self.commands += 1
        weight = len(events)
        for event in events:
            if isinstance(event, OrderReport | FillReport):
                self.reports.append(event)
            elif isinstance(event, OrderAccepted | OrderRested | OrderCancelled | OrderFilled):
                self.stored.append(event)
                self.orders.append(event)
            elif isinstance(event, Traded):
                self.stored.append(event)
                self.trades.append(event)
            elif isinstance(event, CancelRuleChanged):
                self.stored.append(event)
                self.cancel_rules.append(event)
            elif isinstance(event, OperatorActed):
                self.stored.append(event)
                self.operator_actions.append(event)
            elif isinstance(event, BalanceChanged):
                self.stored.append(event)
                self.balances.append(event)
            elif isinstance(event, CommandTaken):
                self._add_taken(event)
            elif type(event) not in PRIVATE:
                self.stored.append(event)  # type: ignore[arg-type]  # what is not private
                self.orders.append(event)  # type: ignore[arg-type]  # and none of those before
            else:
                weight += self._add_answer(event)  # type: ignore[arg-type]  # as PRIVATE says
        self.weight += weight
        return weight

    def merge(self, other: Collected, *, takes: bool = False) -> int:
        """Add what others have caused, of whom at least one; return its weight.

        With `takes`, `other` must not be used any more: of what it holds nothing is copied.
        """
        if not self.commands:
            self.since_ms = other.since_ms
        self.until_ms = other.until_ms
        self.commands += other.commands
        self.weight += other.weight
        self.stored = _together(self.stored, other.stored, takes)
        self.orders = _together(self.orders, other.orders, takes)
        self.trades = _together(self.trades, other.trades, takes)
        self.reports = _together(self.reports, other.reports, takes)
        self.refused += other.refused
        self.cancel_rules += other.cancel_rules
        self.operator_actions += other.operator_actions
        self.balances += other.balances
        self.taken |= other.taken
        self.held |= other.held
        return other.weight

    def batch(self, number: int, time_ms: int) -> Batch:
        """Return what the store is to make durable of it; no later event is before `time_ms`.

        It shares the events with this; from now on nothing may be added.
        """
        return Batch(number, time_ms, self.stored, self.reports, self.taken, self.held)

    def committed(self, number: int, settled_ms: int, stored_ms: int) -> CommittedBatch:
        """Return what gateways are told of it, once it is durable. It shares the events, too."""
        return CommittedBatch(
            number=number,
            settled_ms=settled_ms,
            stored_ms=stored_ms,
            orders=self.orders,
            trades=self.trades,
            reports=self.reports,
            cancel_rules=self.cancel_rules,
            operator_actions=self.operator_actions,
            balances=self.balances,
            taken=self.taken,
            held=self.held,
        )

    def let_go(self) -> Iterator[None]:
        """Forget all events in steps, once all have been told."""
        held: tuple[list[Any], ...] = (self.stored, self.orders, self.trades, self.reports)
        for events in held:
            for _ in taken(events, JOINED):
                yield

    def _add_taken(self, event: CommandTaken) -> None:
        self.taken[event.gateway] = event.number
        if event.holds is not None:
            self.held[event.holds] = event.gateway

    def _add_answer(self, event: PrivateEvent) -> int:
        """Add what only its user hears of; return what it weighs more than one event."""
        self.reports.append(event)
        if isinstance(event, CommandRefused):
            self.refused.append(event)
        return len(event.reports) if isinstance(event, OrdersListed) else 0


def sorting(steps: Steps, time_ms: int) -> Generator[None, None, Collected]:
    """Take the steps of one command, and sort what it caused in steps too."""
    events = yield from steps
    caused = Collected()
    caused.add([], time_ms)  # it is one command, whatever it caused
    for part in taken(events, SORTED):
        caused.add(part, time_ms)
        yield
    caused.commands = 1
    return caused


def _together(first: list[T], then: list[T], takes: bool) -> list[T]:
    """Return the one list with the other appended; with `takes` only the shorter is copied."""
    if not takes or len(then) < len(first):
        first += then
        return first
    then[:0] = first
    return then
