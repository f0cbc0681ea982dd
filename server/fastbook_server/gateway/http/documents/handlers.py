"""Serves the documents: ``/docs`` for people, JSON for tools."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from fastbook_server.gateway.http.documents.asyncapi import asyncapi
from fastbook_server.gateway.http.documents.openapi import openapi
from fastbook_server.gateway.http.documents.page import STYLE, page
from fastbook_server.gateway.http.refusal import refusal
from fastbook_server.gateway.proxies import Proxies
from fastbook_wire.words import Code

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


class Documents:
    """Serves both interfaces' documents; `proxies` tell under which address clients see us."""

    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the documents."""
        return [
            web.get("/docs", self._page),
            web.get("/docs/", self._page),
            web.get("/docs/style.css", self._style),
            web.get("/docs/try/{path:.*}", self._try),
            web.get("/docs/openapi.json", self._openapi),
            web.get("/docs/asyncapi.json", self._asyncapi),
        ]

    async def _page(self, request: web.Request) -> web.Response:
        text = _page_text(self._proxies.asked(request).prefix)
        return web.Response(text=text, content_type="text/html", headers=HEADERS)

    async def _style(self, _request: web.Request) -> web.Response:
        return web.Response(text=STYLE, content_type="text/css", headers=HEADERS)

    async def _try(self, request: web.Request) -> web.Response:
        """Lead a form's request to its path, without the fields that were left empty."""
        path = f"/{request.match_info['path']}"
        if path not in openapi()["paths"]:
            return refusal(404, Code.NOT_FOUND, "expected a path of /docs")
        given = {name: value for name, value in request.query.items() if value}
        query = f"?{urlencode(given)}" if given else ""
        where = f"{self._proxies.asked(request).prefix}{path}{query}"
        return web.Response(status=303, headers={**HEADERS, "Location": where})

    async def _openapi(self, request: web.Request) -> web.Response:
        return _json(msgspec.json.encode(openapi(self._proxies.asked(request).url)))

    async def _asyncapi(self, request: web.Request) -> web.Response:
        asked = self._proxies.asked(request)
        document = asyncapi(asked.shown_host, secure=asked.secure, prefix=asked.prefix)
        return _json(msgspec.json.encode(document))


@lru_cache(maxsize=8)
def _page_text(prefix: str) -> str:
    return page(openapi(), asyncapi(), prefix)


def _json(body: bytes) -> web.Response:
    readable = msgspec.json.format(body, indent=2)
    return web.Response(body=readable, content_type="application/json", headers=HEADERS)
