"""The refusal of a plain request, in JSON."""

from __future__ import annotations

from aiohttp import web

from fastbook_wire.words import Code


def refusal(status: int, code: Code, message: str) -> web.Response:
    """Return a response that says why a request was refused."""
    return web.json_response({"code": code, "message": message}, status=status)
