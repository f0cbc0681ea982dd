"""Netting: a batch of events as the rows that the tables need, and no more.

An order that comes and goes within the batch never touches ``open_orders``, and one that is filled
ten times in it is updated once. Pure: values in, tuples out, in the columns' order below.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from fastbook_server.events import (
    Order,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderRested,
    Traded,
)
from fastbook_server.store import Batch

Row = tuple[Any, ...]

ORDERS = (
    "id", "time", "user_id", "security", "type", "exec_type", "amount", "price", "seq",
    "time_in_force", "post_only", "self_trade", "client_order_id", "withdraw_on_close",
)  # fmt: skip
TRADES = (
    "id", "time", "user_id", "security", "type", "amount", "avg_price", "order_id", "seq",
)  # fmt: skip
FILLS = (
    "security", "seq", "n", "time", "type", "price_ticks", "quantity_lots",
    "maker_order_id", "maker_user_id", "taker_order_id", "taker_user_id",
)  # fmt: skip
CANCELLATIONS = (
    "security", "seq", "n", "time", "order_id", "user_id", "type", "price_ticks",
    "quantity_lots", "reason", "rested",
)  # fmt: skip
OPEN_ORDERS = (
    "id", "time", "user_id", "security", "type", "price_ticks", "quantity_lots",
    "remaining_lots", "notional", "seq", "time_in_force", "post_only", "self_trade",
    "client_order_id", "withdraw_on_close",
)  # fmt: skip

ZERO = Decimal(0)


class Rows(msgspec.Struct, frozen=True):
    """A netted batch: rows to insert by table, and columns of what to change or delete.

    ``changed`` holds (id, remaining, notional) of resting orders, ``gone`` the ids that left
    ``open_orders``, ``seqs`` the first and last seq by security, ``client_orders`` the newest
    (user_id, client_order_id, order_id, time) of each client order id.
    """

    number: int
    time_ms: int
    orders: list[Row]
    trades: list[Row]
    fills: list[Row]
    cancellations: list[Row]
    opened: list[Row]
    changed: list[tuple[str, int, Decimal]]
    gone: list[str]
    client_orders: list[tuple[str, str, str, int]]
    seqs: dict[str, tuple[int, int]]

    def checkpoints(self, every: int) -> list[str]:
        """Return the securities whose seq has passed a multiple of `every` (0: none, never)."""
        if every <= 0:
            return []
        return [
            security
            for security, (first, last) in self.seqs.items()
            if last // every > (first - 1) // every
        ]


def net(batch: Batch) -> Rows:
    """Return the rows of a batch. Its events are in order, and whole commands."""
    orders: list[Row] = []
    trades: list[Row] = []
    fills: list[Row] = []
    cancellations: list[Row] = []
    opened: dict[str, tuple[Order, int, int]] = {}
    changed: dict[str, tuple[int, int]] = {}
    gone: list[str] = []
    clients: dict[tuple[str, str], tuple[str, str, str, int]] = {}
    seqs: dict[str, tuple[int, int]] = {}

    for event in batch.events:
        kind = type(event)
        if kind is OrderAccepted:
            order = event.order
            orders.append(_order(order))
            security, seq = order.instrument.security, order.seq
            if order.client_order_id is not None:
                key = (order.user_id, order.client_order_id)
                clients[key] = (*key, order.id, order.time_ms)
        elif kind is OrderRested:
            opened[event.order.id] = (event.order, event.remaining, event.notional)
            continue
        elif kind is OrderFilled:
            maker, taker = event.maker, event.taker
            fills.append(
                (
                    maker.instrument.security, event.seq, event.n, event.time_ms, taker.side,
                    event.price, event.quantity, maker.id, maker.user_id, taker.id, taker.user_id,
                )
            )  # fmt: skip
            if event.maker_remaining == 0:
                if opened.pop(maker.id, None) is None:
                    changed.pop(maker.id, None)
                    gone.append(maker.id)
            elif maker.id in opened:
                opened[maker.id] = (maker, event.maker_remaining, event.maker_notional)
            else:
                changed[maker.id] = (event.maker_remaining, event.maker_notional)
            continue
        elif kind is OrderCancelled:
            order = event.order
            security, seq = order.instrument.security, event.seq
            cancellations.append(
                (
                    security, seq, event.n, event.time_ms, order.id, order.user_id, order.side,
                    order.price, event.quantity, event.reason, event.rested,
                )
            )  # fmt: skip
            if event.rested and opened.pop(order.id, None) is None:
                changed.pop(order.id, None)
                gone.append(order.id)
        else:
            trades.append(_trade(event))
            continue
        # Only what changed a market by a command of its own brings a new seq.
        first, last = seqs.get(security, (seq, seq))
        seqs[security] = (first, seq if seq > last else last)

    return Rows(
        number=batch.number,
        time_ms=batch.time_ms,
        orders=orders,
        trades=trades,
        fills=fills,
        cancellations=cancellations,
        opened=[_open_order(*parts) for parts in opened.values()],
        changed=[(key, left, Decimal(cost)) for key, (left, cost) in changed.items()],
        gone=gone,
        client_orders=list(clients.values()),
        seqs=seqs,
    )


def _order(order: Order) -> Row:
    instrument = order.instrument
    return (
        order.id, order.time_ms, order.user_id, instrument.security, order.side, order.exec_type,
        instrument.lot.number(order.quantity),
        None if order.price is None else instrument.tick.number(order.price),
        order.seq, order.time_in_force, order.post_only, order.self_trade,
        order.client_order_id, order.withdraw_on_close,
    )  # fmt: skip


def _trade(event: Traded) -> Row:
    order = event.order
    instrument = order.instrument
    return (
        event.id, event.time_ms, order.user_id, instrument.security, order.side,
        instrument.lot.number(event.quantity),
        instrument.average(event.notional, event.quantity),
        order.id, event.seq,
    )  # fmt: skip


def _open_order(order: Order, remaining: int, notional: int) -> Row:
    return (
        order.id, order.time_ms, order.user_id, order.instrument.security, order.side,
        order.price, order.quantity, remaining, Decimal(notional) if notional else ZERO,
        order.seq, order.time_in_force, order.post_only, order.self_trade,
        order.client_order_id, order.withdraw_on_close,
    )  # fmt: skip
