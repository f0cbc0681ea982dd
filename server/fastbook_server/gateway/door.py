"""The WebSocket endpoint: who may connect, and the sessions of those who have."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections import Counter
from collections.abc import Callable

import msgspec
from aiohttp import web

from fastbook_server.channels.order_channel import Matcher
from fastbook_server.gateway import encode
from fastbook_server.gateway.feeds import Feeds
from fastbook_server.gateway.http.history_queue import HistoryQueue
from fastbook_server.gateway.http.refusal import refusal
from fastbook_server.gateway.origins import Origins
from fastbook_server.gateway.outbox import Turn
from fastbook_server.gateway.session import CLOSE_GOING_AWAY, Session, SessionLimits
from fastbook_server.gateway.users import Users
from fastbook_server.gateway.websocket import WebSocket
from fastbook_server.values.clock import Clock
from fastbook_server.values.instruments import Instrument, default_security
from fastbook_wire.words import CANCEL_ON_DISCONNECT_S_MAX, Code

log = logging.getLogger(__name__)

SEND_BUFFER_BYTES = 65_536
"""The kernel's buffer per connection: small, so that a stalled reader is noticed early."""

HEARTBEAT_S = 10.0
"""So often each connection is looked at: one that is silent is pinged, and cut if it stays so."""

_QUERY = ("security", "resume", "cancelOnDisconnect", "feed")
_CANCEL_WORDS: dict[str, int | None] = {"true": 0, "false": None}


class DoorOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the door needs of the configuration."""

    limits: SessionLimits
    host: str
    throttle_ms: int
    frame_bytes_max: int
    sessions_max: int
    sessions_per_address_max: int
    allowed_origins: tuple[str, ...]


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
        clock: Clock,
    ) -> None:
        self._instruments = instruments
        self._epoch = epoch
        self._matcher = matcher
        self._feeds = feeds
        self._users = users
        self._history = history
        self._options = options
        self._origins = Origins(options.host, options.allowed_origins)
        self._clock = clock
        self._turn = Turn()
        self._sessions: set[Session] = set()
        self._per_address: Counter[str] = Counter()
        self._stopping = False
        self._empty = asyncio.Event()
        self._heart: asyncio.TimerHandle | None = None  # sockets are silent in the machine's time

    @property
    def session_count(self) -> int:
        """How many sessions are open."""
        return len(self._sessions)

    def routes(self) -> list[web.RouteDef]:
        """Return the route of the endpoint."""
        return [web.get("/ws", self.websocket)]

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        """Open a session, unless the request or a bound forbids it."""
        refused = self._refuse(request)
        if refused is not None:
            return refused
        query = request.query
        address = request.remote or ""
        self._per_address[address] += 1
        try:
            return await self._serve(
                request,
                security=query.get("security", default_security(self._instruments)),
                cancel_on_disconnect_s=_seconds(query.get("cancelOnDisconnect", "false")),
                wants_feed="feed" not in query,
            )
        finally:
            self._per_address[address] -= 1
            if not self._per_address[address]:
                del self._per_address[address]

    async def _serve(
        self,
        request: web.Request,
        *,
        security: str,
        cancel_on_disconnect_s: int | None,
        wants_feed: bool,
    ) -> web.StreamResponse:
        ws = WebSocket(self._options.frame_bytes_max)
        transport = await _shake_hands(ws, request)
        if transport is None:
            return web.Response()  # nobody will read it; aiohttp wants one
        session = self.session_type(
            ws,
            transport,
            security=security,
            matcher=self._matcher,
            feeds=self._feeds,
            users=self._users,
            history=self._history,
            limits=self._options.limits,
            clock=self._clock,
            turn=self._turn,
        )
        self._sessions.add(session)
        if self._heart is None:
            self._heart = asyncio.get_running_loop().call_later(HEARTBEAT_S, self._beat)
        try:
            opening = await self._feeds.opening(security) if wants_feed else None
            user_id, resumed = self._users.connect(
                session,
                request.query.get("resume"),
                cancel_on_disconnect_s=cancel_on_disconnect_s,
            )
            session.open(user_id, self._welcome(user_id, security), opening)
            if resumed:
                session.list_orders()
            if self._stopping:
                session.close(CLOSE_GOING_AWAY, "the server is stopping")
            await session.run()
        finally:
            session.ended()
            self._sessions.discard(session)
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

    def _refuse(self, request: web.Request) -> web.Response | None:
        """Return why this request may not open a session, or None if it may."""
        query, options = request.query, self._options
        security = query.get("security")
        if security is not None and security not in self._feeds.securities:
            names = ", ".join(self._feeds.securities[:10])
            message = f"security: expected one of {names}, got {security[:40]!r}"
            return refusal(404, Code.UNKNOWN_SECURITY, message)
        for name in query:
            if name not in _QUERY:
                message = f"expected the parameters {', '.join(_QUERY)}, got {name[:40]!r}"
                return refusal(400, Code.BAD_REQUEST, message)
            if len(query.getall(name)) > 1:
                return refusal(400, Code.BAD_REQUEST, f"{name}: expected once, got it twice")
        feed = query.get("feed", "none")
        if feed.lower() != "none":
            return refusal(400, Code.BAD_REQUEST, f"feed: expected none, got {feed[:40]!r}")
        try:
            _seconds(query.get("cancelOnDisconnect", "false"))
        except ValueError as error:
            return refusal(400, Code.BAD_REQUEST, f"cancelOnDisconnect: {error}")
        origin = request.headers.get("Origin")
        if origin is not None:
            why = self._origins.why_refused(origin, request.host)
            if why is not None:
                return refusal(403, Code.ORIGIN_REFUSED, why)
        if self._stopping:
            return refusal(503, Code.UNAVAILABLE, "the server is stopping")
        if len(self._sessions) >= options.sessions_max:
            message = f"sessions_max {options.sessions_max} reached"
            return refusal(503, Code.OVERLOADED, message)
        if self._per_address[request.remote or ""] >= options.sessions_per_address_max:
            message = f"sessions_per_address_max {options.sessions_per_address_max} reached"
            return refusal(429, Code.OVERLOADED, message)
        if not web.WebSocketResponse().can_prepare(request):
            message = "expected a WebSocket handshake, got a plain request; /docs tells what to say"
            return refusal(400, Code.BAD_REQUEST, message)
        return None

    # ---- the end ------------------------------------------------------------------------------

    def refuse_new(self) -> None:
        """Refuse new sessions from now on."""
        self._stopping = True

    async def close_all(self, timeout_s: float) -> None:
        """Close every session with 1001; cut off those still open after `timeout_s`."""
        for session in tuple(self._sessions):
            session.close(CLOSE_GOING_AWAY, "the server is stopping")
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


def _seconds(text: str) -> int | None:
    """Return after how many seconds ``cancelOnDisconnect=text`` cancels orders; None: never.

    There is no 0: some would mean at once by it, others never.

    Raises:
        ValueError: `text` is no such value.
    """
    word = text.lower()
    if word in _CANCEL_WORDS:
        return _CANCEL_WORDS[word]
    if re.fullmatch("[0-9]{1,9}", text) and 1 <= int(text) <= CANCEL_ON_DISCONNECT_S_MAX:
        return int(text)
    raise ValueError(
        f"expected true (at once), 1 to {CANCEL_ON_DISCONNECT_S_MAX} (seconds) or false, "
        f"got {text[:40]!r}"
    )


async def _shake_hands(ws: WebSocket, request: web.Request) -> asyncio.Transport | None:
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
