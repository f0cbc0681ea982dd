"""Net a batch of events to the fewest rows that its tables need.

An order that comes and goes within the batch never touches ``open_orders``; one that is filled ten
times is updated once. Pure: each row is a tuple in the order of its table's columns below.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

import msgspec

from fastbook_server.store import Batch
from fastbook_server.store.candle_rows import CandleRow, candle_rows
from fastbook_server.store.days import DAY_MS
from fastbook_server.values._unwatched import unwatched
from fastbook_server.values.candles import CandleSeries
from fastbook_server.values.decimals import plain
from fastbook_server.values.events import (
    BalanceChanged,
    CancelRuleChanged,
    OperatorActed,
    Order,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderFilled,
    OrderHeld,
    OrderRested,
    OrderTriggered,
    StoredEvent,
    Traded,
)
from fastbook_server.values.persisted import OpenOrder, after_fill

Row = tuple[Any, ...]
OperatorRow = tuple[int, str, str | None, str | None, int]
"""Time, action, security, user and how many orders were cancelled."""
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
    "refill_lots", "agg_trade_id",
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

    ``follows`` is the number of the batch before, ``epoch`` the writer's if the batch names one.
    ``opened`` are rows of ``open_orders``; ``changed`` holds (id, remaining, notional) of orders
    that were in it before the batch, ``sliced`` the same of icebergs with (visible, queued_seq or
    None for its old place, queued_n), ``gone`` the ids of those that left it or come in anew.
    ``client_orders`` has (user_id, client_order_id, order_id, time, ended) of each client order id
    whose order ended, ``seqs`` the first and last seq of each security,
    ``last_fills`` the numbers and price of its last fill. ``candles`` is what this batch adds to
    each bucket, ``balances`` the newest (user_id, asset, total as text) of accounts, ``deposits``
    the numbers of those that are part of it, ``cancel_rules`` the newest
    (user_id, after_disconnect_s, deadline) of users whose rule changed. Quantities are in lots,
    notionals in ticks x lots, times in Unix milliseconds.
    """

    number: int
    follows: int
    epoch: int | None
    time_ms: int
    orders: list[Row]
    trades: list[Row]
    fills: list[Row]
    cancellations: list[Row]
    order_changes: list[Row]
    opened: list[Row]
    changed: list[tuple[str, int, int]]
    sliced: list[tuple[str, int, int, int, int | None, int | None]]
    gone: list[str]
    client_orders: list[tuple[str, str, str, int, int]]
    seqs: dict[str, tuple[int, int]]
    last_fills: dict[str, tuple[int, int, int]]
    candles: list[CandleRow]
    cancel_rules: list[tuple[str, int | None, int | None]]
    operator_actions: list[OperatorRow]
    balances: list[tuple[str, str, str]]
    deposits: list[int]

    @property
    def size(self) -> int:
        """How many rows the batch writes, changes or deletes."""
        every = (getattr(self, name) for name in self.__struct_fields__)
        return sum(len(rows) for rows in every if isinstance(rows, list))

    @property
    def markets(self) -> list[tuple[str, int, int | None, int | None, int | None]]:
        """The last (seq, fill_id, price, agg_trade_id) of each security; None: no fill."""
        nothing = (None, None, None)
        return [
            (security, last, *self.last_fills.get(security, nothing))
            for security, (_, last) in self.seqs.items()
        ]

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
    collected = Net(candles)
    collected.take(batch.events)
    return collected.rows(batch)


class Net:
    """The rows so far, with one method per kind of event."""

    def __init__(self, candles: bool) -> None:
        self.counts_candles = candles
        self.seconds: dict[str, CandleSeries] = {}
        self.orders: list[Row] = unwatched()
        self.trades: list[Row] = unwatched()
        self.fills: list[Row] = unwatched()
        self.cancellations: list[Row] = unwatched()
        self.order_changes: list[Row] = []
        self.opened: dict[str, OpenOrder] = {}
        self.changed: dict[str, tuple[int, int]] = {}
        self.sliced: dict[str, tuple[int, int, int, int | None, int | None]] = {}
        self._entering: dict[str, tuple[list[Row], int]] = {}  # icebergs: where their rows are
        self.gone: list[str] = []
        self.client_orders: dict[tuple[str, str], tuple[str, str, str, int, int]] = {}
        self.first_seqs: dict[str, int] = {}
        self.last_seqs: dict[str, int] = {}
        self.last_fills: dict[str, tuple[int, int, int]] = {}
        self.cancel_rules: dict[str, tuple[str, int | None, int | None]] = {}
        self.operator_actions: list[OperatorRow] = []
        self.balances: dict[tuple[str, str], str] = {}
        self.deposits: list[int] = []

    def take(self, events: Sequence[StoredEvent]) -> None:
        """Add what events leave of rows."""
        for event in events:
            match event:
                case OrderAccepted():
                    self._accepted(event)
                case OrderRested():
                    self._rested(event)
                case OrderCancelled():
                    self._cancelled(event)
                case OrderFilled():
                    self._filled(event)
                case Traded():
                    self._traded(event)
                case OrderAmended():
                    self._amended(event)
                case OrderHeld():
                    self._held(event)
                case OrderTriggered():
                    self._triggered(event)
                case CancelRuleChanged():
                    self._cancel_rule_changed(event)
                case OperatorActed():
                    self.operator_actions.append(
                        (event.time_ms, event.action, event.security, event.user_id, event.count)
                    )
                case BalanceChanged():
                    self._balance_changed(event)
                case _:
                    assert_never(event)

    def rows(self, batch: Batch) -> Rows:
        """Return the rows of all that was taken, as those of `batch`."""
        return Rows(
            number=batch.number,
            follows=batch.follows,
            epoch=batch.epoch,
            time_ms=batch.time_ms,
            orders=self.orders,
            trades=self.trades,
            fills=self.fills,
            cancellations=self.cancellations,
            order_changes=self.order_changes,
            opened=[_open_order(resting) for resting in self.opened.values()],
            changed=[(key, left, cost) for key, (left, cost) in self.changed.items()],
            sliced=[(key, *state) for key, state in self.sliced.items()],
            gone=self.gone,
            client_orders=list(self.client_orders.values()),
            seqs={name: (first, self.last_seqs[name]) for name, first in self.first_seqs.items()},
            last_fills=self.last_fills,
            candles=[
                row
                for security, of_one in self.seconds.items()
                for row in candle_rows(security, of_one)
            ],
            cancel_rules=list(self.cancel_rules.values()),
            operator_actions=self.operator_actions,
            balances=[(*key, total) for key, total in self.balances.items()],
            deposits=self.deposits,
        )

    def _accepted(self, event: OrderAccepted) -> None:
        order, trigger = event.order, event.order.trigger_price
        instrument = order.instrument
        self.orders.append(
            (
                order.id, order.time_ms, order.user_id, instrument.security, order.side,
                order.exec_type, instrument.amount.number(order.quantity),
                None if order.price is None else instrument.price.number(order.price),
                order.seq, order.time_in_force, order.post_only, order.self_trade,
                order.client_order_id, order.withdraw_on_close,
                None if trigger is None else instrument.price.number(trigger),
                instrument.amount.number(order.display) if order.display else None,
                order.expire_ms, order.budget, None,
            )
        )  # fmt: skip
        self._enters(order, self.orders)
        self._reached(instrument.security, order.seq)

    def _filled(self, event: OrderFilled) -> None:
        maker, taker = event.maker, event.taker
        security = taker.instrument.security
        self.fills.append(
            (
                security, event.seq, event.n, event.time_ms, taker.side, event.price,
                event.quantity, maker.id, maker.user_id, taker.id, taker.user_id, event.fill_id,
                event.maker_visible if event.refilled else None, event.agg_trade_id,
            )
        )  # fmt: skip
        self.last_fills[security] = (event.fill_id, event.price, event.agg_trade_id)
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
        elif (open_order := self.opened.get(maker.id)) is not None:
            self.opened[maker.id] = after_fill(open_order, event)
        elif maker.display:
            place = (event.seq, event.n) if event.refilled else self.sliced.get(maker.id, _OLD)[3:]
            sums = (event.maker_remaining, event.maker_notional, event.maker_visible)
            self.sliced[maker.id] = (*sums, *place)
        else:
            self.changed[maker.id] = (event.maker_remaining, event.maker_notional)

    def _rested(self, event: OrderRested) -> None:
        order = event.order
        self.opened[order.id] = OpenOrder(
            order, event.remaining, event.notional, (event.seq, 0), event.visible, False
        )
        if order.display:
            rows, index = self._entering.pop(order.id)
            rows[index] = (*rows[index][:-1], event.remaining - event.visible or None)

    def _held(self, event: OrderHeld) -> None:
        order = event.order
        self.opened[order.id] = OpenOrder(order, order.quantity, 0, (order.seq, 0), 0, True)

    def _triggered(self, event: OrderTriggered) -> None:
        order = event.order
        self._left(order.id)
        self._changed(event.seq, 0, event.time_ms, order, order, "trigger", 0, order.quantity)
        self._enters(order, self.order_changes)

    def _amended(self, event: OrderAmended) -> None:
        order, before, key = event.order, event.before, event.order.id
        left, came = event.shown, event.visible if event.stays else event.remaining
        if not event.in_book:
            left = before.quantity - order.quantity if event.cause == "self_trade" else 0
            came = 0
        self._changed(event.seq, event.n, event.time_ms, order, before, event.cause, left, came)
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
        seq: int,
        n: int,
        time_ms: int,
        order: Order,
        before: Order,
        cause: str,
        left: int,
        came: int,
    ) -> None:
        """Add a change: lots left the old level, and lots came to the new one."""
        security = order.instrument.security
        self.order_changes.append(
            (
                security, seq, n, time_ms, order.id, order.user_id, order.side, cause,
                before.price, before.quantity, before.client_order_id,
                order.price, order.quantity, order.client_order_id, left, came, None,
            )
        )  # fmt: skip
        self._reached(security, seq)

    def _cancelled(self, event: OrderCancelled) -> None:
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

    def _traded(self, event: Traded) -> None:
        order = event.order
        instrument = order.instrument
        self.trades.append(
            (
                event.id, event.time_ms, order.user_id, instrument.security, order.side,
                instrument.amount.number(event.quantity),
                instrument.average(event.notional, event.quantity),
                order.id, event.seq,
            )
        )  # fmt: skip

    def _cancel_rule_changed(self, event: CancelRuleChanged) -> None:
        row = (event.user_id, event.after_disconnect_s, event.deadline_ms)
        self.cancel_rules[event.user_id] = row

    def _balance_changed(self, event: BalanceChanged) -> None:
        total = plain(event.free + event.locked, event.decimals)
        self.balances[event.user_id, event.asset] = total
        if event.deposit is not None:
            self.deposits.append(event.deposit)

    def _ended(self, order: Order, time_ms: int) -> None:
        """Let the 24 hours of an order's client order ids begin."""
        if order.client_order_id is not None:
            self._name_ended(order, order.client_order_id, time_ms)
        for name in order.former_client_order_ids:
            self._name_ended(order, name, time_ms)

    def _name_ended(self, order: Order, name: str, time_ms: int) -> None:
        # An order may end twice: filled, and then cancelled with nothing left.
        row = (order.user_id, name, order.id, order.time_ms, time_ms)
        self.client_orders[order.id, name] = row

    def _left(self, order_id: str) -> None:
        if self.opened.pop(order_id, None) is None:
            self.changed.pop(order_id, None)
            self.sliced.pop(order_id, None)
            self.gone.append(order_id)

    def _reached(self, security: str, seq: int) -> None:
        if security not in self.first_seqs:
            self.first_seqs[security] = seq
        self.last_seqs[security] = seq


def _open_order(open_order: OpenOrder) -> Row:
    order = open_order.order
    return (
        order.id, order.time_ms, order.user_id, order.instrument.security, order.side,
        order.price, order.quantity, open_order.remaining,
        open_order.notional or None,
        order.seq, order.time_in_force, order.post_only, order.self_trade,
        order.client_order_id, order.withdraw_on_close, order.exec_type, open_order.held,
        order.trigger_price, order.display or None,
        open_order.visible if order.display else None, order.expire_ms, *open_order.queued,
        order.placed_price, order.placed_quantity, list(order.former_client_order_ids) or None,
    )  # fmt: skip
