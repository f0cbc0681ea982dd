"""What a matching server knows at its start: the orders that its store has kept."""

from __future__ import annotations

from fastbook_server.matching.open_orders import OpenOrders
from fastbook_server.matching.order_progress import OrderProgress
from fastbook_server.matching.owners import Owners
from fastbook_server.matching.security_book import SecurityBook
from fastbook_server.values.persisted import Recovered


def restore(
    recovered: Recovered,
    markets: dict[str, SecurityBook],
    owners: Owners,
    open_orders: OpenOrders,
) -> None:
    """Let the recovered orders rest or wait, and remember those that have client order ids."""
    known: dict[str, OrderProgress] = {}
    for past in recovered.open_orders:
        order = past.order
        market = markets[order.instrument.security]
        progress = known[order.id] = OrderProgress(
            order,
            past.remaining,
            past.notional,
            past.status,
            slice=past.visible if order.display else 0,
        )
        progress.requeue(*past.queued)
        owner = owners.owner(order.user_id)
        market.restore(progress, owner.number)
        open_orders.came(market, owner, progress)
    for gone in recovered.client_orders:
        if gone.order.id not in known:
            known[gone.order.id] = OrderProgress(
                gone.order,
                gone.remaining,
                gone.notional,
                gone.status,
                gone.reason,
                gone.ended_ms,
            )
    for progress in known.values():
        for name in progress.order.client_order_ids:
            owners.remember(progress, name)
