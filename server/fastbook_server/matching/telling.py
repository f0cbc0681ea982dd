"""What gateways are told: committed batches, and how time passes while there are none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fastbook_server.channels.channel import Channel
from fastbook_server.channels.trade_channel import CommittedBatch
from fastbook_server.values.clock import Cancellable, Clock

MARK_MS = 1_000
MARK_IDLE_MS = 60_000
"""Idle marks are told at whole seconds, after a minute of silence at whole minutes: that is when
candles end and when a minute leaves the ticker's last 24 hours."""

LARGE_EVENTS = 4_000
"""A batch with more events is told in steps: others have their turn in between."""


class Telling:
    """Publishes batches and, in between, idle marks; `mark` makes one of the present moment.

    `fail` is told what could not be told, and why: a gateway has followed a part of it, and nothing
    more is told to any.
    """

    def __init__(
        self,
        batches: Channel[CommittedBatch],
        clock: Clock,
        mark: Callable[[], CommittedBatch],
        fail: Callable[[object, Exception], None],
    ) -> None:
        self._batches = batches
        self._clock = clock
        self._mark = mark
        self._fail = fail
        self._told = (0, 0)  # the settled and the stored time of the last message
        self._told_at_s = clock.time()  # when the last message with events was sent
        self._every_ms = MARK_MS
        self._timer: Cancellable | None = None
        self._is_busy = self._is_broken = False

    def start(self) -> None:
        """Publish a mark if time has moved, and set the timer of the next."""
        if not self._is_busy:  # what is told in steps says how far time is, too
            mark = self._mark()
            if (mark.settled_ms, mark.stored_ms) != self._told:
                self._note(mark)
                self._publish(mark)
        silent_s = self._clock.time() - self._told_at_s
        self._set_timer(MARK_IDLE_MS if silent_s > MARK_IDLE_MS / 1_000 else MARK_MS)

    def stop(self) -> None:
        """Publish no further mark."""
        if self._timer is not None:
            self._timer.cancel()

    def tell(self, batch: CommittedBatch) -> None:
        """Publish the events of commands."""
        self._note_events(batch)
        self._publish(batch)

    async def tell_in_steps(self, batch: CommittedBatch) -> None:
        """Publish very many events; nothing else is told before the last step."""
        self._note_events(batch)
        self._is_busy = True
        steps = iter(()) if self._is_broken else self._batches.publish_in_steps(batch)
        try:
            for _ in steps:
                await asyncio.sleep(0)
        except Exception as error:  # noqa: BLE001 (passed on by `Pipeline.run`)
            self._broken(batch, error)
        finally:
            self._is_busy = False

    def _publish(self, batch: CommittedBatch) -> None:
        if self._is_broken:
            return
        try:
            self._batches.publish(batch)
        except Exception as error:  # noqa: BLE001 (passed on by `Pipeline.run`)
            self._broken(batch, error)

    def _broken(self, batch: CommittedBatch, error: Exception) -> None:
        self._is_broken = True
        self._fail(f"telling batch {batch.number}", error)

    def _note_events(self, batch: CommittedBatch) -> None:
        self._told_at_s = self._clock.time()
        if self._every_ms != MARK_MS:
            self._set_timer(MARK_MS)
        self._note(batch)

    def _note(self, batch: CommittedBatch) -> None:
        self._told = (batch.settled_ms, batch.stored_ms)

    def _set_timer(self, every_ms: int) -> None:
        self.stop()
        self._every_ms = every_ms
        delay_ms = every_ms - self._clock.now_ms() % every_ms
        self._timer = self._clock.call_later(delay_ms / 1_000, self.start)
