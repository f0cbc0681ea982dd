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

from fastbook_client.wire.words import Code
from fastbook_server.routes import Gateway
from fastbook_server.sim.control import Change, Control

PATH = "/sim"
BODY_BYTES_MAX = 1_000
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP")
_OWN_SITE = ("same-origin", "none")


class SimGateway(Gateway):
    """A door with a control; `control` says what it turns."""

    def __init__(self, control: Control, **parts: Any) -> None:
        super().__init__(**parts)
        self._control = control

    def routes(self) -> list[web.RouteDef]:
        """Return all routes."""
        return [*super().routes(), web.get(PATH, self.look), web.put(PATH, self.turn)]

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
        refusal = why_refused(request)
        return self._state() if refusal is None else _error(403, Code.UNAVAILABLE, refusal)

    async def turn(self, request: web.Request) -> web.Response:
        """Change what the body names; return what holds then."""
        refusal = why_refused(request)
        if refusal is not None:
            return _error(403, Code.UNAVAILABLE, refusal)
        body = await request.content.read(BODY_BYTES_MAX + 1)
        if len(body) > BODY_BYTES_MAX:
            message = f"expected at most {BODY_BYTES_MAX} bytes"
            return _error(400, Code.BAD_REQUEST, message)
        try:
            self._control.apply(msgspec.json.decode(body, type=Change))
        except (msgspec.DecodeError, ValueError) as error:
            return _error(400, Code.BAD_REQUEST, str(error))
        return self._state()

    def _state(self) -> web.Response:
        return web.Response(
            body=msgspec.json.encode(self._control.state()),
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )


def with_control(control: Control) -> Callable[..., Gateway]:
    """Return what makes a server's door with this control."""
    return functools.partial(SimGateway, control)


def why_refused(request: web.Request) -> str | None:
    """Return why a request may not touch the control; None: it may."""
    if not _is_loopback(request.remote or ""):
        return "the simulation is controlled from the server's own machine only"
    for name in _FORWARDED:
        if name in request.headers:
            return f"the simulation is not controlled through a proxy ({name})"
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


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _error(status: int, code: Code, message: str) -> web.Response:
    return web.json_response({"code": code, "message": message}, status=status)
