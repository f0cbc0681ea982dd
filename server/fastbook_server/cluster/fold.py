"""The state of an exchange, folded from what was recovered and the batches after it.

A standby folds the log until it takes over: state comes from results, never from matching again.
"""

from __future__ import annotations

from itertools import chain

from fastbook_server.channels.trade_channel import CommittedBatch
from fastbook_server.store.memory import MemoryDatabase
from fastbook_server.values.events import OperatorActed
from fastbook_server.values.persisted import (
    CLIENT_ORDERS_KEPT_MS,
    Batch,
    ClientOrder,
    Recovered,
)

LOOK_EVERY_MS = 60_000
DEPOSITS_KEPT = 100_000
"""More than the database ever holds of deposits that are made, and not recorded yet."""


class StateFold:
    """Takes batches in order; ``recovered`` is the state after the last."""

    def __init__(self, past: Recovered) -> None:
        self._instruments = past.instruments
        self._data = _StateOnly(past)
        self._deposits: dict[int, None] = {}

    @property
    def number(self) -> int:
        """The number of the last batch."""
        return self._data.batch_no

    @property
    def epoch(self) -> int:
        """The epoch of the last owner."""
        return self._data.epoch

    @property
    def time_ms(self) -> int:
        """No later event is stamped earlier."""
        return self._data.time_ms

    @property
    def deposits(self) -> tuple[int, ...]:
        """The newest deposits that batches have held: those that SQL may not know of are there."""
        return tuple(self._deposits)

    def take(self, batch: CommittedBatch) -> None:
        """Apply the next batch."""
        for change in batch.balances:
            if change.deposit is not None:
                self._deposits[change.deposit] = None
                if len(self._deposits) > DEPOSITS_KEPT:
                    del self._deposits[next(iter(self._deposits))]
        self._data.apply(Batch(batch.number, batch.settled_ms, batch.stored))

    def claimed(self, epoch: int) -> None:
        """Note that another owner has begun."""
        self._data.epoch = epoch

    def recovered(self) -> Recovered:
        """Return the state as a start would recover it, but for trades: only gateways show them."""
        return self._data.recovered(self._instruments, 1)


class _StateOnly(MemoryDatabase):
    """A `MemoryDatabase` that forgets what is no part of the state."""

    def __init__(self, past: Recovered) -> None:
        super().__init__(past.token_key)
        self.epoch, self.batch_no, self.time_ms = past.epoch, past.batch_no, past.time_ms
        self.instruments = {i.security: i for i in (*past.instruments, *past.unlisted)}
        self.seqs, self.fill_ids = dict(past.seqs), dict(past.fill_ids)
        self.agg_trade_ids = dict(past.agg_trade_ids)
        self.last_prices, self.cancel_rules = dict(past.last_prices), dict(past.cancel_rules)
        self.balances.update(past.balances)
        self.open_orders = {left.order.id: left for left in past.open_orders}
        self.operator_actions = [
            OperatorActed(past.time_ms, "halt", security, None, 0) for security in past.halted
        ]
        self._looked_ms = past.time_ms
        for known in past.client_orders:
            self._remember(known)
        for left in past.open_orders:
            if left.order.client_order_id is not None:
                remaining, notional = left.remaining, left.notional
                self._remember(ClientOrder(left.order, left.status, remaining, notional, None))

    def end(self, batch: Batch) -> None:
        """Note a batch whose events have been applied, and forget them."""
        super().end(batch)
        self.events.clear()
        self.trades.clear()
        if self.time_ms - self._looked_ms > LOOK_EVERY_MS:
            self._looked_ms = self.time_ms
            self._forget_ended(self.time_ms - CLIENT_ORDERS_KEPT_MS)

    def _remember(self, known: ClientOrder) -> None:
        self.client_orders[known.order.id] = known
        for name in known.order.client_order_ids:
            self.order_ids[known.order.user_id, name] = known.order.id

    def _forget_ended(self, before_ms: int) -> None:
        ended = [
            known
            for known in self.client_orders.values()
            if known.ended_ms is not None and known.ended_ms < before_ms
        ]
        for known in ended:
            del self.client_orders[known.order.id]
        names = chain.from_iterable(
            ((k.order.user_id, name) for name in k.order.client_order_ids) for k in ended
        )
        for key in names:
            if self.order_ids.get(key) not in self.client_orders:
                self.order_ids.pop(key, None)
