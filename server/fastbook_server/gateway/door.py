"""The WebSocket endpoint: who may connect, and the sessions of those who have."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable

import msgspec
from aiohttp import web

from fastbook_server.channels.order_channel import Matcher, Unavailable
from fastbook_server.gateway import closing, encode
from fastbook_server.gateway.admission import Admission, AdmissionOptions, Wish
from fastbook_server.gateway.feeds import Feeds
from fastbook_server.gateway.http.history_queue import HistoryQueue
from fastbook_server.gateway.http.refusal import refusal
from fastbook_server.gateway.outbox import Turn
from fastbook_server.gateway.proxies import Proxies
from fastbook_server.gateway.seldom import Seldom
from fastbook_server.gateway.session import Session
from fastbook_server.gateway.session_limits import SessionLimits
from fastbook_server.gateway.users import Users
from fastbook_server.gateway.watcher import Watched
from fastbook_server.gateway.websocket import WebSocket
from fastbook_server.values.clock import Clock
from fastbook_server.values.instruments import Instrument, default_security
from fastbook_wire.words import Code

log = logging.getLogger(__name__)

SEND_BUFFER_BYTES = 65_536
"""The kernel's buffer per connection: small, so that a stalled reader is noticed early."""

FETCH_S = 10.0
"""Time for a matcher to take note of a user who comes from another gateway."""
HEARTBEAT_S = 10.0
"""So often each connection is looked at: one that is silent is pinged, and cut if it stays so."""


class DoorOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the door needs of the configuration."""

    limits: SessionLimits
    admission: AdmissionOptions
    throttle_ms: int
    frame_bytes_max: int


class Presence(msgspec.Struct, frozen=True, rename="camel"):
    """A connection: whose it is, from where, and since when."""

    user_id: str
    address: str
    security: str
    since: int


class Door:
    """Opens sessions within the bounds, and closes them all at the end."""

    session_type: Callable[..., Session] = Session

    def __init__(
        self,
        *,
        instruments: tuple[Instrument, ...],
        epoch: int,
        matcher: Matcher,
        feeds: Feeds,
        users: Users,
        history: HistoryQueue,
        options: DoorOptions,
        proxies: Proxies,
        clock: Clock,
    ) -> None:
        self._instruments = instruments
        self._epoch = epoch
        self._matcher = matcher
        self._feeds = feeds
        self._users = users
        self._history = history
        self._options = options
        self._clock = clock
        self._turn = Turn()
        self._sessions: set[Session] = set()
        self._seats: dict[Session, tuple[str, int]] = {}  # addresses, and since when
        self._per_address: Counter[str] = Counter()
        self._admission = Admission(
            options.admission,
            securities=tuple(i.security for i in instruments),
            default_security=default_security(instruments),
            proxies=proxies,
            sessions=lambda: self.session_count,
            of_address=self._per_address.__getitem__,
            seldom=Seldom(log, asyncio.get_running_loop().time),
        )
        self._empty = asyncio.Event()
        self._heart: asyncio.TimerHandle | None = None  # sockets are silent in the machine's time

    @property
    def session_count(self) -> int:
        """How many sessions are open."""
        return len(self._sessions)

    @property
    def unsent_bytes(self) -> list[int]:
        """How many bytes each open session has yet to be sent."""
        return [session.unsent_bytes for session in self._sessions]

    def routes(self) -> list[web.RouteDef]:
        """Return the route of the endpoint."""
        return [web.get("/ws", self.websocket)]

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        """Open a session, unless the request or a bound forbids it."""
        wish = self._admission.consider(request)
        if isinstance(wish, web.Response):
            return wish
        address = wish.address
        self._per_address[address] += 1
        try:
            return await self._fetch(wish) or await self._serve(request, wish)
        finally:
            self._per_address[address] -= 1
            if not self._per_address[address]:
                del self._per_address[address]

    def seats(self) -> list[Presence]:
        """Return who is connected, in the order of arrival."""
        return [
            Presence(s.user_id, address, s.security, since_ms)
            for s, (address, since_ms) in self._seats.items()
        ]

    def disconnect(self, user_id: str) -> int:
        """Close the connections of a user with 4002; return how many."""
        theirs = [session for session in self._sessions if session.user_id == user_id]
        for session in theirs:
            session.close(closing.BY_OPERATOR, "disconnected by the operator")
        return len(theirs)

    def drain(self, *, on: bool) -> None:
        """Refuse new sessions, or take them again; those that are open stay."""
        self._admission.draining = on

    def quote(self, instruments: tuple[Instrument, ...]) -> None:
        """Tell clients of these instruments from now on: the status of one has changed."""
        self._instruments = instruments

    async def _fetch(self, wish: Wish) -> web.Response | None:
        """Let a user who comes back come from another gateway; return the refusal, if any."""
        if wish.resume is None:
            return None
        try:
            async with asyncio.timeout(FETCH_S):
                await self._users.fetch(
                    wish.resume, cancel_on_disconnect_s=wish.cancel_on_disconnect_s
                )
        except (TimeoutError, Unavailable):
            message = f"no matcher has answered within {FETCH_S:.0f} s: come back later"
            return refusal(503, Code.UNAVAILABLE, message)
        return None

    def claimed(self, epoch: int) -> None:
        """Tell new clients of another epoch from now on."""
        self._epoch = epoch

    async def _serve(self, request: web.Request, wish: Wish) -> web.StreamResponse:
        ws = WebSocket(self._options.frame_bytes_max)
        transport = await shake_hands(ws, request)
        if transport is None:
            return web.Response()  # nobody will read it; aiohttp wants one
        session = self.session_type(
            ws,
            transport,
            security=wish.security,
            matcher=self._matcher if wish.may_command else Watched(self._matcher),
            feeds=self._feeds,
            users=self._users,
            history=self._history,
            limits=self._options.limits,
            clock=self._clock,
            turn=self._turn,
        )
        ws.charge_to(session.charge)
        self._sessions.add(session)
        self._seats[session] = (wish.address, self._clock.now_ms())
        if self._heart is None:
            self._heart = asyncio.get_running_loop().call_later(HEARTBEAT_S, self._beat)
        try:
            opening = await self._feeds.opening(wish.security) if wish.wants_feed else None
            user_id, resumed = self._users.connect(
                session, wish.resume, cancel_on_disconnect_s=wish.cancel_on_disconnect_s
            )
            session.open(user_id, self._welcome(user_id, wish.security), opening)
            if resumed:
                session.list_orders()
            if self._admission.closed:
                session.close(closing.GOING_AWAY, "the server is stopping")
            await session.run()
        finally:
            session.ended()
            ws.forget()
            self._sessions.discard(session)
            del self._seats[session]
            if not self._sessions:
                self._empty.set()
        return ws

    def _beat(self) -> None:
        self._heart = None
        for session in tuple(self._sessions):
            session.beat()
        if self._sessions:
            self._heart = asyncio.get_running_loop().call_later(HEARTBEAT_S, self._beat)

    def _welcome(self, user_id: str, security: str) -> bytes:
        return encode.welcome(
            user_id=user_id,
            resume_token=self._users.token(user_id),
            security=security,
            instruments=self._instruments,
            throttle_ms=self._options.throttle_ms,
            epoch=self._epoch,
            time_ms=self._clock.now_ms(),
        )

    # ---- the end ------------------------------------------------------------------------------

    def refuse_new(self) -> None:
        """Refuse new sessions from now on."""
        self._admission.closed = True

    def send_away(self, reason: str) -> None:
        """Close every session with 1001; whoever comes then is let in."""
        for session in tuple(self._sessions):
            session.close(closing.GOING_AWAY, reason)

    async def close_all(self, timeout_s: float) -> None:
        """Close every session with 1001; cut off those still open after `timeout_s`."""
        self.send_away("the server is stopping")
        await self._until_empty(timeout_s)
        for session in tuple(self._sessions):
            session.cut_off()
        await self._until_empty(timeout_s)

    async def _until_empty(self, timeout_s: float) -> None:
        if self._sessions:
            self._empty.clear()
            waiter = asyncio.ensure_future(self._empty.wait())
            await asyncio.wait((waiter,), timeout=timeout_s)
            waiter.cancel()


async def shake_hands(ws: WebSocket, request: web.Request) -> asyncio.Transport | None:
    """Return the transport of an accepted handshake, or None if the peer is gone already."""
    try:
        await ws.prepare(request)
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("connection lost")
        kernel_socket = transport.get_extra_info("socket")
        kernel_socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    except OSError as error:
        log.debug("%s was gone before the handshake was complete: %s", request.remote, error)
        if request.transport is not None:
            request.transport.abort()
        return None
    return transport
