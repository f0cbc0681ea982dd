"""Serves the documents: ``/docs`` for people, JSON for tools."""

from __future__ import annotations

from functools import cache

import msgspec
from aiohttp import web

from fastbook_server.gateway.http.documents.asyncapi import asyncapi
from fastbook_server.gateway.http.documents.openapi import openapi
from fastbook_server.gateway.http.documents.page import STYLE, page

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def routes() -> list[web.RouteDef]:
    """Return the routes of the documents."""
    return [
        web.get("/docs", _page),
        web.get("/docs/", _page),
        web.get("/docs/style.css", _style),
        web.get("/docs/openapi.json", _openapi),
        web.get("/docs/asyncapi.json", _asyncapi),
    ]


@cache
def _page_text() -> str:
    return page(openapi(), asyncapi())


async def _page(_request: web.Request) -> web.Response:
    return web.Response(text=_page_text(), content_type="text/html", headers=HEADERS)


async def _style(_request: web.Request) -> web.Response:
    return web.Response(text=STYLE, content_type="text/css", headers=HEADERS)


async def _openapi(request: web.Request) -> web.Response:
    return _json(msgspec.json.encode(openapi(f"{request.scheme}://{request.host}")))


async def _asyncapi(request: web.Request) -> web.Response:
    return _json(msgspec.json.encode(asyncapi(request.host, secure=request.secure)))


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json", headers=HEADERS)
