"""What a run of commands has caused, sorted by who is to hear of it."""

from __future__ import annotations

from fastbook_server.channels.trade_channel import CommittedBatch
from fastbook_server.values.events import (
    PRIVATE,
    CancelRuleChanged,
    CommandRefused,
    ExchangeEvent,
    FillReport,
    OrderEvent,
    OrderReport,
    OrdersListed,
    PrivateEvent,
    StoredEvent,
    Traded,
)


class Collected:
    """A batch that is being collected: `commands`, stamped from `since_ms` to `until_ms`.

    ``stored`` holds all events for the store, in order; of these ``orders``, ``trades`` and
    ``cancel_rules`` are for gateways, as are the ``reports``. ``weight`` is how many events there
    are; a list of orders weighs as much as what it carries.
    """

    def __init__(self) -> None:
        self.commands = 0
        self.since_ms = 0
        self.until_ms = 0
        self.weight = 0
        self.stored: list[StoredEvent] = []
        self.orders: list[OrderEvent] = []
        self.trades: list[Traded] = []
        self.reports: list[PrivateEvent] = []
        self.refused: list[CommandRefused] = []  # these are among the reports
        self.cancel_rules: list[CancelRuleChanged] = []

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
            elif isinstance(event, Traded):
                self.stored.append(event)
                self.trades.append(event)
            elif isinstance(event, CancelRuleChanged):
                self.stored.append(event)
                self.cancel_rules.append(event)
            elif type(event) not in PRIVATE:
                self.stored.append(event)  # type: ignore[arg-type]  # what is not private
                self.orders.append(event)  # type: ignore[arg-type]  # and none of those before
            else:
                weight += self._add_answer(event)  # type: ignore[arg-type]  # as PRIVATE says
        self.weight += weight
        return weight

    def committed(self, number: int, settled_ms: int, stored_ms: int) -> CommittedBatch:
        """Return what gateways are told of it, once it is durable."""
        return CommittedBatch(
            number=number,
            settled_ms=settled_ms,
            stored_ms=stored_ms,
            orders=tuple(self.orders),
            trades=tuple(self.trades),
            reports=tuple(self.reports),
            cancel_rules=tuple(self.cancel_rules),
        )

    def _add_answer(self, event: PrivateEvent) -> int:
        """Add what only its user hears of; return what it weighs more than one event."""
        self.reports.append(event)
        if isinstance(event, CommandRefused):
            self.refused.append(event)
        return len(event.reports) if isinstance(event, OrdersListed) else 0
