"""One agent's connection to a server: sends its intents, hears what became of its orders.

A seat is a client without privileges. It sends only once all its previous commands have been
answered, pauses for as long as the server asks, and resumes the same user after a lost connection.
Its orders carry no client order ids: agents never send an order twice, and the server would have to
remember millions of ids a day.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from fastbook_cli.sim.live_security import Venue
from fastbook_cli.sim.words import BUY, AgentReport, Cancel, Intent, Limit
from fastbook_client.backoff import Backoff
from fastbook_client.connection import Connection, dial
from fastbook_client.endpoint import Endpoint
from fastbook_client.errors import ConnectError, ConnectionClosed
from fastbook_client.pages import OrderPages
from fastbook_client.servers import Servers
from fastbook_wire.commands import DeleteAll
from fastbook_wire.frames import DeletedAll, Error, OrderFrame, OrdersFrame, ServerFrame

log = logging.getLogger(__name__)

PAUSE_S = 1.0
"""How long an agent pauses after a refusal that names no time, such as halted."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ServerFrame).decode


class _Placed(NamedTuple):
    """A command that waits for its reply; without `intent` it is a ``deleteAll``."""

    venue: Venue | None
    intent: Intent | None


class Seat:
    """The connection of agent `number`, for all venues; `token` is the server's, if any.

    `url` names one server, or several gateways with commas between them.
    """

    def __init__(
        self, number: int, url: str, venues: Mapping[str, Venue], token: str | None = None
    ) -> None:
        self._number = number
        self._endpoints = Endpoint.parse_all(url)
        self._token = token
        self._venues = venues
        self._connection: Connection | None = None
        self._user: tuple[str, str] | None = None
        self._listed = False
        self._quiet_until_s = 0.0
        self._sent: dict[int, _Placed] = {}
        self._pages = OrderPages()
        self._refs = 0
        self._changed = asyncio.Event()
        self.connected = asyncio.Event()
        """Set on the first connection."""
        self.commands = 0
        self.refused = 0

    # ---- sending ------------------------------------------------------------------------------

    def may_act(self, now_s: float) -> bool:
        """Return whether it is connected, has all its replies, and is not pausing."""
        ready = self._connection is not None and self._listed and not self._sent
        return ready and now_s >= self._quiet_until_s

    def send(self, venue: Venue, intents: Iterable[Intent]) -> None:
        """Send the agent's intents in one write; they are dropped without a connection."""
        if self._connection is None:
            return
        payloads = []
        for intent in intents:
            ref = self._next(_Placed(venue, intent))
            payloads.append(_encode(venue.terms.command(intent, ref)))
        self._connection.send_many(payloads)
        self.commands += len(payloads)

    async def cancel_orders(self) -> None:
        """Cancel all its orders, and wait for the reply."""
        if self._connection is None:
            return
        ref = self._next(_Placed(None, None))
        self._connection.send_many((_encode(DeleteAll(ref=ref)),))
        while ref in self._sent:
            self._changed.clear()
            await self._changed.wait()

    def _next(self, sent: _Placed) -> int:
        self._refs += 1
        self._sent[self._refs] = sent
        return self._refs

    # ---- the connection -----------------------------------------------------------------------

    async def stay_connected(self, backoff: Backoff) -> None:
        """Connect, and reconnect whenever the connection is lost; never returns.

        Raises:
            ConnectError: the first connection was refused.
        """
        loop = asyncio.get_running_loop()
        servers = Servers(self._endpoints, backoff)
        while True:
            resume = self._user[1] if self._user else None
            opened_s = None
            try:
                async with dial(
                    servers.current.ws,
                    resume=resume,
                    feed=False,
                    cancel_on_disconnect=10,
                    token=self._token,
                ) as connection:
                    opened_s = loop.time()
                    self._attach(connection)
                    while True:
                        self.take(_decode(await connection.receive_bytes()))
            except (ConnectionClosed, ConnectError) as error:
                lost = servers.failed(error, None if opened_s is None else loop.time() - opened_s)
            if self._user is None and lost.delay_s is None:
                raise lost.error
            log.debug("agent %d lost its connection: %s", self._number, lost.why)
            self._detach()
            await asyncio.sleep(backoff.max_s if lost.delay_s is None else lost.delay_s)

    def _attach(self, connection: Connection) -> None:
        same = self._user is not None and self._user[0] == connection.user_id
        self._user = (connection.user_id, connection.resume_token)
        self._connection = connection
        self._pages = OrderPages()
        self.connected.set()
        self._listed = not same  # a resumed session starts with the list of its open orders
        if not same:
            self._forget()

    def _detach(self) -> None:
        self._connection = None
        self._sent.clear()
        self._changed.set()

    def _forget(self) -> None:
        for venue in self._venues.values():
            venue.scene.agents[self._number].orders.clear()

    # ---- receiving ----------------------------------------------------------------------------

    def take(self, frame: ServerFrame) -> None:
        """Handle a frame of the server."""
        match frame:
            case OrderFrame():
                self._take_order(frame)
            case OrdersFrame():
                whole = self._pages.joined(frame)
                if whole is None:
                    return
                self._forget()
                for order in whole.orders:
                    venue = self._venues.get(order.security)
                    if venue is not None:
                        report = venue.terms.resting(order, True, 0, -1)
                        venue.scene.hear(self._number, report)
                self._listed = True
            case DeletedAll() | Error():
                self._answered(frame.ref)
                if isinstance(frame, Error):
                    self._pause(frame)
        self._changed.set()

    def _take_order(self, frame: OrderFrame) -> None:
        sent = self._answered(frame.ref)
        if frame.status == "rejected":
            self.refused += 1
            self._refused(frame, sent)
            return
        order = frame.order
        venue = self._venues.get(order.security) if order is not None else None
        if order is None or venue is None:
            return
        slot = None
        if sent is not None and not isinstance(sent.intent, Cancel):
            slot = sent.intent.slot if isinstance(sent.intent, Limit) else -1
        venue.scene.hear(self._number, venue.terms.report(frame, order, slot))

    def _answered(self, ref: str | int | None) -> _Placed | None:
        return self._sent.pop(ref, None) if isinstance(ref, int) else None

    def _refused(self, frame: OrderFrame, sent: _Placed | None) -> None:
        match sent:
            case _Placed(Venue() as venue, Cancel(order_id)) if frame.code == "unknown_order":
                gone = AgentReport(order_id, BUY, 0, 0, rests=False)  # filled meanwhile
                venue.scene.hear(self._number, gone)
            case _:
                self._pause(frame)

    def _pause(self, frame: OrderFrame | Error) -> None:
        pause_s = (frame.retry_after_ms or 0) / 1_000 or PAUSE_S
        self._quiet_until_s = asyncio.get_running_loop().time() + pause_s
        log.info("agent %d pauses: %s: %s", self._number, frame.code, frame.message)


async def cancel_orders(seats: Iterable[Seat], timeout_s: float) -> None:
    """Cancel the orders of all agents, as far as the server replies in time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await asyncio.gather(*(seat.cancel_orders() for seat in seats))
