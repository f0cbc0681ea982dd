"""What the operator does on the running exchange: it takes its place among the commands."""

from __future__ import annotations

import itertools

from fastbook_server.channels.order_channel import Operate
from fastbook_server.matching.cancelling import cancelling
from fastbook_server.matching.open_orders import OpenOrders
from fastbook_server.matching.security_book import SecurityBook
from fastbook_server.matching.steps import Steps
from fastbook_server.values.events import ExchangeEvent, OperatorActed
from fastbook_wire.words import Reason


def operate(
    command: Operate,
    halted: set[str],
    markets: dict[str, SecurityBook],
    open_orders: OpenOrders,
    time_ms: int,
) -> list[ExchangeEvent] | Steps:
    """Halt or resume a security in `halted`, or cancel orders; note what the operator did."""
    action, security, user_id = command.action, command.security, command.user_id
    if action == "cancel":
        return _cancelling(command, markets, open_orders, time_ms, "operator")
    if action == "delist" and security is not None:
        halted.add(security)
        return _cancelling(command, markets, open_orders, time_ms, "delisted")
    if action == "halt" and security is not None:
        halted.add(security)
    elif action == "resume" and security is not None:
        halted.discard(security)
    return [OperatorActed(time_ms, action, security, user_id, 0)]


def _cancelling(
    command: Operate,
    markets: dict[str, SecurityBook],
    open_orders: OpenOrders,
    time_ms: int,
    reason: Reason,
) -> Steps:
    """Cancel the orders that a command names."""
    security, user_id = command.security, command.user_id
    named = [
        market for market in markets.values() if security in (None, market.instrument.security)
    ]
    of_any = itertools.chain.from_iterable(market.open.values() for market in named)
    gone = yield from cancelling(
        *(of_any, markets, open_orders, time_ms, reason),
        wanted=lambda order: user_id in (None, order.user_id),
    )
    count = len(gone) // 2  # of each order an event and a report
    gone.insert(0, OperatorActed(time_ms, command.action, security, user_id, count))
    return gone
