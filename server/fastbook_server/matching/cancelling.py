"""Many orders that end at once, for one reason."""

from __future__ import annotations

from collections.abc import Iterable

from fastbook_server.matching.open_orders import OpenOrders
from fastbook_server.matching.order_progress import OrderProgress
from fastbook_server.matching.security_book import SecurityBook
from fastbook_server.matching.steps import PORTION, Steps
from fastbook_server.values.events import ExchangeEvent
from fastbook_wire.words import Reason


def cancelling(
    orders: Iterable[OrderProgress],
    markets: dict[str, SecurityBook],
    open_orders: OpenOrders,
    time_ms: int,
    reason: Reason,
) -> Steps:
    """Cancel open orders, under one ``seq`` per security."""
    events: list[ExchangeEvent] = []
    reports: list[ExchangeEvent] = []
    by_security: dict[str, list[OrderProgress]] = {}
    for progress in orders:
        by_security.setdefault(progress.order.instrument.security, []).append(progress)
    for security, of_one in by_security.items():
        market = markets[security]
        market.advance()
        for n, progress in enumerate(of_one):
            events.append(open_orders.cancel(market, progress, n, time_ms, reason))
            reports.append(progress.report())
            if n % PORTION == PORTION - 1:
                yield
    return events + reports
