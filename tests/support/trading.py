"""Commands in, short tuples of events out: what the tests of the exchange are written in."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from fakes import T0

import fastbook
from fastbook_server.channels.order_channel import GatewayCommand
from fastbook_server.gateway import decode
from fastbook_server.matching.exchange import Exchange
from fastbook_server.matching.limits import ExchangeLimits
from fastbook_server.store.memory import MemoryStore
from fastbook_server.values.events import (
    PRIVATE,
    AllDeleted,
    CancelRuleChanged,
    CancelScheduled,
    CommandRefused,
    ExchangeEvent,
    FillReport,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderFilled,
    OrderHeld,
    OrderReport,
    OrderRested,
    OrdersListed,
    OrderTriggered,
    Traded,
)
from fastbook_server.values.instruments import Instrument, InstrumentSpec
from fastbook_server.values.persisted import Batch, OpenOrder, Recovered
from fastbook_wire.commands import (
    Add,
    Amend,
    CancelAfter,
    Command,
    Delete,
    DeleteAll,
    NewOrder,
    Orders,
)
from fastbook_wire.grid import Grid

HOUR_MS = 3_600_000
COIN = Instrument(1, "COIN", Grid.parse("1"), Grid.parse("1"))
FINE = Instrument(2, "FINE", Grid.parse("0.01"), Grid.parse("0.0001"))
SPECS = tuple(InstrumentSpec(i.security, i.tick, i.lot) for i in (COIN, FINE))


def recovered(*instruments: Instrument, **given: Any) -> Recovered:
    """Return the past of an empty database, but for what is given."""
    past: dict[str, Any] = {
        "epoch": 1,
        "batch_no": 0,
        "time_ms": 0,
        "token_key": bytes(32),
        "instruments": instruments or (COIN, FINE),
        "seqs": {},
        "open_orders": (),
        "client_orders": (),
        "last_trades": {},
        "fill_ids": {},
        "agg_trade_ids": {},
        "last_prices": {},
    }
    return Recovered(**past | given)


def bid(price: float, amount: float, ref: str | None = None, **options: Any) -> Add:
    """Return an ``add`` of a limit bid; without `options` it rests in COIN."""
    return _limit("bid", price, amount, ref, options)


def ask(price: float, amount: float, ref: str | None = None, **options: Any) -> Add:
    """Return an ``add`` of a limit ask; without `options` it rests in COIN."""
    return _limit("ask", price, amount, ref, options)


def market(side: Any, amount: float | None, ref: str | None = None, **options: Any) -> Add:
    """Return an ``add`` of a market order."""
    given = {"security": "COIN"} | options
    return Add(order=NewOrder(type=side, exec_type="market", amount=amount, **given), ref=ref)


def _limit(side: Any, price: float, amount: float, ref: str | None, options: Any) -> Add:
    given = {"security": "COIN", "price": price} | options
    return Add(order=NewOrder(type=side, exec_type="limit", amount=amount, **given), ref=ref)


def stop(
    side: Any,
    trigger: float,
    amount: float,
    ref: str | None = None,
    *,
    takes_profit: bool = False,
    **options: Any,
) -> Add:
    """Return an ``add`` of a stop order in COIN; with a ``price``, of a stop-limit order."""
    kind: Any = "stopLimit" if "price" in options else "stop"
    if takes_profit:
        kind = "takeProfitLimit" if "price" in options else "takeProfit"
    given = {"security": "COIN", "trigger_price": trigger} | options
    return Add(order=NewOrder(type=side, exec_type=kind, amount=amount, **given), ref=ref)


def by_total(side: Any, total: float, ref: str | None = None, **options: Any) -> Add:
    """Return an ``add`` of a market order by total."""
    given = {"security": "COIN"} | options
    return Add(order=NewOrder(type=side, exec_type="market", total=total, **given), ref=ref)


def amend(ref: str | None = None, **fields: Any) -> Amend:
    """Return an ``amend`` of the order with this ``id`` or ``client_order_id``."""
    return Amend(ref=ref, **fields)


def delete(ref: str | None = None, **by: str) -> Delete:
    """Return a ``delete`` by ``id`` or ``client_order_id``."""
    return Delete(ref=ref, **by)


def delete_all(ref: str | None = None, security: str | None = None, **more: Any) -> DeleteAll:
    """Return a ``deleteAll``."""
    return DeleteAll(ref=ref, security=security, **more)


def cancel_after(ms: int, ref: str | None = None) -> CancelAfter:
    """Return a ``cancelAfter``."""
    return CancelAfter(ref=ref, ms=ms)


def orders(ref: str | None = None) -> Orders:
    """Return an ``orders``."""
    return Orders(ref=ref)


class Floor:
    """An exchange with a clock that stands still until it is moved."""

    def __init__(
        self,
        past: Recovered | None = None,
        *,
        book_type: type[fastbook.OrderBook] = fastbook.OrderBook,
        **bounds: Any,
    ) -> None:
        self.exchange = Exchange(
            past or recovered(), limits=ExchangeLimits(**bounds), book_type=book_type
        )
        self.now_ms = T0
        self.events: list[ExchangeEvent] = []

    def do(self, user_id: str, command: Command | GatewayCommand) -> list[ExchangeEvent]:
        """Apply a command now; return its events."""
        events = self.exchange.apply(user_id, command, self.now_ms)
        self.events += events
        return events

    def brief(self, user_id: str, command: Command | GatewayCommand) -> list[tuple[Any, ...]]:
        """Apply a command now; return its events in short, without the reports of single fills."""
        return [brief(e) for e in self.do(user_id, command) if not isinstance(e, FillReport)]

    def told(self, user_id: str, command: Command | GatewayCommand) -> list[tuple[Any, ...]]:
        """Apply a command now; return what users are told, in short."""
        return [brief(e) for e in self.do(user_id, command) if type(e) in PRIVATE]

    def code(self, user_id: str, command: Command) -> str:
        """Apply a command that must be refused; return the code."""
        (event,) = self.do(user_id, command)
        assert isinstance(event, CommandRefused), event
        return event.code

    def order_id(self, user_id: str, command: Add) -> str:
        """Apply an ``add``; return the id of the order."""
        return next(e.order.id for e in self.do(user_id, command) if isinstance(e, OrderReport))


def open_order(progress: Any) -> OpenOrder:
    """Return an order as recovered, from its progress or from the event of its coming to rest."""
    order, remaining = progress.order, progress.remaining
    return OpenOrder(order, remaining, progress.notional, (order.seq, 0), remaining)


def restarted(floor: Floor, epoch: int = 1) -> Floor:
    """Return an exchange rebuilt from what a store kept; with the same epoch ids compare."""
    store = MemoryStore()

    async def reopen() -> Recovered:
        first = await store.open(SPECS, 0)
        stored = tuple(e for e in floor.events if type(e) not in PRIVATE)
        await store.commit(store.prepare(Batch(first.batch_no + 1, floor.now_ms, stored)))
        return await store.open(SPECS, 0)

    again = Floor(msgspec.structs.replace(asyncio.run(reopen()), epoch=epoch))
    again.now_ms = floor.now_ms
    again.events = list(floor.events)
    return again


def brief(event: ExchangeEvent) -> tuple[Any, ...]:
    """Return what matters of an event; orders are named by their ``seq``."""
    match event:
        case OrderAccepted(order):
            return ("accepted", order.seq)
        case OrderFilled():
            fill = (event.price, event.quantity, event.maker_remaining, event.level_quantity)
            return ("fill", event.seq, event.n, event.maker.seq, *fill)
        case FillReport():
            fill = (event.fill_id, event.order.seq, event.price, event.quantity, event.filled)
            return (event.user_id, event.role, *fill)
        case OrderRested(order, remaining, notional, level):
            return ("rested", order.seq, remaining, notional, level)
        case OrderCancelled():
            where = ("book", event.level_quantity) if event.rested else ("incoming",)
            gone = (event.order.seq, event.quantity, event.reason)
            return ("gone", event.seq, event.n, *gone, *where)
        case OrderHeld(order):
            return ("held", order.seq)
        case OrderTriggered():
            return ("triggered", event.seq, event.order.seq)
        case OrderAmended():
            where = ("held",) if not event.in_book else ("stays",) if event.stays else ("enters",)
            terms = (event.order.price, event.order.quantity, event.remaining)
            return ("amended", event.seq, event.n, event.order.seq, *terms, event.cause, *where)
        case Traded():
            return ("trade", event.seq, event.quantity, event.notional)
        case OrderReport():
            return (event.user_id, event.ref, *report(event))
        case CommandRefused():
            return (event.user_id, event.ref, "refused", event.code)
        case OrdersListed():
            return (event.user_id, event.ref, "orders", [r.order.seq for r in event.reports])
        case AllDeleted():
            return (event.user_id, event.ref, "deletedAll", event.count)
        case CancelScheduled():
            return (event.user_id, event.ref, "cancelAfter", event.time_ms, event.deadline_ms)
        case CancelRuleChanged():
            return ("rule", event.user_id, event.after_disconnect_s, event.deadline_ms)
    raise AssertionError(event)


def report(event: OrderReport) -> tuple[Any, ...]:
    """Return a report's status (and reason), order, remaining lots, notional, and last fill."""
    status = event.status if event.reason is None else f"{event.status}/{event.reason}"
    state = (status, event.order.seq, event.remaining, event.notional)
    last = () if event.last_price is None else (event.last_price, event.last_quantity)
    return state + last


def refusal(event: ExchangeEvent) -> tuple[str, str]:
    """Return the code and the message of a refusal."""
    assert isinstance(event, CommandRefused), event
    return event.code, event.message


def parse(text: str) -> Command:
    """Return the command of a frame's text."""
    return decode.decode(text.encode())


def as_json(frame: bytes) -> Any:
    """Return a frame's payload, decoded."""
    return msgspec.json.decode(frame)
