"""The past as a `MemoryDatabase` holds it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fastbook_server.store import (
    Amendment,
    ClientOrder,
    FillSpan,
    OpenOrder,
    OrderSpan,
    OwnFill,
    StoredFill,
    Upkeep,
)
from fastbook_server.values.candles import Candle, CandleSeries
from fastbook_server.values.events import (
    Order,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderFilled,
    Traded,
)
from fastbook_server.values.holdings import Holding
from fastbook_wire.words import INTERVALS, Interval, Reason, Role, Status

if TYPE_CHECKING:
    from fastbook_server.store.memory import MemoryDatabase


class MemoryHistory:
    """A `History` of a `MemoryDatabase`, computed from what it holds on each query. O(events)."""

    def __init__(self, data: MemoryDatabase) -> None:
        self._data = data

    async def trades(
        self, security: str, *, before_seq: int | None, limit: int
    ) -> Sequence[Traded]:
        """See `History.trades`."""
        found = self._data.trades.get(security, [])
        if before_seq is not None:
            found = [trade for trade in found if trade.seq < before_seq]
        return found[-limit:] if limit > 0 else []

    async def candles(
        self,
        security: str,
        interval: Interval,
        *,
        start_ms: int | None,
        end_ms: int | None,
        limit: int,
    ) -> Sequence[Candle]:
        """See `History.candles`."""
        series = CandleSeries(INTERVALS[interval], 0)
        if (kept := self._data.candles.get(security)) is not None:
            for candle in kept[interval].candles:
                series.merge(candle)
        for fill in self._fills(security):
            series.add(fill.time_ms, fill.price, fill.quantity, fill.n == 0)
        found = [
            candle
            for candle in series.candles
            if (start_ms is None or candle.start_ms >= start_ms)
            and (end_ms is None or candle.start_ms < end_ms)
        ]
        if limit <= 0:
            return []
        return found[-limit:] if start_ms is None else found[:limit]

    async def fills(self, security: str, span: FillSpan) -> Sequence[StoredFill]:
        """See `History.fills`."""
        return span.of([_stored(fill) for fill in self._fills(security)])

    async def own_fills(self, user_id: str, security: str, span: FillSpan) -> Sequence[OwnFill]:
        """See `History.own_fills`."""
        of_user = [
            fill
            for fill in self._fills(security)
            if user_id in (fill.taker.user_id, fill.maker.user_id)
        ]
        wanted = {fill.fill_id for fill in span.of([_stored(fill) for fill in of_user])}
        return [
            OwnFill(_stored(fill), role, order.id)
            for fill in of_user
            if fill.fill_id in wanted
            for role, order in _parties(fill)
            if order.user_id == user_id
        ]

    def _fills(self, security: str) -> Iterator[OrderFilled]:
        for event in self._data.events:
            if isinstance(event, OrderFilled) and event.taker.instrument.security == security:
                yield event

    async def ended_orders(
        self, user_id: str, security: str, span: OrderSpan
    ) -> Sequence[ClientOrder]:
        """See `History.ended_orders`."""
        placed = [
            event.order
            for event in self._data.events
            if isinstance(event, OrderAccepted)
            and event.order.user_id == user_id
            and event.order.instrument.security == security
        ]
        ended = [
            order.id
            for order in placed
            if span.has(order) and order.id not in self._data.open_orders
        ]
        if span.limit <= 0:
            return []
        wanted = ended[: span.limit] if span.ascends else ended[-span.limit :]
        return list(self._states(wanted).values())

    async def order(self, order_id: str) -> ClientOrder | None:
        """See `History.order`."""
        return self._states([order_id]).get(order_id)

    async def amendments(self, order_id: str) -> Sequence[Amendment]:
        """See `History.amendments`."""
        return [
            Amendment(
                *(event.seq, event.time_ms, event.before.quantity, event.order.quantity),
                *(event.before.client_order_id, event.order.client_order_id),
            )
            for event in self._data.events
            if isinstance(event, OrderAmended)
            and event.order.id == order_id
            and event.cause == "user"
        ]

    def _states(self, order_ids: Sequence[str]) -> dict[str, ClientOrder]:
        """Return the states of these orders by id, in the order of their placement."""
        found = {order_id: _Progress() for order_id in order_ids}
        for event in self._data.events:
            match event:
                case OrderAccepted() if event.order.id in found:
                    found[event.order.id].became(event.order, event.order.quantity)
                case OrderFilled():
                    for _, order in _parties(event):
                        if order.id in found:
                            found[order.id].filled(event)
                case OrderAmended() if event.order.id in found:
                    found[event.order.id].became(event.order, event.remaining)
                case OrderCancelled() if event.order.id in found:
                    found[event.order.id].ended(event)
        states = {}
        for order_id, progress in found.items():
            state = progress.state(self._data.open_orders.get(order_id))
            if state is not None:
                states[order_id] = state
        return states

    async def holdings(self) -> Sequence[Holding]:
        """See `History.holdings`."""
        sums: dict[tuple[str, str], list[int]] = {}
        for fill in (event for event in self._data.events if isinstance(event, OrderFilled)):
            for _, order in _parties(fill):
                lots = fill.quantity if order.side == "bid" else -fill.quantity
                held = sums.setdefault((order.user_id, order.instrument.security), [0, 0, 0])
                held[:] = held[0] + lots, held[1] - lots * fill.price, held[2] + 1
        return [Holding(*of, *held) for of, held in sums.items()]

    async def upkeep(self) -> Upkeep:
        """Return that all is well: there is nothing to do."""
        return Upkeep()

    async def close(self) -> None:
        """Do nothing: there is no connection to release."""


class _Progress:
    """What has become of an order, event by event."""

    def __init__(self) -> None:
        self._order: Order | None = None
        self._remaining = 0
        self._notional = 0
        self._ended_ms: int | None = None
        self._reason: Reason | None = None

    def became(self, order: Order, remaining: int) -> None:
        """Note the terms of the order, and how many lots of it are left."""
        self._order, self._remaining = order, remaining

    def filled(self, fill: OrderFilled) -> None:
        """Note one of its fills."""
        self._remaining -= fill.quantity
        self._notional += fill.price * fill.quantity
        self._ended_ms = fill.time_ms

    def ended(self, gone: OrderCancelled) -> None:
        """Note that it was cancelled."""
        self._reason, self._ended_ms = gone.reason, gone.time_ms

    def state(self, resting: OpenOrder | None) -> ClientOrder | None:
        """Return its state, `resting` if it is open; None if its placement is not known."""
        if self._order is None:
            return None
        order, ended_ms = self._order, self._ended_ms
        status: Status = "filled" if self._reason is None else "cancelled"
        if resting is not None:
            order, status, ended_ms = resting.order, resting.status, None
        sums = (self._remaining, self._notional)
        return ClientOrder(order, status, *sums, self._reason, ended_ms)


def _parties(fill: OrderFilled) -> tuple[tuple[Role, Order], ...]:
    return (("taker", fill.taker), ("maker", fill.maker))


def _stored(fill: OrderFilled) -> StoredFill:
    side, price, quantity = fill.taker.side, fill.price, fill.quantity
    ids = (fill.fill_id, fill.agg_trade_id, fill.seq)
    return StoredFill(*ids, fill.time_ms, side, price, quantity)
