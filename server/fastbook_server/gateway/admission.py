"""Who may open a session: what the handshake must say, and the bounds of how many there may be."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

import msgspec
from aiohttp import web

from fastbook_server import metrics
from fastbook_server.gateway import credentials, handshake
from fastbook_server.gateway.http.refusal import refusal
from fastbook_server.gateway.origins import Origins
from fastbook_server.gateway.per_address import SPARE_FOR_OTHERS
from fastbook_server.gateway.proxies import ClientView, Proxies
from fastbook_server.gateway.seldom import Seldom
from fastbook_wire.words import CANCEL_ON_DISCONNECT_S_MAX, Code

log = logging.getLogger(__name__)

QUERY = ("security", "resume", "cancelOnDisconnect", "feed")
"""The parameters of the endpoint."""
_CANCEL_WORDS: dict[str, int | None] = {"true": 0, "false": None}


class AdmissionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What admission needs of the configuration."""

    host: str
    allowed_origins: tuple[str, ...]
    token: str | None
    sessions_max: int
    sessions_per_address_max: int


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What an admitted client has asked for; `address` is what its sessions count for."""

    address: str
    security: str
    resume: str | None
    may_command: bool
    cancel_on_disconnect_s: int | None
    wants_feed: bool


class Admission:
    """Admits or refuses handshakes.

    `sessions` returns how many sessions are open, `of_address` how many count for an address.
    """

    def __init__(
        self,
        options: AdmissionOptions,
        *,
        securities: tuple[str, ...],
        default_security: str,
        proxies: Proxies,
        sessions: Callable[[], int],
        of_address: Callable[[str], int],
        seldom: Seldom,
    ) -> None:
        self._options = options
        spare = min(SPARE_FOR_OTHERS, options.sessions_max // 10)
        self._of_address_max = min(options.sessions_per_address_max, options.sessions_max - spare)
        self._securities = securities
        self._default = default_security
        self._proxies = proxies
        self._origins = Origins(options.host, options.allowed_origins)
        self._sessions = sessions
        self._of_address = of_address
        self._seldom = seldom
        self.closed = False  # for new sessions: the server is stopping
        self.draining = False  # the same, because the operator says so

    def consider(self, request: web.Request) -> Wish | web.Response:
        """Return what the client of a request wishes, or the answer that refuses it."""
        query = request.query
        asked = self._proxies.asked(request)
        refused = self._refuse_query(request) or self._refuse_origin(request, asked)
        if refused is not None:
            return refused
        try:
            given = credentials.presented(request, self._options.token)
        except credentials.Unauthorized as error:
            metrics.CONNECTIONS_REFUSED.labels(Code.UNAUTHORIZED).inc()
            answer = refusal(401, Code.UNAUTHORIZED, str(error))
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        except ValueError as error:
            return refusal(400, Code.BAD_REQUEST, str(error))
        address = self._proxies.counted_as(asked.address)
        refused = self._refuse_for_bounds(address) or handshake.refuse(request)
        if refused is not None:
            return refused
        if credentials.is_foreign(credentials.offered(request)):
            metrics.FOREIGN_SUBPROTOCOLS.inc()
            message = "clients offer subprotocols that are not ours, such as %r: none is agreed on"
            self._seldom.warn("subprotocol", message, credentials.tellable(request))
        return Wish(
            address=address,
            security=query.get("security", self._default),
            resume=given.resume,
            may_command=given.may_command,
            cancel_on_disconnect_s=_seconds(query.get("cancelOnDisconnect", "false")),
            wants_feed="feed" not in query,
        )

    def _refuse_query(self, request: web.Request) -> web.Response | None:
        query = request.query
        security = query.get("security")
        if security is not None and security not in self._securities:
            names = ", ".join(self._securities[:10])
            message = f"security: expected one of {names}, got {security[:40]!r}"
            return refusal(404, Code.UNKNOWN_SECURITY, message)
        for name in query:
            if name not in QUERY:
                message = f"expected the parameters {', '.join(QUERY)}, got {name[:40]!r}"
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
        return None

    def _refuse_origin(self, request: web.Request, asked: ClientView) -> web.Response | None:
        origin = request.headers.get("Origin")
        if origin is None:
            return None
        why = self._origins.why_refused(origin, asked.host, through_proxy=asked.through_proxy)
        if why is None:
            return None
        metrics.CONNECTIONS_REFUSED.labels(Code.ORIGIN_REFUSED).inc()
        return refusal(403, Code.ORIGIN_REFUSED, why)

    def _refuse_for_bounds(self, address: str) -> web.Response | None:
        options = self._options
        if self.closed:
            return refusal(503, Code.UNAVAILABLE, "the server is stopping")
        if self.draining:
            return refusal(503, Code.UNAVAILABLE, "the server is draining: no new connections")
        if self._sessions() >= options.sessions_max:
            self._note("sessions_max", options.sessions_max, address)
            message = f"sessions_max {options.sessions_max} reached"
            return refusal(503, Code.OVERLOADED, message)
        if self._of_address(address) >= self._of_address_max:
            self._note("sessions_per_address_max", self._of_address_max, address)
            message = f"sessions_per_address_max {self._of_address_max} reached"
            return refusal(429, Code.OVERLOADED, message)
        return None

    def _note(self, bound: str, value: int, address: str) -> None:
        metrics.CONNECTIONS_REFUSED.labels(bound).inc()
        self._seldom.warn(bound, "session of %s refused: %s %d reached", address, bound, value)


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
