"""What passes between the matching server and its store: recovered state and batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import cython
import msgspec

from fastbook_server.values.events import Order, OrderFilled, PrivateEvent, StoredEvent, Traded
from fastbook_server.values.instruments import Instrument
from fastbook_wire.words import Reason, Role, SideName, Status

Durability = Literal["commit", "relaxed"]
"""When clients are told of an event: once it is durable, or as soon as it is matched."""

CLIENT_ORDERS_KEPT_MS = 24 * 3_600_000
"""How long the client order id of an ended order is remembered."""


@cython.freelist(1024)
@cython.no_gc
@dataclass(frozen=True)
@cython.cclass
class OpenOrder:
    """An open order as recovered: its remaining lots, and the notional of its fills so far.

    ``queued`` tells its place among those of its level: the ``seq`` and ``n`` at which it, or its
    slice, came to the end of the queue. ``visible`` lots of it show. With ``held`` it waits for its
    trigger.
    """

    order: Order
    remaining: int
    notional: int
    queued: tuple[int, int]
    visible: int
    held: bool = False

    @property
    def status(self) -> Status:
        """What its user is told of it."""
        if self.held:
            return "untriggered"
        return "open" if self.remaining == self.order.quantity else "partiallyFilled"


def after_fill(maker: OpenOrder, fill: OrderFilled) -> OpenOrder:
    """Return an open order after a fill that it has survived."""
    return OpenOrder(
        fill.maker,
        fill.maker_remaining,
        fill.maker_notional,
        (fill.seq, fill.n) if fill.refilled else maker.queued,
        fill.maker_visible,
        False,
    )


class StoredFill(msgspec.Struct, frozen=True, gc=False):
    """A fill as kept in the history; ``side`` is the taker's, ``price`` in ticks.

    Those of one taker at one price share their ``agg_trade_id``.
    """

    fill_id: int
    agg_trade_id: int
    seq: int
    time_ms: int
    side: SideName
    price: int
    quantity: int


class FillSpan(msgspec.Struct, frozen=True, kw_only=True):
    """Which fills of a security are wanted: between two numbers and times, at most ``limit``.

    ``since`` and ``before`` are fill ids, both exclusive; ``from_agg_trade`` and ``start_ms`` are
    inclusive, ``end_ms`` is not. With a beginning the first ``limit`` are meant, else the last.
    """

    since: int | None = None
    from_agg_trade: int | None = None
    before: int | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    limit: int

    @property
    def ascends(self) -> bool:
        """Whether the first fills are wanted, not the last."""
        begins = (self.since, self.from_agg_trade, self.start_ms)
        return any(begin is not None for begin in begins)

    def of(self, fills: Sequence[StoredFill]) -> Sequence[StoredFill]:
        """Return those of all `fills` that are wanted; both are oldest first."""
        found = [
            fill
            for fill in fills
            if (self.since is None or fill.fill_id > self.since)
            and (self.from_agg_trade is None or fill.agg_trade_id >= self.from_agg_trade)
            and (self.before is None or fill.fill_id < self.before)
            and (self.start_ms is None or fill.time_ms >= self.start_ms)
            and (self.end_ms is None or fill.time_ms < self.end_ms)
        ]
        return found[: self.limit] if self.ascends else found[-self.limit :]


class OrderSpan(msgspec.Struct, frozen=True, kw_only=True):
    """Which orders of a security are wanted: a `FillSpan` whose ``since``, ``before`` are seqs."""

    since: int | None = None
    before: int | None = None
    start_ms: int | None = None
    end_ms: int | None = None
    limit: int

    @property
    def ascends(self) -> bool:
        """Whether the first orders are wanted, not the last."""
        return self.since is not None or self.start_ms is not None

    def has(self, order: Order) -> bool:
        """Whether an order is between the numbers and times."""
        return (
            (self.since is None or order.seq > self.since)
            and (self.before is None or order.seq < self.before)
            and (self.start_ms is None or order.time_ms >= self.start_ms)
            and (self.end_ms is None or order.time_ms < self.end_ms)
        )


class OwnFill(msgspec.Struct, frozen=True, gc=False):
    """A fill as one of its two users saw it; one who traded with himself has two of it."""

    fill: StoredFill
    role: Role
    order_id: str


class ClientOrder(msgspec.Struct, frozen=True, gc=False):
    """The last state of an order; by those with client order ids a retry is recognised."""

    order: Order
    status: Status
    remaining: int
    notional: int
    reason: Reason | None
    ended_ms: int | None = None


class Amendment(msgspec.Struct, frozen=True, gc=False):
    """A change of an order by its user: its quantity in lots and its client order id."""

    seq: int
    time_ms: int
    quantity_before: int
    quantity: int
    client_order_id_before: str | None
    client_order_id: str | None


class CancelRule(msgspec.Struct, frozen=True, gc=False):
    """When a user's orders are cancelled unasked, as in `CancelRuleChanged`."""

    after_disconnect_s: int | None = None
    deadline_ms: int | None = None


class Recovered(msgspec.Struct, frozen=True):
    """All that a server recovers at its start.

    ``epoch`` is already raised and claimed for this start. ``open_orders`` are in priority
    order within each price level. ``client_orders`` are those that ended in the 24 h
    before ``time_ms``, in the order of their ends. ``last_trades`` holds each security's newest
    trades, oldest first; ``fill_ids``, ``agg_trade_ids`` and ``last_prices`` are of its last fill.
    ``unlisted`` are the instruments that the database knows beside those of the specs;
    ``cancel_rules`` are by user id, those that cancel something. ``halted`` are the securities that
    the operator has halted, whatever the specs say. ``balances`` are what accounts have, free and
    locked together, by user id and asset.
    """

    epoch: int
    batch_no: int
    time_ms: int  # the newest committed stamp; 0 on a new database
    token_key: bytes  # 32 random bytes, generated once per database
    instruments: tuple[Instrument, ...]  # in the order of the specs
    seqs: dict[str, int]  # last seq by security
    open_orders: tuple[OpenOrder, ...]
    client_orders: tuple[ClientOrder, ...]
    last_trades: dict[str, tuple[Traded, ...]]
    fill_ids: dict[str, int]
    agg_trade_ids: dict[str, int]
    last_prices: dict[str, int]  # in ticks; none if nothing was filled yet
    unlisted: tuple[Instrument, ...] = ()
    cancel_rules: dict[str, CancelRule] = {}
    halted: frozenset[str] = frozenset()
    balances: dict[tuple[str, str], Decimal] = {}


class Batch(msgspec.Struct, frozen=True):
    """What one transaction makes durable: the stored events of a run of commands, in order.

    ``number`` is that of the previous batch plus one; ``time_ms`` is the newest stamp. A store that
    keeps replies makes ``reports`` durable too, and what gateways in other processes must know: the
    number of the last command ``taken`` from each, and by which of them a user is ``held``.

    A batch that was made durable in a log first names the ``epoch`` of its writer (None: the one
    for which the store is open). It may be several in one: ``previous`` is then the number of the
    batch that must be there before (None: the one below ``number``).
    """

    number: int
    time_ms: int
    events: Sequence[StoredEvent]
    reports: Sequence[PrivateEvent] = ()
    taken: dict[str, int] = {}
    held: dict[str, str] = {}
    previous: int | None = None
    epoch: int | None = None

    @property
    def follows(self) -> int:
        """The number of the batch before it."""
        return self.number - 1 if self.previous is None else self.previous
