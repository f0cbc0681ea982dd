"""A recorded market in a test: it goes on as the test moves the clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from fastbook_cli.replay.actions import Action
from fastbook_cli.replay.agreement import Agreement, Match
from fastbook_cli.replay.recording import Recording
from fastbook_server.channels.trade_channel import CommittedBatch
from fastbook_server.testing.clock import Clock
from fastbook_server.values.events import CommandRefused, FillReport, OrderReport
from fastbook_server.values.instruments import InstrumentSpec
from fastbook_wire.commands import Add, Amend, Delete, ExchangeCommand, NewOrder

USER_ID = "user#test-replay"


class Stage(Protocol):
    """The server, as a recorded market needs it."""

    clock: Clock

    def submit(self, user_id: str, commands: Sequence[ExchangeCommand]) -> None:
        """Execute commands in their order; return once every client has been told."""


class Replay:
    """The orders of a recording, placed at their times by ``user_id``.

    Its first action happens at once, each later one when the clock has moved as far as it had at
    the venue; `speed` 10 needs a tenth of that. ``agreement`` compares what the orders trade here
    with what they traded at the venue: without the bot, all that can be decided comes out the same.
    """

    user_id = USER_ID

    def __init__(
        self, stage: Stage, recording: Recording, security: str, *, speed: float, start_s: float
    ) -> None:
        if not speed > 0:
            raise ValueError(f"speed: expected a positive number, got {speed}")
        self.agreement = Agreement()
        self.played = 0
        self._stage = stage
        self._recording = recording
        self._security = security
        self._speed = speed
        self._start_ns = recording.survey.first_ns + round(start_s * 1e9)
        self._latest_ns = self._start_ns
        self._actions: Iterator[Action] = recording.actions()
        self._next = next(self._actions, None)
        self._waiting: dict[int, Action] = {}
        self._matches: list[Match] = []
        self._taker_fill = 0

    @property
    def is_over(self) -> bool:
        """Whether the whole recording has been played."""
        return self._next is None

    @property
    def undecided(self) -> dict[str, int]:
        """What the file has left undecided so far, counted by name."""
        return dict(self._recording.notes.counts)

    def begin(self) -> None:
        """Play what is due now, and schedule what follows."""
        self._play_until(self._start_ns)

    def _play_until(self, until_ns: int) -> None:
        commands: list[ExchangeCommand] = []
        while (action := self._next) is not None and action.time_ns <= until_ns:
            self._waiting[action.number] = action
            commands.append(_command(action, self._security))
            self._next = next(self._actions, None)
        self.played += len(commands)
        if commands:
            self._stage.submit(USER_ID, commands)
        self._latest_ns = until_ns
        if self._next is not None:
            due_ns = max(self._next.time_ns, until_ns)
            wait_s = (due_ns - self._latest_ns) / 1e9 / self._speed
            self._stage.clock.at(wait_s, lambda: self._play_until(due_ns))

    def on_batch(self, batch: CommittedBatch) -> None:
        """Take note of what a committed batch says of the recorded orders."""
        for event in batch.reports:
            if event.user_id != USER_ID:
                continue
            if isinstance(event, FillReport):
                self._on_fill(event)
            elif isinstance(event, OrderReport | CommandRefused) and isinstance(event.ref, int):
                action = self._waiting.pop(event.ref, None)
                if action is not None and action.op != "delete":
                    self.agreement.compare(action, self._matches)
                    self._matches = []

    def _on_fill(self, event: FillReport) -> None:
        instrument = event.order.instrument
        price, amount = instrument.tick.number(event.price), instrument.lot.number(event.quantity)
        if event.role == "taker":
            self._taker_fill = event.fill_id
            self._matches.append((None, price, amount))
        elif event.fill_id == self._taker_fill:
            self._matches[-1] = (event.order.client_order_id, price, amount)


def opened(path: str | Path, symbol: str | None, spec: InstrumentSpec) -> Recording:
    """Return the recording in a file, which must fit the instrument.

    Raises:
        ValueError: ticks and lots of the instrument do not divide its prices and amounts.
        RecordingError: the file cannot be replayed.
    """
    recording = Recording.open(Path(path), symbol)
    own = recording.instrument(spec.security)
    for name, theirs, ours in (("tick", own.tick, spec.tick), ("lot", own.lot, spec.lot)):
        if ours.units(theirs.number(1)) is None:
            raise ValueError(
                f"{path}: expected a {name} that divides {theirs.step}, got {ours.step}: use "
                f"@pytest.mark.fastbook(instruments=['{own.security}:{own.tick.step}:"
                f"{own.lot.step}'])"
            )
    return recording


def _command(action: Action, security: str) -> ExchangeCommand:
    name, number = action.order_id, action.number
    price = None if action.price is None else float(action.price)
    amount = None if action.amount is None else float(action.amount)
    if action.op == "delete":
        return Delete(client_order_id=name, ref=number)
    if action.op == "amend":
        return Amend(client_order_id=name, price=price, amount=amount, ref=number)
    terms: dict[str, Any] = {"timeInForce": "ioc"} if action.ioc else {}
    order = {
        "type": action.side,
        "execType": "market" if price is None else "limit",
        "price": price,
        "amount": amount,
        "security": security,
        "postOnly": action.post_only,
        "clientOrderId": name,
    }
    return Add(order=msgspec.convert(order | terms | (action.terms or {}), NewOrder), ref=number)
