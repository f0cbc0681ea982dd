"""Many orders that end at once, for one reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fastbook_server.matching.open_orders import OpenOrders
from fastbook_server.matching.order_progress import OrderProgress
from fastbook_server.matching.security_book import SecurityBook
from fastbook_server.matching.steps import PORTION, Steps, joined
from fastbook_server.values._unwatched import unwatched
from fastbook_server.values.events import ExchangeEvent, Order
from fastbook_wire.words import Reason, SideName

GROUPED = 4 * PORTION
"""Orders that one step sorts out by security: little work each."""


def open_in(markets: Iterable[SecurityBook], side: SideName | None) -> Callable[[Order], bool]:
    """Return whether an order is in these books and, unless it is None, of this side."""
    securities = {market.instrument.security for market in markets}

    def wanted(order: Order) -> bool:
        return order.instrument.security in securities and side in (None, order.side)

    return wanted


def cancelling(
    orders: Iterable[OrderProgress],
    markets: dict[str, SecurityBook],
    open_orders: OpenOrders,
    time_ms: int,
    reason: Reason,
    wanted: Callable[[Order], bool] = lambda _: True,
) -> Steps:
    """Cancel those of some open orders that are `wanted`, under one ``seq`` per security."""
    events: list[ExchangeEvent] = unwatched()
    reports: list[ExchangeEvent] = unwatched()
    by_security: dict[str, list[OrderProgress]] = {}
    for n, progress in enumerate(orders):
        if wanted(progress.order):
            by_security.setdefault(progress.order.instrument.security, []).append(progress)
        if n % GROUPED == GROUPED - 1:
            yield
    for security, of_one in by_security.items():
        market = markets[security]
        market.advance()
        for n, progress in enumerate(of_one):
            events.append(open_orders.cancel(market, progress, n, time_ms, reason))
            reports.append(progress.report())
            if n % PORTION == PORTION - 1:
                yield
    return (yield from joined(events, reports))
