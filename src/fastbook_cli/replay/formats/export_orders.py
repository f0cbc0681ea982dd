"""The orders of an own export, for a market that runs: as other recordings, by one user.

What a client can do again is done again: orders, changes, cancels. Users, ids, times and ``seq``
are those of the market that they come into. An order with a trigger comes when it was triggered,
one by value for what it traded, and one that could live until some time is cancelled when it was;
whoever would have traded with himself is out of the way before.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import msgspec

from fastbook_cli.replay.actions import Action, Op, Undecided, VenueFill
from fastbook_cli.replay.container import Content
from fastbook_cli.replay.earlier import Earlier
from fastbook_cli.replay.formats.export import Export, Group, Row
from fastbook_wire.words import SideName

_NS_PER_MS = 1_000_000
_EARLY = frozenset({"self_trade", "level_full", "fok", "balance"})
"""Why the rest of an order has ended although it could have traded on."""
_NOTHING = "orders that ended before they traded anything"


class ExportOrders:
    """Reads one security of an export: `symbol`, or the only one."""

    kind = "fastbook export of events, its orders alone"
    place = "line"
    times = "milliseconds"

    def __init__(self, content: Content, symbol: str | None) -> None:
        self.content = content
        self._export = Export(content, symbol)
        self.security: str | None = self._export.instrument.security

    def actions(
        self, notes: Undecided, *, earlier: Earlier | None = None, survey: Earlier | None = None
    ) -> Iterator[Action]:
        """Yield the actions in order; an export mentions no order that it has not placed."""
        del earlier
        if survey is not None:
            survey.ticks.see(Decimal(self._export.instrument.tick.step))
            survey.lots.see(Decimal(self._export.instrument.lot.step))
        orders = _Orders(notes)
        for group in self._export.groups(notes):
            yield from orders.of(group)


class _Orders:
    """What a client has to do for each ``seq``; holds the orders that wait for their trigger."""

    def __init__(self, notes: Undecided) -> None:
        self._notes = notes
        self._waiting: dict[str, Row] = {}
        self._number = 0
        self._time_ns = 0

    def of(self, group: Group) -> Iterator[Action]:
        """Yield the actions of one ``seq``."""
        self._time_ns = group.time_ms * _NS_PER_MS
        coming = [row for row in group.rows if _comes(row)]
        ids = {row.order_id for row in coming}
        for row in group.rows:
            if row.order_id not in ids:
                yield from self._aside(row)
        for row in coming:
            own = [other for other in group.rows if other.order_id == row.order_id]
            yield from self._come(row, own)

    def _aside(self, row: Row) -> Iterator[Action]:
        """Follow what happened to an order that rests or waits."""
        order_id = row.order_id or ""
        if row.event == "cancelled" and self._waiting.pop(order_id, None) is None:
            yield self._action("delete", row)
        elif row.event == "amended":
            yield self._action("amend", row)

    def _come(self, row: Row, own: list[Row]) -> Iterator[Action]:
        """Follow an order that came, was triggered or changed, and what happened to it at once."""
        order_id = row.order_id or ""
        if row.event == "amended" and order_id in self._waiting:
            changed = msgspec.structs.replace(
                self._waiting[order_id], price=row.price, amount=row.amount
            )
            self._waiting[order_id] = changed
            return
        if row.event == "placed" and row.trigger_price is not None:
            self._waiting[order_id] = row
            return
        if row.event == "triggered":
            found = self._waiting.pop(order_id, None)
            if found is None:
                self._notes.count("triggered orders that the file has not placed", row.line)
                return
            row = msgspec.structs.replace(found, line=row.line)
        fills = tuple(
            VenueFill(fill.maker_order_id or "", _decimal(fill.price), _decimal(fill.amount))
            for fill in own
            if fill.event == "filled"
        )
        traded = sum((fill.amount for fill in fills), Decimal(0))
        amount = None if row.amount is None else _decimal(row.amount)
        for other in own:
            if other.reason == "self_trade" and other.event == "amended":
                amount = _decimal(other.amount)
            elif other.event == "cancelled" and other.reason in _EARLY:
                amount = traded
        if row.total is not None:
            amount = traded
        if amount:
            yield self._action("amend" if row.event == "amended" else "add", row, amount, fills)
        else:
            self._notes.count(_NOTHING, row.line)

    def _action(
        self,
        op: Op,
        row: Row,
        amount: Decimal | None = None,
        fills: tuple[VenueFill, ...] | None = None,
    ) -> Action:
        self._number += 1
        side: SideName = "bid" if row.type == "bid" else "ask"
        order_id = row.order_id or ""
        if op == "delete":
            return Action(op, self._number, row.line, self._time_ns, order_id, side)
        price = None if row.price is None else _decimal(row.price)
        terms: dict[str, object] = {}
        if row.time_in_force == "fok":
            terms["timeInForce"] = "fok"
        if row.display is not None:
            terms["display"] = row.display
        return Action(
            op, self._number, row.line, self._time_ns, order_id, side, price,
            _decimal(row.amount) if amount is None else amount,
            ioc=price is not None and row.time_in_force in ("ioc", "fok"),
            post_only=bool(row.post_only), fills=fills, terms=terms or None,
        )  # fmt: skip


def _comes(row: Row) -> bool:
    return row.event in ("placed", "triggered") or (row.event == "amended" and row.reason == "user")


def _decimal(number: float | None) -> Decimal:
    return Decimal(repr(number or 0.0))
