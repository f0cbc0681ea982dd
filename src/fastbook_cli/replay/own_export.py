"""Plays an export of events back: the same commands, users and times, so the same market.

The rules are pure: given its commands at their times, the exchange does again all that it did,
triggers and expiries included. So what only followed from a command is not carried out but
compared. With a store, all of it becomes durable, for ``fastbook serve`` to go on with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from fastbook_cli.replay.actions import RecordingError, Undecided
from fastbook_cli.replay.formats.export import Export, Group, Row
from fastbook_cli.replay.order_outcomes import ReplayError
from fastbook_server.matching.exchange import Exchange
from fastbook_server.matching.limits import ExchangeLimits
from fastbook_server.matching.steps import finished
from fastbook_server.store import Store
from fastbook_server.values.events import (
    CommandRefused,
    ExchangeEvent,
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    StoredEvent,
)
from fastbook_server.values.persisted import Batch
from fastbook_wire.commands import Add, Amend, Delete, DeleteAll, ExchangeCommand, NewOrder

BATCH_COMMANDS = 500
_NEVER = 2**31 - 1
_OF_TIME = frozenset({"expired"})

Told = tuple[int, float, float, str | None]
"""A fill: its number, price, amount, and the maker's order as the file names it."""


class PlayedBack(msgspec.Struct, kw_only=True):
    """What came of an export: how many commands it held, and how their fills compare."""

    security: str
    commands: int = 0
    seq: int = 0
    fills: int = 0
    operations: int = 0
    agreed: int = 0
    first: str | None = None

    @property
    def percent(self) -> float | None:
        """The share of matching operations that came out the same; None if there are none."""
        return 100 * self.agreed / self.operations if self.operations else None

    def text(self, notes: Undecided) -> str:
        """Return the report as text."""
        lines = [
            ("commands", f"{self.commands:,}"),
            ("seq", f"{self.seq:,}"),
            ("fills", f"{self.fills:,}"),
        ]
        if self.percent is None:
            lines.append(("agreement", "unknown: nothing was traded"))
        else:
            lines.append(
                (
                    "agreement",
                    f"{int(self.percent * 100) / 100:g}% of {self.operations:,} matching "
                    f"operations: {self.agreed:,} with the same makers, prices and amounts",
                )
            )
        if self.first is not None:
            lines.append(("first difference", self.first))
        lines += notes.lines()
        return "\n".join(f"{name:<16} {value}" for name, value in lines)


class Playback:
    """An exchange of one security that does again what an export tells.

    With `keeps` it becomes durable in the store; otherwise the store only starts empty.
    """

    def __init__(
        self, export: Export, store: Store, notes: Undecided, *, keeps: bool = True
    ) -> None:
        self._export = export
        self._store = store
        self._keeps = keeps
        self._notes = notes
        self._ours: dict[str, str] = {}  # our ids of the orders of the file, while they are open
        self._theirs: dict[str, str] = {}
        self._stored: list[StoredEvent] = []
        self._fills: dict[int, list[Told]] = {}
        self.outcome = PlayedBack(security=export.instrument.security)

    async def run(self, progress: Callable[[int], None] = lambda _: None) -> PlayedBack:
        """Play all of it; commit it to the store in batches.

        Raises:
            RecordingError: the file is malformed, or does not begin where the market did.
            ReplayError: the store holds a market already, or refuses.
        """
        recovered = await self._store.open((self._export.instrument,), 0)
        security = self._export.instrument.security
        if recovered.seqs.get(security):
            raise ReplayError(f"expected a database without {security}, found one that has traded")
        limits = ExchangeLimits(
            open_orders_max=_NEVER,
            open_orders_total_max=_NEVER,
            client_order_ids_max=_NEVER,
            client_order_ids_total_max=_NEVER,
        )
        self._exchange = Exchange(recovered, limits=limits)
        self._market = self._exchange.markets[security]
        batch_no, time_ms = recovered.batch_no, recovered.time_ms
        for group in self._export.groups(self._notes):
            if not self.outcome.commands and group.seq != 1:
                raise RecordingError(
                    f"line {group.rows[0].line}: expected an export from seq 1 on, "
                    f"got one from {group.seq}"
                )
            self._play(group)
            time_ms = max(time_ms, group.time_ms)
            if self.outcome.commands % BATCH_COMMANDS == 0:
                batch_no = await self._commit(batch_no, time_ms)
                progress(self.outcome.commands)
                await asyncio.sleep(0)  # signals are heard
        await self._commit(batch_no, time_ms)
        self.outcome.seq = self._market.seq
        return self.outcome

    async def _commit(self, batch_no: int, time_ms: int) -> int:
        if self._stored:
            batch_no += 1
            await self._store.commit(
                self._store.prepare(Batch(batch_no, time_ms, tuple(self._stored)))
            )
            self._stored.clear()
        return batch_no

    # ---- one seq ------------------------------------------------------------------------------

    def _play(self, group: Group) -> None:
        if group.seq > self._market.seq:
            if group.seq > self._market.seq + 1:
                self._notes.count("seqs that nothing led to", group.rows[0].line)
            self._carry_out(group)
        self._compare(group)

    def _carry_out(self, group: Group) -> None:
        first = group.rows[0]
        if first.event == "cancelled" and first.reason in _OF_TIME:
            self._take(finished(self._exchange.expire(group.time_ms)), None)
            return
        command = self._command(group)
        if command is None:
            self._notes.count(f"{first.event} orders that no command explains", first.line)
            return
        self.outcome.commands += 1
        events = self._exchange.apply(first.user_id or "", command, group.time_ms)
        self._take(events, first.order_id if first.event == "placed" else None)
        refused = next((e for e in events if isinstance(e, CommandRefused)), None)
        if refused is not None:
            self._notes.count(f"commands refused: {refused.code}", first.line)

    def _command(self, group: Group) -> ExchangeCommand | None:
        first = group.rows[0]
        order_id = self._ours.get(first.order_id or "")
        match first.event:
            case "placed":
                return Add(order=_new_order(first))
            case "amended" if first.reason == "user" and order_id is not None:
                return Amend(
                    id=order_id,
                    price=first.price,
                    amount=first.amount,
                    new_client_order_id=first.client_order_id,
                )
            case "cancelled" if len(group.rows) == 1 and order_id is not None:
                return Delete(id=order_id)
            case "cancelled" if len({row.user_id for row in group.rows}) == 1:
                sides = {row.type for row in group.rows}
                return DeleteAll(
                    security=first.security,
                    type=first.type if len(sides) == 1 else None,  # type: ignore[arg-type]  # bid or ask
                )
        return None

    def _take(self, events: Sequence[ExchangeEvent], their_id: str | None) -> None:
        """Take note of what happened: rows to store, fills, and who is who."""
        for event in events:
            if isinstance(event, OrderAccepted) and their_id is not None:
                self._ours[their_id] = event.order.id
                self._theirs[event.order.id] = their_id
            elif isinstance(event, OrderFilled):
                self._take_fill(event)
            elif isinstance(event, OrderCancelled):
                self._forget(event.order.id)
            if self._keeps and isinstance(event, StoredEvent):
                self._stored.append(event)

    def _take_fill(self, event: OrderFilled) -> None:
        maker, instrument = event.maker, event.maker.instrument
        price, amount = instrument.tick.number(event.price), instrument.lot.number(event.quantity)
        told = event.fill_id, price, amount, self._theirs.get(maker.id)
        self.outcome.fills += 1
        self._fills.setdefault(event.seq, []).append(told)
        for order_id, left in (
            (maker.id, event.maker_remaining),
            (event.taker.id, event.taker_remaining or event.taker.budget),
        ):
            if not left:
                self._forget(order_id)

    def _forget(self, order_id: str) -> None:
        """Forget the names of an order that has ended."""
        their_id = self._theirs.pop(order_id, None)
        if their_id is not None:
            del self._ours[their_id]

    def _compare(self, group: Group) -> None:
        expected: list[Told] = [
            (row.fill_id or 0, row.price or 0.0, row.amount or 0.0, row.maker_order_id)
            for row in group.rows
            if row.event == "filled"
        ]
        got = self._fills.pop(group.seq, [])
        if not expected and not got:
            return
        self.outcome.operations += 1
        if expected == got:
            self.outcome.agreed += 1
        elif self.outcome.first is None:
            self.outcome.first = (
                f"line {group.rows[0].line:,}, seq {group.seq:,}: the file has {expected[:3]}, "
                f"here {got[:3]}"
            )


def _new_order(row: Row) -> NewOrder:
    fields = {
        name: getattr(row, name)
        for name in (
            "type", "exec_type", "price", "trigger_price", "display", "total", "time_in_force",
            "post_only", "self_trade", "expire_time", "client_order_id", "security",
        )
        if getattr(row, name) is not None
    }  # fmt: skip
    if row.total is None:
        fields["amount"] = row.amount
    return NewOrder(**fields)
