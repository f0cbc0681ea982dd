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
    """Let the recovered orders rest or wait, and remember those that have client order ids.

    The ended ones first: an id that came again names the newer order.
    """
    named = {gone.order.id for gone in recovered.client_orders}
    still_open = named and {past.order.id for past in recovered.open_orders} & named
    for gone in recovered.client_orders:
        order = gone.order
        if order.id not in still_open:
            progress = OrderProgress(
                order, gone.remaining, gone.notional, gone.status, gone.reason, gone.ended_ms
            )
            for name in order.client_order_ids:
                owners.remember(progress, name)
    for past in recovered.open_orders:
        order = past.order
        market = markets[order.instrument.security]
        slice_ = past.visible if order.display else 0
        progress = OrderProgress(
            order, past.remaining, past.notional, past.status, None, None, slice_
        )
        progress.requeue(past.queued[0], past.queued[1])
        owner = owners.owner(order.user_id)
        market.restore(progress, owner.number)
        open_orders.came(market, owner, progress)
        if order.client_order_id is not None:
            owners.remember(progress, order.client_order_id)
        for name in order.former_client_order_ids:
            owners.remember(progress, name)
