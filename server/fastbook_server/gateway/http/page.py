"""The trading page: its files from the package, held in memory, under a strict policy."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path

import msgspec
from aiohttp import web

from fastbook_wire.words import Code

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

FOLDER = Path(__file__).parents[1] / "web"

CHART_STYLE = "sha256-3pRED1tOXas1FXFoPb9TGCjmYe9XQsmO9OV23khV2nY="
"""Of the one style sheet that the chart library puts into the page, for its attribution."""

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        f"style-src 'self' '{CHART_STYLE}'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # revalidated by its ETag, so that a new version shows at once
    "Vary": "Accept, Accept-Encoding",
}
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    "": "text/plain",
}


class Asset(msgspec.Struct, frozen=True):
    """One file, ready to send."""

    content_type: str
    etag: str
    plain: bytes
    zipped: bytes


@cache
def load(folder: Path = FOLDER) -> dict[str, Asset]:
    """Return all files of the page by their path within `folder`."""
    return {
        path.relative_to(folder).as_posix(): _asset(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in _TYPES
    }


def _asset(path: Path) -> Asset:
    content = path.read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
    return Asset(_TYPES[path.suffix], etag, content, gzip.compress(content, mtime=0))


def routes(plain: Handler) -> list[web.RouteDef]:
    """Return the routes of the page; at ``/`` programs that want no HTML get `plain`'s answer."""
    assets = load()

    async def index(request: web.Request) -> web.StreamResponse:
        if "text/html" in request.headers.get("Accept", ""):
            return _answer(request, assets["index.html"])
        return await plain(request)

    async def asset(request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        found = assets.get(path)
        if found is None:
            message = f"there is no {path[:80]!r} in the page"
            body = {"code": Code.NOT_FOUND, "message": message}
            return web.json_response(body, status=404, headers=_HEADERS)
        return _answer(request, found)

    return [web.get("/", index), web.get("/web/{path:.+}", asset)]


def _answer(request: web.Request, asset: Asset) -> web.Response:
    headers = _HEADERS | {"ETag": asset.etag}
    if request.headers.get("If-None-Match") == asset.etag:
        return web.Response(status=304, headers=headers)
    body = asset.plain
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        headers["Content-Encoding"] = "gzip"
        body = asset.zipped
    return web.Response(
        body=body, content_type=asset.content_type, charset="utf-8", headers=headers
    )
