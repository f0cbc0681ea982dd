"""One connection of a bench: which command it sends next, and what it hears of each.

A trader does no I/O and knows no clock: it returns bytes to send, and is given those that arrive,
with their times.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import msgspec

from fastbook_cli.bench.mix import KINDS, Kind, Mix
from fastbook_cli.bench.waits import Waits
from fastbook_wire.frames import InstrumentView
from fastbook_wire.grid import Grid
from fastbook_wire.words import Code

LEVELS = 50
"""Price levels on each side of the first price, on which the orders rest."""
AMOUNT_LOTS_MAX = 10
END = "end"
"""The ref of the command that cancels what is left."""


class Tally:
    """What has become of the commands, of one trader or of several."""

    def __init__(self) -> None:
        self.waits: dict[Kind, Waits] = {kind: Waits() for kind in KINDS}
        self.refused: Counter[str] = Counter()
        self.answers = 0
        """Those that came in time to count for the rate, refusals among them."""
        self.orders = 0
        """Of those answers, the accepted orders."""
        self.trades = 0
        """Of those orders, the ones that traded at once."""

    def __iadd__(self, other: Tally) -> Tally:
        """Add the tally of another trader."""
        for kind in KINDS:
            self.waits[kind] += other.waits[kind]
        self.refused += other.refused
        self.answers += other.answers
        self.orders += other.orders
        self.trades += other.trades
        return self

    @property
    def all_waits(self) -> Waits:
        """The waiting times of all kinds of commands."""
        total = Waits()
        for waits in self.waits.values():
            total += waits
        return total


class Band:
    """The prices and amounts that a bench uses in an instrument, around a first price in ticks."""

    def __init__(self, instrument: InstrumentView, first_ticks: int) -> None:
        tick, lot = Grid.of(instrument.tick_size), Grid.of(instrument.lot_size)
        first_ticks = max(first_ticks, LEVELS + 1)
        self.security = instrument.security
        self.amounts = [lot.number(n) for n in range(1, AMOUNT_LOTS_MAX + 1)]
        self.prices = {
            side: [tick.number(first_ticks + sign * n) for n in range(1, LEVELS + 1)]
            for side, sign in (("bid", -1), ("ask", 1))
        }


class _OrderHeard(msgspec.Struct, gc=False):
    id: str
    type: str
    filled: float


class _Heard(msgspec.Struct, gc=False):
    """What a bench needs of a frame."""

    event: str
    ref: int | str | None = None
    status: str = ""
    code: str | None = None
    count: int = 0
    order: _OrderHeard | None = None


class _Sent(msgspec.Struct, gc=False):
    kind: Kind
    due_s: float
    counts: bool


_decode = msgspec.json.Decoder(_Heard).decode
_encode = msgspec.json.Encoder().encode


class BenchTrader:
    """The commands of one connection; at most `open_max` of its orders rest.

    `tally` counts the commands that were due while `counting` was set, and the answers that came
    while it was.
    """

    def __init__(self, band: Band, mix: Mix, open_max: int, chance: random.Random) -> None:
        self.tally = Tally()
        self.counting = False
        self.left: int | None = None
        """How many orders the last command cancelled, once that is known."""
        self._band = band
        self._mix = mix
        self._open_max = open_max
        self._chance = chance
        self._open: list[tuple[str, str]] = []  # ids and sides
        self._places: dict[str, int] = {}
        self._sent: dict[int, _Sent] = {}
        self._ref = 0

    @property
    def unanswered(self) -> int:
        """How many commands are in flight."""
        return len(self._sent)

    def next(self, due_s: float) -> bytes:
        """Return the next command, which is due at `due_s`."""
        kind = self._mix.choose(self._chance, len(self._open), self._open_max)
        self._ref += 1
        self._sent[self._ref] = _Sent(kind, due_s, self.counting)
        return _encode(self._command(kind) | {"ref": self._ref})

    def _command(self, kind: Kind) -> dict[str, Any]:
        chance, band = self._chance, self._band
        if kind in ("cancel", "amend"):
            order_id, side = chance.choice(self._open)
            if kind == "cancel":
                self._forget(order_id)
                return {"op": "delete", "id": order_id}
            return {"op": "amend", "id": order_id, "price": chance.choice(band.prices[side])}
        side = chance.choice(("bid", "ask"))
        order = {"security": band.security, "type": side, "amount": chance.choice(band.amounts)}
        if kind == "take":
            return {"op": "add", "order": order | {"execType": "market"}}
        price = chance.choice(band.prices[side])
        return {"op": "add", "order": order | {"execType": "limit", "price": price}}

    @staticmethod
    def end() -> bytes:
        """Return the command that cancels all that is left."""
        return _encode({"op": "deleteAll", "ref": END})

    def hear(self, frame: bytes, now_s: float) -> None:
        """Take a frame that has arrived at `now_s`."""
        heard = _decode(frame)
        order = heard.order
        if order is not None and heard.event == "order":
            self._keep(order, heard.status)
        if heard.ref == END:
            self.left = heard.count
        elif isinstance(heard.ref, int) and heard.ref in self._sent:
            self._answered(self._sent.pop(heard.ref), heard, now_s)

    def _answered(self, sent: _Sent, heard: _Heard, now_s: float) -> None:
        tally, code = self.tally, heard.code
        # An order may be filled before its cancel or amend arrives: that is no refusal.
        refused = code is not None and not (
            code == Code.UNKNOWN_ORDER and sent.kind in ("cancel", "amend")
        )
        if sent.counts and refused:
            assert code is not None
            tally.refused[code] += 1
        elif sent.counts:
            tally.waits[sent.kind].add((now_s - sent.due_s) * 1_000)
        if self.counting:
            tally.answers += 1
            if code is None and sent.kind in ("place", "take"):
                tally.orders += 1
                tally.trades += bool(heard.order and heard.order.filled)

    def _keep(self, order: _OrderHeard, status: str) -> None:
        """Know an order as open for as long as it is."""
        if status not in ("open", "partiallyFilled"):
            self._forget(order.id)
        elif order.id not in self._places:
            self._places[order.id] = len(self._open)
            self._open.append((order.id, order.type))

    def _forget(self, order_id: str) -> None:
        place = self._places.pop(order_id, None)
        if place is None:
            return
        last = self._open.pop()
        if last[0] != order_id:
            self._open[place] = last
            self._places[last[0]] = place
