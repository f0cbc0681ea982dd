"""Plays recorded order flow into a running server, as an ordinary client of its public endpoint.

``Player`` keeps the sessions connected and lets their lanes send. See ``lane`` for why a lost
connection does not change the outcome, and ``order_outcomes`` for how it is computed.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from functools import reduce
from operator import iadd
from types import TracebackType
from typing import Any, Self

from fastbook_cli.bench.waits import Waits
from fastbook_cli.replay.actions import Action
from fastbook_cli.replay.agreement import Agreement
from fastbook_cli.replay.lane import Lane, Pace, Take
from fastbook_cli.replay.order_outcomes import ReplayError
from fastbook_cli.replay.report import ReplayReport
from fastbook_client.connection import Connection, dial
from fastbook_client.errors import ConnectError, ConnectionClosed
from fastbook_wire.grid import Grid

WINDOW = 512
"""Most unanswered commands of a session: more would only wait, fewer let the server idle."""

HAND_MAX = 10_000
"""Most actions that wait for a client while the others go on."""
LOOK_AGAIN_S = 0.005

RECONNECT_FIRST_S = 0.05
RECONNECT_MAX_S = 1.0
RECONNECT_PATIENCE_S = 60.0
"""How long a server keeps a user resumable by default."""

_RESUMED_ELSEWHERE = 4001


class Player:
    """Sessions that play actions; use it as an async context manager.

    The orders are divided among the clients by id, so that each client cancels its own. Only a
    single client keeps the sequence of the recording. `notify` receives a line for each lost or
    resumed connection. `token` is the server's, if it wants one for commands.
    """

    def __init__(
        self,
        url: str,
        *,
        security: str,
        clients: int = 1,
        window: int = WINDOW,
        speed: float | None = None,
        notify: Callable[[str], None] = lambda _: None,
        token: str | None = None,
    ) -> None:
        self._url = url
        self._token = token
        self._security = security
        self._speed = speed
        self._notify = notify
        loop = asyncio.get_running_loop()
        self._timers = loop
        self.lanes = [Lane(security, window, loop) for _ in range(clients)]
        self._connections: list[asyncio.Task[None]] = []
        self._connected = asyncio.Event()
        self._waiting_for = clients
        self._tokens: list[str] = []
        self._reconnects = 0
        self._played_s = 0.0
        self._started_s: float | None = None

    async def __aenter__(self) -> Self:
        """Open all sessions.

        Raises:
            ReplayError: one of them cannot be opened.
        """
        self._connections = [
            asyncio.create_task(self._stay_connected(lane), name=f"session {number}")
            for number, lane in enumerate(self.lanes, 1)
        ]
        try:
            await self._unless_failed(self._connected.wait())
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all sessions; resting orders stay in the book."""
        await self._close()

    async def play(
        self,
        actions: Iterable[Action],
        pace: Pace | None = None,
        *,
        first_ns: int | None = None,
    ) -> None:
        """Send the actions; return once each is answered and each order's last state is known.

        They are read as they are sent, and not held. What is older than `first_ns` (default: the
        first action) is due at once. `pace` takes the place of the player's speed; after a change
        of it, `nudge`.

        Raises:
            ReplayError: a connection is lost for good, or the server has lost orders.
            RecordingError: the recording that they are read from is malformed.
        """
        dealer = _Dealer(actions, len(self.lanes))
        if dealer.first is None:
            return
        self._started_s = started_s = self._timers.time()
        for n, lane in enumerate(self.lanes):
            start_ns = dealer.first.time_ns if first_ns is None else first_ns
            own = Pace(self._speed, start_ns, started_s)
            lane.feed(dealer.take(n), own if pace is None else pace)
        await self._all_drained()
        self._played_s = self.seconds
        self._started_s = None
        for lane in self.lanes:
            lane.settle()
        await self._all_drained()

    def nudge(self) -> None:
        """Let the lanes ask their pace again."""
        for lane in self.lanes:
            lane.nudge()

    @property
    def answered(self) -> int:
        """The number of commands of the recording that are answered or need not be sent."""
        ledgers = [lane.ledger for lane in self.lanes]
        return sum(ledger.adds + ledger.deletes + ledger.amends for ledger in ledgers)

    @property
    def agreement(self) -> Agreement:
        """What came out as at the venue so far."""
        return reduce(iadd, (lane.agreement for lane in self.lanes), Agreement())

    @property
    def resume_tokens(self) -> list[str]:
        """The secrets with which another connection can resume the sessions' users."""
        return list(self._tokens)

    @property
    def seconds(self) -> float:
        """The time played."""
        playing_s = self._timers.time() - self._started_s if self._started_s is not None else 0.0
        return self._played_s + playing_s

    @property
    def rate(self) -> float:
        """Commands per second so far."""
        return self.answered / self.seconds if self.seconds else 0.0

    def report(self) -> ReplayReport:
        """Return the outcome so far."""
        ledgers = [lane.ledger for lane in self.lanes]
        deletes_refused = _total(x.deletes_refused for x in ledgers)
        deletes = sum(x.deletes for x in ledgers)
        cancelled = sum(x.cancelled for x in ledgers)
        return ReplayReport(
            security=self._security,
            clients=len(ledgers),
            lot=ledgers[0].lot.step,
            orders=sum(x.adds for x in ledgers),
            accepted=sum(x.accepted for x in ledgers),
            would_cross=sum(x.would_cross for x in ledgers),
            refused=_total(x.refused for x in ledgers),
            deletes=deletes,
            cancelled=cancelled,
            gone=max(0, deletes - cancelled - sum(deletes_refused.values())),
            deletes_refused=deletes_refused,
            amends=sum(x.amends for x in ledgers),
            amended=sum(x.amended for x in ledgers),
            amends_refused=_total(x.amends_refused for x in ledgers),
            open_orders=sum(x.open_orders for x in ledgers),
            fills=sum(x.fills for x in ledgers),
            fill_lots=sum(x.fill_lots for x in ledgers),
            bought_lots=sum(x.filled_lots("bid") for x in ledgers),
            sold_lots=sum(x.filled_lots("ask") for x in ledgers),
            seconds=self.seconds,
            waits=reduce(iadd, (lane.waits for lane in self.lanes), Waits()),
            reconnects=self._reconnects,
            resent=sum(lane.resent for lane in self.lanes),
            postponed=sum(lane.postponed for lane in self.lanes),
            agreement=self.agreement,
        )

    # ---- connections --------------------------------------------------------------------------

    async def _all_drained(self) -> None:
        for lane in self.lanes:
            await self._unless_failed(lane.drained.wait())

    async def _unless_failed(self, wait: Coroutine[Any, Any, Any]) -> None:
        """Wait; if the task of a connection fails meanwhile, raise its exception."""
        waiter = asyncio.ensure_future(wait)
        try:
            await asyncio.wait((waiter, *self._connections), return_when=asyncio.FIRST_COMPLETED)
            for connection in self._connections:
                if connection.done():
                    connection.result()
        finally:
            waiter.cancel()

    async def _close(self) -> None:
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _stay_connected(self, lane: Lane) -> None:
        """Keep a lane connected as the same user, until cancelled.

        Raises:
            ReplayError: the server stays away, or no longer knows the user.
        """
        first: Connection | None = None
        lost_s, delay = 0.0, RECONNECT_FIRST_S
        while True:
            resume = first.resume_token if first is not None else None
            try:
                async with dial(
                    self._url,
                    security=self._security,
                    resume=resume,
                    feed=False,
                    token=self._token,
                ) as client:
                    if first is None:
                        first = client
                        self._on_first(lane, client)
                    elif client.user_id != first.user_id:
                        raise ReplayError("the server no longer knows the replay's resume token")
                    else:
                        self._reconnects += 1
                        self._notify("connected again; continuing")
                    delay = RECONNECT_FIRST_S
                    try:
                        lane.attach(client.send_many, resumed=resume is not None)
                        while True:
                            lane.on_payload(await client.receive_bytes())
                    finally:
                        lost_s = self._timers.time()
                        lane.detach()
            except (ConnectionClosed, ConnectError) as error:
                self._give_up_or_wait(error, first, lost_s, first_try=delay == RECONNECT_FIRST_S)
            await asyncio.sleep(delay)
            delay = min(2 * delay, RECONNECT_MAX_S)

    def _on_first(self, lane: Lane, client: Connection) -> None:
        self._tokens.append(client.resume_token)
        known = client.welcome.instruments
        instrument = next(i for i in known if i.security == self._security)
        lane.ledger.lot = Grid.parse(repr(instrument.lot_size))
        self._waiting_for -= 1
        if not self._waiting_for:
            self._connected.set()

    def _give_up_or_wait(
        self, error: Exception, first: Connection | None, lost_s: float, *, first_try: bool
    ) -> None:
        if first is None:
            raise ReplayError(f"cannot connect to {self._url}: {error}") from error
        if isinstance(error, ConnectionClosed) and error.code == _RESUMED_ELSEWHERE:
            raise ReplayError(f"another client resumed the session: {error}") from error
        if self._timers.time() - lost_s > RECONNECT_PATIENCE_S:
            raise ReplayError(f"no connection for {RECONNECT_PATIENCE_S:g} s: {error}") from error
        if first_try:
            self._notify(f"{error}; reconnecting")


def _total(counters: Iterable[Counter[str]]) -> dict[str, int]:
    return dict(sum(counters, Counter()))


class _Dealer:
    """Deals actions to lanes by the id of their order, reading no further than it must.

    A lane that is far behind makes the others wait, so that no more than a bounded number is held.
    """

    def __init__(self, actions: Iterable[Action], lanes: int) -> None:
        self._actions: Iterator[Action] = iter(actions)
        self._hands: list[deque[Action]] = [deque() for _ in range(lanes)]
        self.first = next(self._actions, None)
        if self.first is not None:
            self._deal(self.first)

    def _deal(self, action: Action) -> None:
        self._hands[zlib.crc32(action.order_id.encode()) % len(self._hands)].append(action)

    def take(self, lane: int) -> Take:
        """Return what the lane of this number takes its actions with."""
        hand = self._hands[lane]

        def take() -> Action | float | None:
            while not hand:
                if any(len(other) > HAND_MAX for other in self._hands):
                    return LOOK_AGAIN_S
                action = next(self._actions, None)
                if action is None:
                    return None
                self._deal(action)
            return hand.popleft()

        return take
