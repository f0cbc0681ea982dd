"""WebSocket framing (RFC 6455, section 5.2): a frame is built once and sent to any number."""

from __future__ import annotations

TEXT = 0x81  # FIN and opcode 1
CLOSE = 0x88
PONG = 0x8A


def text(payload: bytes) -> bytes:
    """Return an unmasked text frame, as a server sends it."""
    return _header(TEXT, len(payload)) + payload


def close(code: int, reason: str) -> bytes:
    """Return a close frame; `reason` is at most 123 bytes long."""
    payload = code.to_bytes(2, "big") + reason.encode()
    return _header(CLOSE, len(payload)) + payload


def pong(payload: bytes) -> bytes:
    """Return the answer to a ping with this payload, at most 125 bytes long."""
    return _header(PONG, len(payload)) + payload


def _header(first: int, length: int) -> bytes:
    if length < 126:
        return bytes((first, length))
    if length < 65_536:
        return bytes((first, 126)) + length.to_bytes(2, "big")
    return bytes((first, 127)) + length.to_bytes(8, "big")
