"""A store in memory, for tests and simulation.

A `MemoryStore` is a connection to a `MemoryDatabase`. Open the database again, with the same store
or another, to recover its state under a new epoch; the previous owner is then fenced. A store can
be told to fail commits and to hold them back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import assert_never

import msgspec

from fastbook_server.store import (
    CLIENT_ORDERS_KEPT_MS,
    Batch,
    CancelRule,
    ClientOrder,
    Position,
    Recovered,
    StoreFenced,
    StoreRefused,
)
from fastbook_server.store.accounts import MemoryAccounts
from fastbook_server.store.delisting import cancel_all, check_left_out
from fastbook_server.store.halted import halted_by
from fastbook_server.store.large_batches import is_large, portions
from fastbook_server.store.memory_history import MemoryHistory
from fastbook_server.values.accounts import Account, PendingDeposit
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
from fastbook_server.values.instruments import Instrument, InstrumentSpec
from fastbook_server.values.persisted import OpenOrder, after_fill
from fastbook_server.values.shards import Shard
from fastbook_wire.words import Interval, Status


class MemoryDatabase:
    """The durable part: committed events and the state that they add up to."""

    def __init__(self, token_key: bytes = b"memory " * 4 + b"only") -> None:
        self.epoch = 0
        self.batch_no = 0
        self.time_ms = 0
        self.token_key = token_key
        self.instruments: dict[str, Instrument] = {}
        self.seqs: dict[str, int] = {}
        self.events: list[StoredEvent] = []
        self.open_orders: dict[str, OpenOrder] = {}
        self.client_orders: dict[str, ClientOrder] = {}  # by order id
        self.order_ids: dict[tuple[str, str], str] = {}  # by user and client order id
        self.trades: dict[str, list[Traded]] = {}
        self.fill_ids: dict[str, int] = {}
        self.agg_trade_ids: dict[str, int] = {}
        self.last_prices: dict[str, int] = {}
        self.cancel_rules: dict[str, CancelRule] = {}
        self.shards: dict[str, Position] = {}  # how far each has been recorded, and the rules there
        self.shard_rules: dict[str, dict[str, CancelRule]] = {}
        self.candles: dict[str, dict[Interval, CandleSeries]] = {}  # of events that are forgotten
        self.operator_actions: list[OperatorActed] = []
        # As they were at the start, or what changed them last: they are summed up when asked for.
        self.balances: dict[tuple[str, str], Decimal | BalanceChanged] = {}
        self.accounts: dict[str, Account] = {}
        self.deposits: dict[int, PendingDeposit] = {}
        self.deposit_number = 0

    def apply(self, batch: Batch) -> None:
        """Apply a batch. It must be the next one: `MemoryStore.commit` checks that."""
        self.take(batch.events)
        self.end(batch)

    def take(self, events: Sequence[StoredEvent]) -> None:
        """Apply some events of a batch, which must be followed by the others and `end`."""
        self.events.extend(events)
        for event in events:
            self._apply(event)

    def end(self, batch: Batch) -> None:
        """Note a batch whose events have been applied."""
        self.batch_no = batch.number
        self.time_ms = batch.time_ms

    def recovered(self, instruments: Sequence[Instrument], last_trades: int) -> Recovered:
        """Return the state of these instruments, with the last trades of each (0: all)."""
        names = [instrument.security for instrument in instruments]
        cutoff = self.time_ms - CLIENT_ORDERS_KEPT_MS
        open_orders = [o for o in self.open_orders.values() if o.order.instrument.security in names]
        ended = [
            (known.ended_ms, known.order.id, known)
            for known in self.client_orders.values()
            if known.ended_ms is not None and known.ended_ms >= cutoff
        ]
        return Recovered(
            epoch=self.epoch,
            batch_no=self.batch_no,
            time_ms=self.time_ms,
            token_key=self.token_key,
            instruments=tuple(instruments),
            seqs={name: self.seqs.get(name, 0) for name in names},
            open_orders=tuple(sorted(open_orders, key=lambda o: o.queued)),
            client_orders=tuple(known for *_, known in sorted(ended, key=lambda e: e[:2])),
            last_trades={name: tuple(self.trades.get(name, [])[-last_trades:]) for name in names},
            fill_ids={name: self.fill_ids.get(name, 0) for name in names},
            agg_trade_ids={name: self.agg_trade_ids.get(name, 0) for name in names},
            last_prices={n: price for n, price in self.last_prices.items() if n in names},
            unlisted=tuple(
                replace(instrument, status="halted")
                for name, instrument in self.instruments.items()
                if name not in names
            ),
            cancel_rules=dict(self.cancel_rules),
            halted=halted_by(self.operator_actions),
            balances={key: _total(last) for key, last in self.balances.items()},
        )

    def _apply(self, event: StoredEvent) -> None:
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
                self.operator_actions.append(event)
            case BalanceChanged():
                self.balances[event.user_id, event.asset] = event
                if event.deposit is not None:
                    self.deposits.pop(event.deposit, None)
            case _:
                assert_never(event)

    def _accepted(self, event: OrderAccepted) -> None:
        order = event.order
        self.seqs[order.instrument.security] = order.seq
        self._keep(order, order.quantity, 0)

    def _keep(self, order: Order, remaining: int, notional: int) -> None:
        """Keep the state of an open order with client order ids, also under a new one."""
        if order.client_order_id is None:
            return
        status: Status = "open" if remaining == order.quantity else "partiallyFilled"
        self.client_orders[order.id] = ClientOrder(order, status, remaining, notional, None)
        for name in order.client_order_ids:
            self.order_ids[order.user_id, name] = order.id

    def _filled(self, fill: OrderFilled) -> None:
        security, maker = fill.taker.instrument.security, fill.maker
        self.fill_ids[security], self.last_prices[security] = fill.fill_id, fill.price
        self.agg_trade_ids[security] = fill.agg_trade_id
        if fill.maker_remaining:
            self.open_orders[maker.id] = after_fill(self.open_orders[maker.id], fill)
        else:
            del self.open_orders[maker.id]
        if self.client_orders:
            self._fill(maker, fill)
            self._fill(fill.taker, fill)

    def _fill(self, order: Order, fill: OrderFilled) -> None:
        known = self.client_orders.get(order.id)
        if known is not None:
            left = known.remaining - fill.quantity
            price, quantity = fill.price, fill.quantity
            self.client_orders[order.id] = msgspec.structs.replace(
                known,
                status="partiallyFilled" if left else "filled",
                remaining=left,
                notional=known.notional + price * quantity,
                ended_ms=None if left else fill.time_ms,
            )

    def _rested(self, event: OrderRested) -> None:
        self.open_orders[event.order.id] = OpenOrder(
            event.order, event.remaining, event.notional, (event.seq, 0), event.visible, False
        )

    def _held(self, event: OrderHeld) -> None:
        order = event.order
        self.open_orders[order.id] = OpenOrder(order, order.quantity, 0, (order.seq, 0), 0, True)

    def _triggered(self, event: OrderTriggered) -> None:
        self.seqs[event.order.instrument.security] = event.seq
        del self.open_orders[event.order.id]

    def _amended(self, event: OrderAmended) -> None:
        order = event.order
        self.seqs[order.instrument.security] = event.seq
        self._keep(order, event.remaining, event.notional)
        was_open = self.open_orders.pop(order.id, None) is not None
        if was_open and (event.stays or not event.in_book):
            self.open_orders[order.id] = OpenOrder(
                order,
                event.remaining,
                event.notional,
                (event.queued_seq, event.queued_n),
                event.visible,
                not event.in_book,
            )

    def _cancelled(self, event: OrderCancelled) -> None:
        order = event.order
        self.seqs[order.instrument.security] = event.seq
        if event.rested or event.held:
            del self.open_orders[order.id]
        known = self.client_orders.get(order.id)
        if known is not None:
            self.client_orders[order.id] = msgspec.structs.replace(
                known, status="cancelled", reason=event.reason, ended_ms=event.time_ms
            )

    def _traded(self, event: Traded) -> None:
        security = event.order.instrument.security
        trades = self.trades.get(security)
        if trades is None:
            trades = self.trades[security] = []
        trades.append(event)

    def _cancel_rule_changed(self, event: CancelRuleChanged) -> None:
        _change_rule(self.cancel_rules, event)


def _change_rule(rules: dict[str, CancelRule], event: CancelRuleChanged) -> None:
    rule = CancelRule(event.after_disconnect_s, event.deadline_ms)
    if rule == CancelRule():
        rules.pop(event.user_id, None)
    else:
        rules[event.user_id] = rule


def _total(balance: Decimal | BalanceChanged) -> Decimal:
    if isinstance(balance, Decimal):
        return balance
    return Decimal(plain(balance.free + balance.locked, balance.decimals))


class MemoryStore:
    """A `Store` on a `MemoryDatabase`, which other stores may share; a new one by default.

    With a `shard` it records that part of a market alone.
    """

    place = "database"
    keeps_replies = False

    def __init__(self, database: MemoryDatabase | None = None, shard: Shard | None = None) -> None:
        self.data = MemoryDatabase() if database is None else database
        self._shard = shard
        self._epoch = 0
        self._failures: list[tuple[Callable[[], Exception], bool]] = []
        self._free = asyncio.Event()
        self._free.set()

    # ---- for tests ----------------------------------------------------------------------------

    def fail_next(
        self, count: int, error: Callable[[], Exception], *, applied: bool = False
    ) -> None:
        """Make the next `count` commits raise ``error()``, after taking effect if `applied`."""
        self._failures += [(error, applied)] * count

    def hold(self) -> None:
        """Block commits until `release`."""
        self._free.clear()

    def release(self) -> None:
        """Unblock commits."""
        self._free.set()

    # ---- the protocol -------------------------------------------------------------------------

    async def open(
        self,
        specs: Sequence[InstrumentSpec],
        last_trades: int,
        *,
        delist: Collection[str] = (),
        now_ms: int = 0,
    ) -> Recovered:
        """See `Store.open`."""
        data = self.data
        names = [spec.security for spec in specs]
        orphans = self._orphans(names, delist)
        instruments = tuple(self._settle(spec) for spec in specs)
        data.epoch += 1
        self._epoch = data.epoch
        if orphans:
            time_ms = max(data.time_ms, now_ms)
            data.apply(Batch(data.batch_no + 1, time_ms, cancel_all(orphans, data.seqs, time_ms)))
        return data.recovered(instruments, last_trades)

    async def open_to_record(self, specs: Sequence[InstrumentSpec]) -> Sequence[Instrument]:
        """See `RecordStore.open_to_record`."""
        self._orphans([spec.security for spec in specs], ())
        for spec in specs:
            self._settle(spec)
        return tuple(self.data.instruments.values())

    async def position(self) -> Position:
        """See `RecordStore.position`."""
        return self._position()

    def _position(self) -> Position:
        if self._shard is not None:
            return self.data.shards.get(self._shard.name, Position(0, 0, 0))
        return Position(self.data.epoch, self.data.batch_no, self.data.time_ms)

    def part(self, last_trades: int) -> Recovered:
        """Return what a matcher of this store's shard recovers, or of the whole market."""
        data = self.data
        if self._shard is None:
            return data.recovered(tuple(data.instruments.values()), last_trades)
        name, securities = self._shard
        recovered = data.recovered([data.instruments[each] for each in securities], last_trades)
        epoch, batch_no, time_ms = self._position()
        return msgspec.structs.replace(
            recovered,
            epoch=epoch,
            batch_no=batch_no,
            time_ms=time_ms,
            client_orders=tuple(
                known
                for known in recovered.client_orders
                if known.order.instrument.security in securities
            ),
            cancel_rules=dict(data.shard_rules.get(name, {})),
        )

    def prepare(self, batch: Batch) -> object:
        """Return the batch unchanged."""
        return batch

    async def commit(self, prepared: object) -> None:
        """See `Store.commit`."""
        assert isinstance(prepared, Batch), f"expected a prepared batch, got {prepared!r}"
        await asyncio.sleep(0)
        await self._free.wait()
        error, applied = self._failures.pop(0) if self._failures else (None, True)
        if error is None or applied:
            await self._apply_once(prepared)
        if error is not None:
            raise error()

    def history(
        self,
        instruments: Sequence[Instrument],  # noqa: ARG002 (a store of SQL needs it)
        *,
        timeout_s: float | None = None,  # noqa: ARG002 (nothing here takes long)
    ) -> MemoryHistory:
        """See `Store.history`."""
        return MemoryHistory(self.data)

    def account_book(self) -> MemoryAccounts:
        """See `Store.account_book`."""
        return MemoryAccounts(self.data)

    async def close(self) -> None:
        """Do nothing: there is no connection to release."""

    async def _apply_once(self, batch: Batch) -> None:
        """Apply a batch, a large one in portions; others have their turn in between."""
        data = self.data
        epoch = self._epoch if batch.epoch is None else batch.epoch
        seen = self._position()
        if (epoch, batch.number) == (seen.epoch, seen.batch_no):
            return
        if epoch < seen.epoch or batch.follows != seen.batch_no:
            raise StoreFenced(
                "another server has taken over this database: "
                f"expected epoch {epoch} and batch {batch.follows}, got epoch "
                f"{seen.epoch} and batch {seen.batch_no}"
            )
        if self._shard is not None:
            self._record(self._shard.name, Position(epoch, batch.number, batch.time_ms), batch)
            return
        data.epoch = epoch
        for events in portions(batch):
            data.take(events)
            if is_large(batch):
                await asyncio.sleep(0)
        data.end(batch)

    def _record(self, shard: str, position: Position, batch: Batch) -> None:
        """Record a batch of one shard, which keeps the rules of users by itself."""
        data = self.data
        rules = data.shard_rules.setdefault(shard, {})
        for event in batch.events:
            if isinstance(event, CancelRuleChanged):
                _change_rule(rules, event)
        data.take(tuple(e for e in batch.events if not isinstance(e, CancelRuleChanged)))
        data.shards[shard], data.time_ms = position, max(data.time_ms, position.time_ms)

    def _orphans(self, names: Collection[str], delist: Collection[str]) -> list[OpenOrder]:
        """Return the open orders of other securities; StoreRefused if `delist` lacks one."""
        open_orders = self.data.open_orders.values()
        orphans = [o for o in open_orders if o.order.instrument.security not in names]
        left: dict[str, tuple[int, str]] = {}
        for order in (resting.order for resting in orphans):
            count, oldest = left.get(order.instrument.security, (0, order.id))
            left[order.instrument.security] = (count + 1, min(oldest, order.id))
        check_left_out(left, delist)
        return orphans

    def _settle(self, spec: InstrumentSpec) -> Instrument:
        data = self.data
        known = data.instruments.get(spec.security)
        number = known.number if known else len(data.instruments) + 1
        settled = Instrument(number, spec.security, spec.tick, spec.lot, spec.status)
        if known and data.seqs.get(spec.security) and _steps(known) != _steps(settled):
            raise StoreRefused(
                f"{spec.security}: expected tick {known.tick.step} and lot {known.lot.step}, as in "
                f"its existing data, got tick {spec.tick.step} and lot {spec.lot.step}"
            )
        data.instruments[spec.security] = settled
        return settled


def _steps(instrument: Instrument) -> tuple[int, ...]:
    tick, lot = instrument.tick, instrument.lot
    return (tick.numerator, tick.denominator, lot.numerator, lot.denominator)
