"""The simulated market on a server: its agents are ordinary clients of the public endpoint.

One connection of the client library follows books and trades; each agent trades on a connection of
its own. Simulated time passes only while the agents can trade: it stops while the server is down or
the market is paused.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
from collections.abc import AsyncIterator, Callable, Collection

from fastbook_cli.errors import CommandError
from fastbook_cli.sim.control import Control
from fastbook_cli.sim.live_security import Venue
from fastbook_cli.sim.seat import Seat, cancel_orders
from fastbook_cli.sim.settings import SimSettings
from fastbook_client.backoff import Backoff
from fastbook_client.errors import ConnectionClosed, FastbookError
from fastbook_client.events import Disconnected, Resynced
from fastbook_client.market import Market, connect
from fastbook_wire.frames import InstrumentView, Trades

log = logging.getLogger(__name__)

BEHIND_S = 0.25
"""A schedule that lags by more is moved to the present instead of being caught up with."""
CANCEL_S = 2.0
"""How long a stop waits for the cancels of the agents' orders."""
BACKOFF = Backoff(first_s=0.25, max_s=5.0)


class SimError(CommandError):
    """There is nothing to trade, or the connection is lost for good."""


class Live:
    """A simulated market on the server at `url`, or on several gateways of one market.

    It trades `securities`, or every open one if there are none. `control` sets rate and volatility
    and may change them later. `token` is the server's, if it wants one for commands.
    """

    def __init__(
        self,
        url: str,
        settings: SimSettings,
        control: Control,
        securities: Collection[str] = (),
        token: str | None = None,
    ) -> None:
        self._url = url
        self._token = token
        self._settings = settings
        self._control = control
        self._wanted = securities
        self._seats: list[Seat] = []
        self._venues: dict[str, Venue] = {}
        self._due: list[tuple[float, str]] = []
        self._origin_s = 0.0  # the loop's time when the market's time was 0

    @property
    def securities(self) -> tuple[str, ...]:
        """The securities traded; none before the start."""
        return tuple(self._venues)

    @property
    def commands(self) -> int:
        """The number of commands sent."""
        return sum(seat.commands for seat in self._seats)

    @property
    def refused(self) -> int:
        """The number of commands refused."""
        return sum(seat.refused for seat in self._seats)

    async def run(self, started: Callable[[], None] = lambda: None) -> None:
        """Trade until cancelled, then cancel all orders if the server still answers.

        `started` is called when the agents start.

        Raises:
            SimError: there is nothing to trade, or the connection is lost for good.
            FastbookError: a first connection was refused; it may be in an ExceptionGroup.
        """
        async with connect(self._url, reconnect=BACKOFF) as market:
            await self._meet(market)
            async with self._seated():
                for seat in self._seats:
                    await seat.connected.wait()
                watching = asyncio.create_task(self._watch(market), name="market data")
                trading = asyncio.create_task(self._trade(), name="agents")
                started()
                try:
                    await asyncio.wait((watching, trading), return_when=asyncio.FIRST_COMPLETED)
                    for task in (watching, trading):
                        if task.done():
                            task.result()
                finally:
                    trading.cancel()
                    await cancel_orders(self._seats, CANCEL_S)
                    watching.cancel()

    async def _meet(self, market: Market) -> None:
        """Subscribe to the securities to trade, and start each market from its current price."""
        chosen = self._choose(market.instruments)
        rate = self._control.rate / len(chosen)
        for instrument in chosen:
            security = instrument.security
            if security != market.security:
                await market.subscribe("book", security)
            await market.subscribe("depth", security)
            book = market.book(security)
            while not book.is_synced:
                await anext(market)
            page = await market.api.trades_page(security, limit=1)
            last = page.trades[-1].price if page.trades else None
            self._venues[security] = Venue(self._settings, instrument, book, last, rate)
        self._tune(0.0)
        agents = range(len(next(iter(self._venues.values())).scene.agents))
        self._seats = [Seat(number, self._url, self._venues, self._token) for number in agents]

    def _choose(self, instruments: dict[str, InstrumentView]) -> list[InstrumentView]:
        for security in self._wanted:
            if security not in instruments:
                names = ", ".join(list(instruments)[:10])
                raise SimError(f"security: expected one of {names}, got {security!r}")
            if instruments[security].status != "open":
                status = instruments[security].status
                raise SimError(f"security: expected an open one, got {security}, which is {status}")
        if self._wanted:
            return [instruments[security] for security in dict.fromkeys(self._wanted)]
        chosen = [i for i in instruments.values() if i.status == "open"]
        if not chosen:
            raise SimError("expected at least one open security on the server, got none")
        return chosen

    @contextlib.asynccontextmanager
    async def _seated(self) -> AsyncIterator[None]:
        """Keep all agents connected while the block runs."""
        async with asyncio.TaskGroup() as connections:
            tasks = [
                connections.create_task(seat.stay_connected(BACKOFF), name="agent")
                for seat in self._seats
            ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()

    # ---- market data --------------------------------------------------------------------------

    async def _watch(self, market: Market) -> None:
        """Pass each public trade to its venue.

        Raises:
            SimError: the connection is lost for good.
        """
        try:
            async for event in market:
                match event:
                    case Trades(security=security) if security in self._venues:
                        for trade in event.trades:
                            self._venues[security].traded(trade.price)
                    case Disconnected():
                        log.warning("connection lost: %s", event.reason)
                    case Resynced():
                        log.warning("connected again")
        except (FastbookError, ConnectionClosed) as error:
            raise SimError(f"the connection is lost for good: {error}") from None

    # ---- trading ------------------------------------------------------------------------------

    async def _trade(self) -> None:
        """Let the agents act when they are due; never returns."""
        loop = asyncio.get_running_loop()
        speed = self._settings.speed
        self._origin_s = loop.time()
        self._due = [(0.0, security) for security in self._venues]
        while True:
            await self._obey()
            due_s, security = self._due[0]
            late_s = loop.time() - (self._origin_s + due_s / speed)
            if late_s < 0.0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(-late_s):
                        await self._control.changed.wait()
                    continue
            elif late_s > BEHIND_S:
                self._origin_s += late_s
            if not self._act(security, due_s):
                await asyncio.sleep(0.01)  # until its replies arrive, or a connection
            else:
                await asyncio.sleep(0)

    async def _obey(self) -> None:
        """Apply the changes of the control; wait as long as it pauses the market."""
        control = self._control
        if not control.changed.is_set():
            return
        loop = asyncio.get_running_loop()
        now_s = (loop.time() - self._origin_s) * self._settings.speed
        control.changed.clear()
        self._tune(now_s)
        self._due = [(venue.scene.due_s, s) for s, venue in self._venues.items()]
        heapq.heapify(self._due)
        while not control.running:
            await control.changed.wait()
            control.changed.clear()
            self._tune(now_s)

    def _tune(self, now_s: float) -> None:
        for venue in self._venues.values():
            rate = self._control.rate / len(self._venues)
            venue.scene.tune(rate=rate, volatility=self._control.volatility, now_s=now_s)

    def _act(self, security: str, due_s: float) -> bool:
        """Let the agent that is due act; return whether it could."""
        venue = self._venues[security]
        if not venue.book.is_synced:
            return False
        number = venue.scene.call()
        heapq.heapreplace(self._due, (venue.scene.due_s, security))
        seat = self._seats[number]
        if not seat.may_act(asyncio.get_running_loop().time()):
            return False
        seat.send(venue, venue.scene.decide(number, venue.book, due_s))
        return True
