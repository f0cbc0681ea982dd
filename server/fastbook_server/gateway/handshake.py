"""Whether a request is a WebSocket handshake (RFC 6455, section 4.2.1)."""

from __future__ import annotations

import base64
import binascii

from aiohttp import HttpVersion11, web

from fastbook_server.gateway.http.refusal import refusal
from fastbook_wire.words import Code

VERSION = "13"
KEY_BYTES = 16


def refuse(request: web.BaseRequest) -> web.Response | None:
    """Return what is to be answered to a request that is no handshake of ours, or None if it is."""
    headers = request.headers
    upgrades = _elements(headers.getall("Upgrade", ()))
    if upgrades > {"websocket"}:
        message = "Upgrade: expected websocket alone, got other protocols beside it"
        return refusal(400, Code.BAD_REQUEST, message)
    if (
        request.method != "GET"
        or request.version < HttpVersion11
        or "websocket" not in upgrades
        or "upgrade" not in _elements(headers.getall("Connection", ()))
    ):
        message = "expected a WebSocket handshake, got a plain request; /docs tells what to say"
        return refusal(400, Code.BAD_REQUEST, message)
    for name in ("Sec-WebSocket-Version", "Sec-WebSocket-Key"):  # 11.3
        if len(headers.getall(name, ())) > 1:
            return refusal(400, Code.BAD_REQUEST, f"{name}: expected once, got it twice")
    version = headers.get("Sec-WebSocket-Version", "")
    if version.strip() != VERSION:
        got = repr(version[:20]) if version else "none"
        message = f"Sec-WebSocket-Version: expected {VERSION}, got {got}"
        answer = refusal(426, Code.BAD_REQUEST, message)
        answer.headers["Sec-WebSocket-Version"] = VERSION  # 4.4
        answer.headers["Upgrade"] = "websocket"
        return answer
    if not _is_key(headers.get("Sec-WebSocket-Key", "")):
        message = f"Sec-WebSocket-Key: expected {KEY_BYTES} bytes in base64"
        return refusal(400, Code.BAD_REQUEST, message)
    return None


def _elements(lines: list[str] | tuple[str, ...]) -> set[str]:
    return {element.strip().lower() for element in ",".join(lines).split(",")}


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text.strip(), validate=True)) == KEY_BYTES
    except (ValueError, binascii.Error):
        return False
