"""``GET`` and ``PUT /sim`` or ``/replay``: a server's own market in the hands of its machine alone.

A client with access could flood the server's database. So the control answers only peers on the
loopback interface that addressed a loopback name (against DNS rebinding, where a page points its
own name here), that came without a proxy, and not from the page of another site.
"""

from __future__ import annotations

import functools
import ipaddress
import json
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from fastbook_cli.sim.control import Change
from fastbook_server.gateway.http.refusal import refusal
from fastbook_server.gateway.operator import Operator
from fastbook_wire.words import Code

BODY_BYTES_MAX = 1_000
_PROXIED = ("forwarded", "via", "x-real-ip")
_PROXIED_PREFIX = "x-forwarded-"
_OWN_SITE = ("same-origin", "none")


class MarketControl(Protocol):
    """What is controlled: a simulated market, or a recorded one."""

    def apply(self, change: Any) -> None:
        """Apply the whole change, or nothing.

        Raises:
            ValueError: a value is outside its bounds.
        """

    def state(self) -> msgspec.Struct:
        """Return the current settings."""


class ControlOperator(Operator):
    """The server's operator, with routes that show and change `control` at a path of its `word`."""

    def __init__(
        self, control: MarketControl, word: str, change: type[msgspec.Struct], **parts: Any
    ) -> None:
        super().__init__(**parts)
        self._control = control
        self._word = word
        self._path = f"/{word}"
        self._change = change

    def routes(self) -> list[web.RouteDef]:
        """Return all routes."""
        return [
            *super().routes(),
            web.get(self._path, self.look),
            web.put(self._path, self.turn),
            web.route("*", self._path, self.nothing_else),
        ]

    async def version(self, request: web.Request) -> web.Response:
        """Return the versions and, to a client with access to the control, its path by its word.

        From this the page knows whether there is a control, without a request that may fail.
        """
        answer = await super().version(request)
        if why_refused(request) is not None:
            return answer
        assert answer.text is not None
        return web.json_response(json.loads(answer.text) | {self._word: self._path})

    async def look(self, request: web.Request) -> web.Response:
        """Return the current settings."""
        why = why_refused(request)
        return self._state() if why is None else refusal(403, Code.UNAVAILABLE, why)

    async def turn(self, request: web.Request) -> web.Response:
        """Change the settings that the body names; return the settings after that."""
        why = why_refused(request)
        if why is not None:
            return refusal(403, Code.UNAVAILABLE, why)
        try:
            self._control.apply(msgspec.json.decode(await _body(request), type=self._change))
        except (msgspec.DecodeError, ValueError) as error:
            return refusal(400, Code.BAD_REQUEST, str(error))
        return self._state()

    async def nothing_else(self, request: web.Request) -> web.Response:
        """Refuse any other method."""
        answer = refusal(405, Code.BAD_REQUEST, f"expected GET or PUT, got {request.method[:20]}")
        answer.headers["Allow"] = "GET, HEAD, PUT"
        return answer

    def _state(self) -> web.Response:
        return web.Response(
            body=msgspec.json.encode(self._control.state()),
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )


def with_control(
    control: MarketControl, word: str = "sim", change: type[msgspec.Struct] = Change
) -> Callable[..., Operator]:
    """Return a factory of operators with this control; `change` is what a ``PUT`` may hold."""
    return functools.partial(ControlOperator, control, word, change)


def why_refused(request: web.Request) -> str | None:
    """Return why a request may not use the control, or None if it may."""
    if not _is_loopback(request.remote or ""):
        return "the market can only be controlled from the server's own machine"
    for name in request.headers:
        if name.lower() in _PROXIED or name.lower().startswith(_PROXIED_PREFIX):
            return f"the market cannot be controlled through a proxy ({name[:40]})"
    try:
        host = urlsplit(f"//{request.host}").hostname or ""
    except ValueError:  # an address with an open bracket
        host = ""
    if host != "localhost" and not _is_loopback(host):
        return f"host: expected localhost or a loopback address, got {request.host[:80]!r}"
    origin = request.headers.get("Origin")
    if origin is not None and origin not in (f"http://{request.host}", f"https://{request.host}"):
        return f"origin: expected the server's own, got {origin[:80]!r}"
    if request.headers.get("Sec-Fetch-Site", "none") not in _OWN_SITE:
        return "the request comes from the page of another site"
    return None


async def _body(request: web.Request) -> bytes:
    """Return the whole body; the beginning of one may look like a complete change.

    Raises:
        ValueError: the body is too long, or does not match its headers.
    """
    body = bytearray()
    try:
        async for part in request.content.iter_any():
            body += part
            if len(body) > BODY_BYTES_MAX:
                raise ValueError(f"body: expected at most {BODY_BYTES_MAX} bytes, got more")
    except web.RequestPayloadError as error:
        raise ValueError(f"body: expected what its headers announce, got {error}") from None
    return bytes(body)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
