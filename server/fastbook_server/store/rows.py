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
from fastbook_server.store.days import DAY_MS
from fastbook_server.values.candles import CandleSeries
from fastbook_server.values.events import (
    CancelRuleChanged,
    Order,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderFilled,
    OrderHeld,
    OrderRested,
    OrderTriggered,
    Traded,
)
from fastbook_server.values.persisted import OpenOrder, after_fill
from fastbook_wire.words import INTERVALS

Row = tuple[Any, ...]
CandleRow = tuple[str, int, int, int, int, int, int, Decimal, int]
"""Security, interval_ms, time; open, high, low, close in ticks; volume in lots; trades."""
DayRow = tuple[str, int, int, int | None]
"""Security, start of the day, its first seq, and the number of the last fill before that; None: the
last fill of all."""

ORDERS = (
    "id", "time", "user_id", "security", "type", "exec_type", "amount", "price", "seq",
    "time_in_force", "post_only", "self_trade", "client_order_id", "withdraw_on_close",
    "trigger_price", "display", "expire_time", "budget", "hidden_lots",
)  # fmt: skip
TRADES = (
    "id", "time", "user_id", "security", "type", "amount", "avg_price", "order_id", "seq",
)  # fmt: skip
FILLS = (
    "security", "seq", "n", "time", "type", "price_ticks", "quantity_lots",
    "maker_order_id", "maker_user_id", "taker_order_id", "taker_user_id", "fill_id",
    "refill_lots",
)  # fmt: skip
CANCELLATIONS = (
    "security", "seq", "n", "time", "order_id", "user_id", "type", "price_ticks",
    "quantity_lots", "reason", "rested", "shown_lots",
)  # fmt: skip
ORDER_CHANGES = (
    "security", "seq", "n", "time", "order_id", "user_id", "type", "cause",
    "price_ticks_before", "quantity_lots_before", "client_order_id_before",
    "price_ticks", "quantity_lots", "client_order_id", "left_lots", "came_lots", "hidden_lots",
)  # fmt: skip
OPEN_ORDERS = (
    "id", "time", "user_id", "security", "type", "price_ticks", "quantity_lots",
    "remaining_lots", "notional", "seq", "time_in_force", "post_only", "self_trade",
    "client_order_id", "withdraw_on_close", "exec_type", "held", "trigger_ticks", "display_lots",
    "visible_lots", "expire_time", "queued_seq", "queued_n", "placed_price_ticks",
    "placed_quantity_lots", "former_client_order_ids",
)  # fmt: skip


_OLD = (0, 0, 0, None, None)  # nothing changed yet, nor did the place in the queue


class Rows(msgspec.Struct, frozen=True):
    """A netted batch: the rows to insert into each table, and the open orders to change or delete.

    ``opened`` are rows of ``open_orders``; ``changed`` holds (id, remaining, notional) of orders
    that were in it before the batch, ``sliced`` the same of icebergs with (visible, queued_seq or
    None for its old place, queued_n), ``gone`` the ids of those that left it or come in anew.
    ``client_orders`` has the newest (user_id, client_order_id, order_id, time, ended) of each new
    client order id, ``ended_client_orders`` (user_id, client_order_id, order_id, ended) of earlier
    ones, ``seqs`` the first and last seq of each security, ``last_fills`` the number and price of
    its last fill. ``candles`` is what this batch adds to each bucket, ``cancel_rules`` the newest
    (user_id, after_disconnect_s, deadline) of users whose rule changed. Quantities are in lots,
    notionals in ticks x lots, times in Unix milliseconds.
    """

    number: int
    time_ms: int
    orders: list[Row]
    trades: list[Row]
    fills: list[Row]
    cancellations: list[Row]
    order_changes: list[Row]
    opened: list[Row]
    changed: list[tuple[str, int, Decimal]]
    sliced: list[tuple[str, int, Decimal, int, int | None, int | None]]
    gone: list[str]
    client_orders: list[tuple[str, str, str, int, int | None]]
    ended_client_orders: list[tuple[str, str, str, int]]
    seqs: dict[str, tuple[int, int]]
    last_fills: dict[str, tuple[int, int]]
    candles: list[CandleRow]
    cancel_rules: list[tuple[str, int | None, int | None]]

    @property
    def size(self) -> int:
        """How many rows the batch writes, changes or deletes."""
        every = (getattr(self, name) for name in self.__struct_fields__)
        return sum(len(rows) for rows in every if isinstance(rows, list))

    def checkpoints(self, every: int) -> list[str]:
        """Return the securities whose seq passed a multiple of `every` in this batch (0: none)."""
        if every <= 0:
            return []
        return [
            security
            for security, (first, last) in self.seqs.items()
            if last // every > (first - 1) // every
        ]

    def days(self) -> list[DayRow]:
        """Return the days on which the commands of this batch happened. O(rows)."""
        seqs: dict[tuple[str, int], int] = {}
        for records, columns in (
            (self.orders, ORDERS),
            (self.cancellations, CANCELLATIONS),
            (self.order_changes, ORDER_CHANGES),
        ):
            security_at, time_at, seq_at = (
                columns.index(name) for name in ("security", "time", "seq")
            )
            for row in records:
                day = (row[security_at], row[time_at] - row[time_at] % DAY_MS)
                seqs[day] = min(row[seq_at], seqs.get(day, row[seq_at]))
        found = []
        for (security, day_ms), seq in sorted(seqs.items()):
            later = (fill for fill in self.fills if fill[0] == security and fill[1] >= seq)
            first = next(later, None)
            before = None if first is None else first[FILLS.index("fill_id")] - 1
            found.append((security, day_ms, seq, before))
        return found


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
            case OrderHeld():
                net.held(event)
            case OrderTriggered():
                net.triggered(event)
            case OrderAmended():
                net.amended(event)
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
        order_changes=net.order_changes,
        opened=[_open_order(resting) for resting in net.opened.values()],
        changed=[(key, left, Decimal(cost)) for key, (left, cost) in net.changed.items()],
        sliced=[
            (key, left, Decimal(cost), visible, seq, n)
            for key, (left, cost, visible, seq, n) in net.sliced.items()
        ],
        gone=net.gone,
        client_orders=list(net.client_orders.values()),
        ended_client_orders=net.ended_client_orders,
        seqs=net.seqs,
        last_fills=net.last_fills,
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
        self.order_changes: list[Row] = []
        self.opened: dict[str, OpenOrder] = {}
        self.changed: dict[str, tuple[int, int]] = {}
        self.sliced: dict[str, tuple[int, int, int, int | None, int | None]] = {}
        self._entering: dict[str, tuple[list[Row], int]] = {}  # icebergs: where their rows are
        self.gone: list[str] = []
        self.client_orders: dict[tuple[str, str], tuple[str, str, str, int, int | None]] = {}
        self.ended_client_orders: list[tuple[str, str, str, int]] = []
        self.seqs: dict[str, tuple[int, int]] = {}
        self.last_fills: dict[str, tuple[int, int]] = {}
        self.cancel_rules: dict[str, tuple[str, int | None, int | None]] = {}

    def accepted(self, event: OrderAccepted) -> None:
        order, trigger = event.order, event.order.trigger_price
        instrument = order.instrument
        self.orders.append(
            (
                order.id, order.time_ms, order.user_id, instrument.security, order.side,
                order.exec_type, instrument.lot.number(order.quantity),
                None if order.price is None else instrument.tick.number(order.price),
                order.seq, order.time_in_force, order.post_only, order.self_trade,
                order.client_order_id, order.withdraw_on_close,
                None if trigger is None else instrument.tick.number(trigger),
                instrument.lot.number(order.display) if order.display else None,
                order.expire_ms, order.budget, None,
            )
        )  # fmt: skip
        self._enters(order, self.orders)
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
                event.maker_visible if event.refilled else None,
            )
        )  # fmt: skip
        self.last_fills[security] = (event.fill_id, event.price)
        if event.taker_remaining == 0:
            self._ended(taker, event.time_ms)
        if self.counts_candles:
            seconds = self.seconds.get(security)
            if seconds is None:
                seconds = self.seconds[security] = CandleSeries(1_000, 0)
            seconds.add(event.time_ms, event.price, event.quantity, event.n == 0)
        if event.maker_remaining == 0:
            self._left(maker.id)
            self._ended(maker, event.time_ms)
        elif maker.id in self.opened:
            self.opened[maker.id] = after_fill(self.opened[maker.id], event)
        elif maker.display:
            place = (event.seq, event.n) if event.refilled else self.sliced.get(maker.id, _OLD)[3:]
            sums = (event.maker_remaining, event.maker_notional, event.maker_visible)
            self.sliced[maker.id] = (*sums, *place)
        else:
            self.changed[maker.id] = (event.maker_remaining, event.maker_notional)

    def rested(self, event: OrderRested) -> None:
        order = event.order
        self.opened[order.id] = OpenOrder(
            order, event.remaining, event.notional, (event.seq, 0), event.visible
        )
        if order.display:
            rows, index = self._entering.pop(order.id)
            rows[index] = (*rows[index][:-1], event.remaining - event.visible or None)

    def held(self, event: OrderHeld) -> None:
        order = event.order
        self.opened[order.id] = OpenOrder(order, order.quantity, 0, (order.seq, 0), 0, held=True)

    def triggered(self, event: OrderTriggered) -> None:
        order = event.order
        self._left(order.id)
        where = (event.seq, 0, event.time_ms)
        self._changed(where, order, order, "trigger", 0, order.quantity)
        self._enters(order, self.order_changes)

    def amended(self, event: OrderAmended) -> None:
        order, before, key = event.order, event.before, event.order.id
        left, came = event.shown, event.visible if event.stays else event.remaining
        if not event.in_book:
            left = before.quantity - order.quantity if event.cause == "self_trade" else 0
            came = 0
        where = (event.seq, event.n, event.time_ms)
        self._changed(where, order, before, event.cause, left, came)
        if order.client_order_id is not None and order.client_order_id != before.client_order_id:
            name = (order.user_id, order.client_order_id)
            self.client_orders[name] = (*name, order.id, order.time_ms, None)
        if event.cause == "self_trade" and not event.in_book:
            return  # it has not come to rest yet
        self._left(key)
        if event.in_book and not event.stays:
            self._enters(order, self.order_changes)
        else:
            queued, held = (event.queued_seq, event.queued_n), not event.in_book
            self.opened[key] = OpenOrder(
                order, event.remaining, event.notional, queued, event.visible, held
            )

    def _enters(self, order: Order, rows: list[Row]) -> None:
        """Note where the row is that tells of an iceberg entering: what it hides shows later."""
        if order.display:
            self._entering[order.id] = (rows, len(rows) - 1)

    def _changed(
        self,
        where: tuple[int, int, int],
        order: Order,
        before: Order,
        cause: str,
        left: int,
        came: int,
    ) -> None:
        """Add a change at (seq, n, time): lots left the old level, and lots came to the new one."""
        security = order.instrument.security
        self.order_changes.append(
            (
                security, *where, order.id, order.user_id, order.side, cause,
                before.price, before.quantity, before.client_order_id,
                order.price, order.quantity, order.client_order_id, left, came, None,
            )
        )  # fmt: skip
        self._reached(security, where[0])

    def cancelled(self, event: OrderCancelled) -> None:
        order = event.order
        security = order.instrument.security
        self.cancellations.append(
            (
                security, event.seq, event.n, event.time_ms, order.id, order.user_id, order.side,
                order.price, event.quantity, event.reason, event.rested,
                event.shown if (event.rested and order.display) or event.held else None,
            )
        )  # fmt: skip
        self._reached(security, event.seq)
        self._ended(order, event.time_ms)
        if event.rested or event.held:
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

    def _ended(self, order: Order, time_ms: int) -> None:
        """Let the 24 hours of an order's client order ids begin."""
        for name in order.client_order_ids:
            key = (order.user_id, name)
            known = self.client_orders.get(key)
            if known is not None and known[2] == order.id:
                self.client_orders[key] = (*known[:4], time_ms)
            else:
                self.ended_client_orders.append((*key, order.id, time_ms))

    def _left(self, order_id: str) -> None:
        if self.opened.pop(order_id, None) is None:
            self.changed.pop(order_id, None)
            self.sliced.pop(order_id, None)
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


def _open_order(open_order: OpenOrder) -> Row:
    order, notional = open_order.order, open_order.notional
    return (
        order.id, order.time_ms, order.user_id, order.instrument.security, order.side,
        order.price, order.quantity, open_order.remaining,
        Decimal(notional) if notional else None,
        order.seq, order.time_in_force, order.post_only, order.self_trade,
        order.client_order_id, order.withdraw_on_close, order.exec_type, open_order.held,
        order.trigger_price, order.display or None,
        open_order.visible if order.display else None, order.expire_ms, *open_order.queued,
        order.placed_price, order.placed_quantity, list(order.former_client_order_ids) or None,
    )  # fmt: skip
