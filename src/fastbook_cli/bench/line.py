"""One connection of a bench: sends what is due, within its bound, and hears the answers."""

from __future__ import annotations

import asyncio
import time
from collections import deque

from fastbook_cli.bench.trader import BenchTrader
from fastbook_cli.bench.waits import Waits
from fastbook_client.connection import Connection


class Line:
    """A connection with its trader; at most `in_flight` of its commands are unanswered.

    What is due beyond that is sent later, and still counts from the moment at which it was due.
    Without `paced` something is always due. `late` has how late commands were sent for no other
    reason than that this process was busy.
    """

    def __init__(
        self, connection: Connection, trader: BenchTrader, *, in_flight: int, paced: bool
    ) -> None:
        self.trader = trader
        self.late = Waits()
        self.held_back = 0
        self.ended = asyncio.Event()
        self._connection = connection
        self._in_flight = in_flight
        self._paced = paced
        self._due: deque[float] = deque()
        self._held = 0
        self._stopped = self._will_send = False

    @property
    def waiting(self) -> int:
        """How many commands are due and not sent."""
        return len(self._due)

    def offer(self, due_s: float) -> None:
        """Note that a command is due; `send` sends it."""
        self._due.append(due_s)

    def send(self) -> None:
        """Send what is due, in a single write."""
        now_s = time.perf_counter()
        commands = []
        while self.trader.unanswered < self._in_flight and not self._stopped:
            if self._due:
                commands.append(self.trader.next(self._taken(now_s)))
            elif not self._paced:
                commands.append(self.trader.next(now_s))
            else:
                break
        if self.trader.counting:
            self.held_back += len(self._due) - self._held
        self._held = len(self._due)
        if commands:
            self._connection.send_many(commands)

    def _taken(self, now_s: float) -> float:
        """Return the first moment that is due, and note how late that is."""
        due_s = self._due.popleft()
        if self._held:
            self._held -= 1
        elif self.trader.counting:
            self.late.add((now_s - due_s) * 1_000)
        return due_s

    def end(self) -> None:
        """Send nothing more but the command that cancels what is open; ``ended`` when answered."""
        self._stopped = True
        self._connection.send_many([self.trader.end()])

    async def hear(self) -> None:
        """Hear all answers, until the connection is closed.

        Raises:
            ConnectionClosed: it has been closed, or lost.
        """
        while True:
            frame = await self._connection.receive_bytes()
            self.trader.hear(frame, time.perf_counter())
            if self.trader.left is not None:
                self.ended.set()
            elif self._due or not self._paced:
                self._send_soon()

    def _send_soon(self) -> None:
        """Send once all frames that have arrived are heard."""
        if not self._will_send:
            self._will_send = True
            asyncio.get_running_loop().call_soon(self._send_now)

    def _send_now(self) -> None:
        self._will_send = False
        self.send()
