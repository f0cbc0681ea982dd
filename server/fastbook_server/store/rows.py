"""Net a batch of events to the fewest rows that its tables need.

An order that comes and goes within the batch never touches ``open_orders``; one that is filled ten
times is updated once. Pure: each row is a tuple in the order of its table's columns below.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, assert_never

import msgspec

from fastbook_server.store import Batch
from fastbook_server.values.candles import CandleSeries
from fastbook_server.values.events import (
    CancelRuleChanged,
    Order,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderRested,
    Traded,
)
from fastbook_wire.words import INTERVALS

Row = tuple[Any, ...]
CandleRow = tuple[str, int, int, int, int, int, int, Decimal, int]
"""Security, interval_ms, time; open, high, low, close in ticks; volume in lots; trades."""

ORDERS = (
    "id", "time", "user_id", "security", "type", "exec_type", "amount", "price", "seq",
    "time_in_force", "post_only", "self_trade", "client_order_id", "withdraw_on_close",
)  # fmt: skip
TRADES = (
    "id", "time", "user_id", "security", "type", "amount", "avg_price", "order_id", "seq",
)  # fmt: skip
FILLS = (
    "security", "seq", "n", "time", "type", "price_ticks", "quantity_lots",
    "maker_order_id", "maker_user_id", "taker_order_id", "taker_user_id", "fill_id",
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


class Rows(msgspec.Struct, frozen=True):
    """A netted batch: the rows to insert into each table, and the open orders to change or delete.

    ``opened`` are rows of ``open_orders``; ``changed`` holds (id, remaining, notional) of orders
    that were in it before the batch, ``gone`` the ids of those that left it. ``client_orders`` has
    the newest (user_id, client_order_id, order_id, time, ended) of each new client order id,
    ``ended_client_orders`` (user_id, client_order_id, order_id, ended) of earlier ones, ``seqs``
    the first and last seq of each security, ``fill_ids`` its last fill. ``candles`` is what this
    batch adds to each bucket, ``cancel_rules`` the newest (user_id, after_disconnect_s, deadline)
    of users whose rule changed. Quantities are in lots, notionals in ticks x lots, times in Unix
    milliseconds.
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
    client_orders: list[tuple[str, str, str, int, int | None]]
    ended_client_orders: list[tuple[str, str, str, int]]
    seqs: dict[str, tuple[int, int]]
    fill_ids: dict[str, int]
    candles: list[CandleRow]
    cancel_rules: list[tuple[str, int | None, int | None]]

    def checkpoints(self, every: int) -> list[str]:
        """Return the securities whose seq passed a multiple of `every` in this batch (0: none)."""
        if every <= 0:
            return []
        return [
            security
            for security, (first, last) in self.seqs.items()
            if last // every > (first - 1) // every
        ]


def net(batch: Batch, *, candles: bool = True) -> Rows:
    """Return the rows of a batch, whose events are in order and complete for each command.

    `candles` tells whether to compute candles. O(events).
    """
    net = _Net(candles)
    for event in batch.events:
        match event:
            case OrderAccepted():
                net.accepted(event)
            case OrderFilled():
                net.filled(event)
            case OrderRested():
                net.rested(event)
            case OrderCancelled():
                net.cancelled(event)
            case Traded():
                net.traded(event)
            case CancelRuleChanged(user_id, after_disconnect_s, deadline_ms):
                net.cancel_rules[user_id] = (user_id, after_disconnect_s, deadline_ms)
            case _:
                assert_never(event)
    return Rows(
        number=batch.number,
        time_ms=batch.time_ms,
        orders=net.orders,
        trades=net.trades,
        fills=net.fills,
        cancellations=net.cancellations,
        opened=[_open_order(*parts) for parts in net.opened.values()],
        changed=[(key, left, Decimal(cost)) for key, (left, cost) in net.changed.items()],
        gone=net.gone,
        client_orders=list(net.client_orders.values()),
        ended_client_orders=net.ended_client_orders,
        seqs=net.seqs,
        fill_ids=net.fill_ids,
        candles=[
            row for security, of_one in net.seconds.items() for row in _candles(security, of_one)
        ],
        cancel_rules=list(net.cancel_rules.values()),
    )


class _Net:
    """The rows so far, with one method per kind of event."""

    def __init__(self, candles: bool) -> None:
        self.counts_candles = candles
        self.seconds: dict[str, CandleSeries] = {}
        self.orders: list[Row] = []
        self.trades: list[Row] = []
        self.fills: list[Row] = []
        self.cancellations: list[Row] = []
        self.opened: dict[str, tuple[Order, int, int]] = {}
        self.changed: dict[str, tuple[int, int]] = {}
        self.gone: list[str] = []
        self.client_orders: dict[tuple[str, str], tuple[str, str, str, int, int | None]] = {}
        self.ended_client_orders: list[tuple[str, str, str, int]] = []
        self.seqs: dict[str, tuple[int, int]] = {}
        self.fill_ids: dict[str, int] = {}
        self.cancel_rules: dict[str, tuple[str, int | None, int | None]] = {}

    def accepted(self, event: OrderAccepted) -> None:
        order = event.order
        instrument = order.instrument
        self.orders.append(
            (
                order.id, order.time_ms, order.user_id, instrument.security, order.side,
                order.exec_type, instrument.lot.number(order.quantity),
                None if order.price is None else instrument.tick.number(order.price),
                order.seq, order.time_in_force, order.post_only, order.self_trade,
                order.client_order_id, order.withdraw_on_close,
            )
        )  # fmt: skip
        self._reached(instrument.security, order.seq)
        if order.client_order_id is not None:
            key = (order.user_id, order.client_order_id)
            self.client_orders[key] = (*key, order.id, order.time_ms, None)

    def filled(self, event: OrderFilled) -> None:
        maker, taker, security = event.maker, event.taker, event.taker.instrument.security
        self.fills.append(
            (
                security, event.seq, event.n, event.time_ms, taker.side, event.price,
                event.quantity, maker.id, maker.user_id, taker.id, taker.user_id, event.fill_id,
            )
        )  # fmt: skip
        self.fill_ids[security] = event.fill_id
        if self.counts_candles:
            seconds = self.seconds.get(security)
            if seconds is None:
                seconds = self.seconds[security] = CandleSeries(1_000, 0)
            seconds.add(event.time_ms, event.price, event.quantity, event.n == 0)
        if event.maker_remaining == 0:
            self._left(maker.id)
            self._ended(maker, event.time_ms)
        elif maker.id in self.opened:
            self.opened[maker.id] = (maker, event.maker_remaining, event.maker_notional)
        else:
            self.changed[maker.id] = (event.maker_remaining, event.maker_notional)

    def rested(self, event: OrderRested) -> None:
        self.opened[event.order.id] = (event.order, event.remaining, event.notional)

    def cancelled(self, event: OrderCancelled) -> None:
        order = event.order
        security = order.instrument.security
        self.cancellations.append(
            (
                security, event.seq, event.n, event.time_ms, order.id, order.user_id, order.side,
                order.price, event.quantity, event.reason, event.rested,
            )
        )  # fmt: skip
        self._reached(security, event.seq)
        self._ended(order, event.time_ms)
        if event.rested:
            self._left(order.id)

    def traded(self, event: Traded) -> None:
        order = event.order
        instrument = order.instrument
        self.trades.append(
            (
                event.id, event.time_ms, order.user_id, instrument.security, order.side,
                instrument.lot.number(event.quantity),
                instrument.average(event.notional, event.quantity),
                order.id, event.seq,
            )
        )  # fmt: skip
        if event.quantity == order.quantity:
            self._ended(order, event.time_ms)

    def _ended(self, order: Order, time_ms: int) -> None:
        """Let the 24 hours of an order's client order id begin."""
        if order.client_order_id is None:
            return
        key = (order.user_id, order.client_order_id)
        known = self.client_orders.get(key)
        if known is not None and known[2] == order.id:
            self.client_orders[key] = (*known[:4], time_ms)
        else:
            self.ended_client_orders.append((*key, order.id, time_ms))

    def _left(self, order_id: str) -> None:
        if self.opened.pop(order_id, None) is None:
            self.changed.pop(order_id, None)
            self.gone.append(order_id)

    def _reached(self, security: str, seq: int) -> None:
        first, last = self.seqs.get(security, (seq, seq))
        self.seqs[security] = (first, max(last, seq))


def _candles(security: str, seconds: CandleSeries) -> Iterator[CandleRow]:
    """Yield the candles of every interval, each merged from the next shorter one."""
    candles = seconds.candles
    for interval_ms in INTERVALS.values():
        if len(candles) > 1 and interval_ms != seconds.interval_ms:
            longer = CandleSeries(interval_ms, 0)
            for candle in candles:
                longer.merge(candle)
            candles = longer.candles
        for c in candles:  # a single candle differs between intervals only in its start
            yield (
                security, interval_ms, c.start_ms - c.start_ms % interval_ms,
                c.open, c.high, c.low, c.close, Decimal(c.volume), c.trades,
            )  # fmt: skip


def _open_order(order: Order, remaining: int, notional: int) -> Row:
    return (
        order.id, order.time_ms, order.user_id, order.instrument.security, order.side,
        order.price, order.quantity, remaining, Decimal(notional) if notional else None,
        order.seq, order.time_in_force, order.post_only, order.self_trade,
        order.client_order_id, order.withdraw_on_close,
    )  # fmt: skip
