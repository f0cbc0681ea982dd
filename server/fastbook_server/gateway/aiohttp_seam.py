"""The parts of aiohttp that are not public and that `websocket` rests on.

Any release of aiohttp may move them. So the server asks before it starts, instead of forbidding
releases that nobody has seen yet.
"""

from __future__ import annotations

import importlib

import aiohttp

PARTS = {
    "aiohttp.web_protocol.RequestHandler": (
        *("_message_tail", "_messages", "_payload_parser", "_reading_paused", "_buffer_paused"),
        *("_upgraded", "_pause_transport_reading", "_resume_transport_reading"),
        *("_close", "_force_close", "_keepalive_timeout", "_loop", "_next_keepalive_close_time"),
        *("_paused", "_waiter", "_pause_reading_for_buffer", "_resume_reading_for_buffer"),
    ),
    "aiohttp.web.WebSocketResponse": (
        *("_parser", "_payload_writer", "_post_start", "_reader", "_set_closed"),
    ),
    "aiohttp._websocket.reader.WebSocketDataQueue": ("_buffer", "set_exception"),
    "aiohttp._websocket.reader.WebSocketReader": ("feed_data", "feed_eof"),
    "aiohttp.http_websocket.WebSocketWriter": (),
}
"""Each class, and what of it is used."""
KNOWN = "3.14"
"""The release whose parts these are."""


class AiohttpError(Exception):
    """The installed aiohttp lacks a part; the message names it and says what to install."""


def missing() -> list[str]:
    """Return the parts that the installed aiohttp does not have."""
    lacking = []
    for path, attributes in PARTS.items():
        module, _, name = path.rpartition(".")
        try:
            kind = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            lacking.append(path)
        else:
            lacking += [f"{path}.{each}" for each in attributes if not hasattr(kind, each)]
    return lacking


def complaint() -> str | None:
    """Return what does not fit and what to install; None if the installed aiohttp fits."""
    lacking = missing()
    if not lacking:
        return None
    return (
        f"aiohttp {aiohttp.__version__} does not fit this release of fastbook, it has no "
        f"{lacking[0]}: pip install 'aiohttp~={KNOWN}.0', or a newer fastbook-exchange"
    )


def check() -> None:
    """Do nothing if the installed aiohttp fits.

    Raises:
        AiohttpError: it does not.
    """
    if said := complaint():
        raise AiohttpError(said)
