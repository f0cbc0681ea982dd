"""The frames of a WebSocket that a server sends (RFC 6455): each is built once for all."""

from __future__ import annotations

from fastbook_server.gateway._frames import frame, text

__all__ = ["CLOSE", "PING", "PONG", "TEXT", "close", "may_close_with", "ping", "pong", "text"]

TEXT = 0x81  # FIN and opcode 1
CLOSE = 0x88
PING = 0x89
PONG = 0x8A

PROTOCOL_ERROR = 1002
REASON_BYTES_MAX = 123


def close(code: int | None, reason: str = "") -> bytes:
    """Return a close frame, of no payload if `code` is None; a long `reason` is cut off."""
    payload = b""
    if code is not None:
        cut = reason.encode()[:REASON_BYTES_MAX].decode(errors="ignore")
        payload = code.to_bytes(2, "big") + cut.encode()
    return frame(CLOSE, payload)


def may_close_with(code: int) -> bool:
    """Return whether a close frame may carry `code` (RFC 6455, 7.4, and IANA's registry)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


def ping() -> bytes:
    """Return a ping."""
    return frame(PING, b"")


def pong(payload: bytes) -> bytes:
    """Return the answer to a ping with this payload, at most 125 bytes long."""
    return frame(PONG, bytes(payload))  # aiohttp's is a bytearray
