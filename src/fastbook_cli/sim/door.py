"""``GET`` and ``PUT /sim``: the control of a server's own simulated market, for this machine alone.

Whoever may turn it can flood the server's database, so it is open only to peers on the loopback
interface that came by a loopback name (a page that let its own name lead here is not one of them:
DNS rebinding), not through a proxy, and not from another site's page.
"""

from __future__ import annotations

import functools
import ipaddress
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from fastbook_cli.sim.control import Change, Control
from fastbook_server.gateway.http.refusal import refusal
from fastbook_server.gateway.operator import Operator
from fastbook_wire.words import Code

PATH = "/sim"
BODY_BYTES_MAX = 1_000
_PROXIED = ("forwarded", "via", "x-real-ip")
_PROXIED_PREFIX = "x-forwarded-"
_OWN_SITE = ("same-origin", "none")


class SimOperator(Operator):
    """An operator with a control; `control` says what it turns."""

    def __init__(self, control: Control, **parts: Any) -> None:
        super().__init__(**parts)
        self._control = control

    def routes(self) -> list[web.RouteDef]:
        """Return all routes."""
        return [
            *super().routes(),
            web.get(PATH, self.look),
            web.put(PATH, self.turn),
            web.route("*", PATH, self.nothing_else),
        ]

    async def version(self, request: web.Request) -> web.Response:
        """Return the versions; to who may turn the control, where it is: ``sim``.

        So a page learns of it without a request that fails where there is none.
        """
        answer = await super().version(request)
        if why_refused(request) is not None:
            return answer
        assert answer.text is not None
        return web.json_response(json.loads(answer.text) | {"sim": PATH})

    async def look(self, request: web.Request) -> web.Response:
        """Return what holds now."""
        why = why_refused(request)
        return self._state() if why is None else refusal(403, Code.UNAVAILABLE, why)

    async def turn(self, request: web.Request) -> web.Response:
        """Change what the body names; return what holds then."""
        why = why_refused(request)
        if why is not None:
            return refusal(403, Code.UNAVAILABLE, why)
        try:
            self._control.apply(msgspec.json.decode(await _body(request), type=Change))
        except (msgspec.DecodeError, ValueError) as error:
            return refusal(400, Code.BAD_REQUEST, str(error))
        return self._state()

    async def nothing_else(self, request: web.Request) -> web.Response:
        """Say which methods there are."""
        answer = refusal(405, Code.BAD_REQUEST, f"expected GET or PUT, got {request.method[:20]}")
        answer.headers["Allow"] = "GET, HEAD, PUT"
        return answer

    def _state(self) -> web.Response:
        return web.Response(
            body=msgspec.json.encode(self._control.state()),
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )


def with_control(control: Control) -> Callable[..., Operator]:
    """Return what makes a server's operator with this control."""
    return functools.partial(SimOperator, control)


def why_refused(request: web.Request) -> str | None:
    """Return why a request may not touch the control; None: it may."""
    if not _is_loopback(request.remote or ""):
        return "the simulation is controlled from the server's own machine only"
    for name in request.headers:
        if name.lower() in _PROXIED or name.lower().startswith(_PROXIED_PREFIX):
            return f"the simulation is not controlled through a proxy ({name[:40]})"
    try:
        host = urlsplit(f"//{request.host}").hostname or ""
    except ValueError:  # an address with an open bracket
        host = ""
    if host != "localhost" and not _is_loopback(host):
        return f"host {request.host[:80]}: expected localhost or a loopback address"
    origin = request.headers.get("Origin")
    if origin is not None and origin not in (f"http://{request.host}", f"https://{request.host}"):
        return f"origin {origin[:80]} is another site's"
    if request.headers.get("Sec-Fetch-Site", "none") not in _OWN_SITE:
        return "the request comes from another site's page"
    return None


async def _body(request: web.Request) -> bytes:
    """Return the whole body: its beginning may be a change of its own.

    Raises:
        ValueError: it is too long, or not what its headers say.
    """
    body = bytearray()
    try:
        async for part in request.content.iter_any():
            body += part
            if len(body) > BODY_BYTES_MAX:
                raise ValueError(f"expected at most {BODY_BYTES_MAX} bytes")
    except web.RequestPayloadError as error:
        raise ValueError(f"expected the body that the headers tell of: {error}") from None
    return bytes(body)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
