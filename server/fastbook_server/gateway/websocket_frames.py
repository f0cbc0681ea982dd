"""WebSocket framing (RFC 6455, section 5.2): a frame is built once and sent to any number."""

from __future__ import annotations

TEXT = 0x81  # FIN and opcode 1
CLOSE = 0x88
PONG = 0x8A

PROTOCOL_ERROR = 1002
REASON_BYTES_MAX = 123


def text(payload: bytes) -> bytes:
    """Return an unmasked text frame, as a server sends it."""
    return _header(TEXT, len(payload)) + payload


def close(code: int | None, reason: str = "") -> bytes:
    """Return a close frame, of no payload if `code` is None; a long `reason` is cut off."""
    payload = b""
    if code is not None:
        cut = reason.encode()[:REASON_BYTES_MAX].decode(errors="ignore")
        payload = code.to_bytes(2, "big") + cut.encode()
    return _header(CLOSE, len(payload)) + payload


def may_close_with(code: int) -> bool:
    """Return whether a close frame may carry `code` (RFC 6455, 7.4, and IANA's registry)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


def pong(payload: bytes) -> bytes:
    """Return the answer to a ping with this payload, at most 125 bytes long."""
    return _header(PONG, len(payload)) + payload


def _header(first: int, length: int) -> bytes:
    if length < 126:
        return bytes((first, length))
    if length < 65_536:
        return bytes((first, 126)) + length.to_bytes(2, "big")
    return bytes((first, 127)) + length.to_bytes(8, "big")
