"""What one connection asks of the history: its user's fills, and orders that have ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from fastbook_server.channels.order_channel import OVERLOADED_RETRY_MS, Matcher, Unavailable
from fastbook_server.gateway import encode
from fastbook_server.gateway.http.history_queue import ANSWER_S_MAX, HistoryOverloaded, HistoryQueue
from fastbook_server.store import FillSpan, OrderSpan, StoreError
from fastbook_server.values import ids
from fastbook_server.values.events import CommandRefused
from fastbook_server.values.instruments import Instrument
from fastbook_wire.commands import GetEndedOrders, GetFills
from fastbook_wire.words import Code

LOOKUPS_MAX = 32
"""Questions of one connection that may wait for their answers; beyond: overloaded."""


_LookUp = Callable[[], Awaitable[bytes]]
"""Makes the answer; called by its task, since a task may be cancelled before it begins."""


class Asker(Protocol):
    """The connection that asks."""

    user_id: str

    def answer(self, payload: bytes) -> None:
        """Send the answer."""

    def send_refusal(self, refused: CommandRefused) -> None:
        """Send the refusal of a question."""


class _Nobody:
    """Who has asked, and gone."""

    user_id = ""

    def answer(self, payload: bytes) -> None:
        """Do nothing."""

    def send_refusal(self, refused: CommandRefused) -> None:
        """Do nothing."""


_NOBODY = _Nobody()


class Lookups:
    """The questions of one connection that are being answered."""

    def __init__(self, asker: Asker, matcher: Matcher, history: HistoryQueue) -> None:
        self._asker: Asker = asker
        self._matcher = matcher
        self._history = history
        self._running: set[asyncio.Task[None]] = set()

    def order(self, refused: CommandRefused) -> None:
        """Answer a request for an order that the matcher does not remember."""
        self._start(partial(self._order, refused), refused.ref, of_order=True)

    def list(self, command: GetFills | GetEndedOrders, instrument: Instrument) -> None:
        """List the user's own fills, or ended orders; all that were told are in the answer."""
        if isinstance(command, GetFills):
            look_up = partial(self._fills, command, instrument)
        else:
            look_up = partial(self._ended_orders, command, instrument)
        self._start(look_up, command.ref, of_order=False)

    def stop(self) -> None:
        """Answer nothing more: who asked is gone.

        It holds this, so it is let go of: Python's collector of circles stops everybody. What has
        just got its answer may go on in spite of the cancellation.
        """
        for task in self._running:
            task.cancel()
        self._asker = _NOBODY

    def _start(self, look_up: _LookUp, ref: str | int | None, *, of_order: bool) -> None:
        if len(self._running) >= LOOKUPS_MAX:
            message = f"{LOOKUPS_MAX} questions wait for the database already"
            self._refuse(ref, Code.OVERLOADED, message, of_order=of_order)
            return
        task = asyncio.create_task(self._answer(look_up, ref, of_order=of_order))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _answer(self, look_up: _LookUp, ref: str | int | None, *, of_order: bool) -> None:
        try:
            payload = await look_up()
        except HistoryOverloaded as error:
            self._refuse(ref, Code.OVERLOADED, str(error), of_order=of_order)
        except (StoreError, TimeoutError, Unavailable):
            message = "the database is away or too slow"
            self._refuse(ref, Code.UNAVAILABLE, message, of_order=of_order)
        except _Unknown as unknown:
            self._refuse(ref, Code.UNKNOWN_ORDER, str(unknown), None, of_order=of_order)
        else:
            self._asker.answer(payload)

    def _refuse(
        self,
        ref: str | int | None,
        code: Code,
        message: str,
        retry_ms: int | None = OVERLOADED_RETRY_MS,
        *,
        of_order: bool,
    ) -> None:
        user_id = self._asker.user_id
        refused = CommandRefused(user_id, ref, code, message, of_order, retry_ms)
        self._asker.send_refusal(refused)

    async def _order(self, refused: CommandRefused) -> bytes:
        assert refused.order_id is not None, "only such refusals are looked up"
        await self._all_is_stored()
        found = await self._history.order(refused.order_id)
        if found is None or found.order.user_id != self._asker.user_id:
            raise _Unknown(refused.message)
        return encode.order_found(refused.ref, found)

    async def _fills(self, command: GetFills, instrument: Instrument) -> bytes:
        span = FillSpan(since=command.since, before=command.before, limit=command.limit)
        await self._all_is_stored()
        user_id, security = self._asker.user_id, instrument.security
        found, more = await self._history.own_fills(user_id, security, span)
        return encode.own_fills(command.ref, instrument, found, more=more)

    async def _ended_orders(self, command: GetEndedOrders, instrument: Instrument) -> bytes:
        before_seq = None
        if command.before is not None:
            before_seq = seq_of(command.before, instrument)
            if before_seq is None:
                raise _Unknown(f"before: {not_of(command.before, instrument)}")
        await self._all_is_stored()
        user_id, security = self._asker.user_id, instrument.security
        found, more = await self._history.ended_orders(
            user_id, security, OrderSpan(before=before_seq, limit=command.limit)
        )
        return encode.ended_orders(command.ref, security, found, more=more)

    async def _all_is_stored(self) -> None:
        """Wait until the history knows all that has been told; TimeoutError if that takes long."""
        async with asyncio.timeout(ANSWER_S_MAX):
            await self._matcher.stored()


def seq_of(order_id: str, instrument: Instrument) -> int | None:
    """Return the ``seq`` that placed an order; None if it cannot be one of the instrument."""
    claim = ids.decode(order_id)
    if claim is None or (claim.kind, claim.instrument) != (ids.Kind.ORDER, instrument.number):
        return None
    return claim.seq


def not_of(order_id: str, instrument: Instrument) -> str:
    """Return why an id is refused that is of no order of the instrument."""
    return f"expected the id of an order in {instrument.security}, got {order_id[:40]!r}"


class _Unknown(Exception):
    """The user has no such order."""
