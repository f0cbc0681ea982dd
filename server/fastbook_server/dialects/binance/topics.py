"""Who listens to which stream. An event is encoded once for all who want it in the same form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from fastbook_server.gateway import websocket_frames

MILLISECONDS, MICROSECONDS = 1, 1_000
"""What times are multiplied with, of those who want them so."""

Make = Callable[[int], Any]
"""Makes an event with times of one scale; what it returns is encoded as JSON."""


class StreamReader(Protocol):
    """A connection, as streams see it: raw events or combined ones, times in one scale."""

    combined: bool
    scale: int

    def send(self, frame: bytes) -> None:
        """Queue a frame that must not be lost."""


class Topics:
    """The readers of all streams, by the streams' names."""

    def __init__(self) -> None:
        self._readers: dict[str, dict[StreamReader, None]] = {}

    def heard(self, name: str) -> bool:
        """Return whether anybody listens to a stream."""
        return name in self._readers

    def has(self, name: str, reader: StreamReader) -> bool:
        """Return whether `reader` listens to a stream."""
        return reader in self._readers.get(name, ())

    def join(self, name: str, reader: StreamReader) -> None:
        """Send a stream's events to `reader` from now on."""
        self._readers.setdefault(name, {})[reader] = None

    def leave(self, name: str, reader: StreamReader) -> None:
        """Send a stream's events to `reader` no more."""
        readers = self._readers.get(name, {})
        readers.pop(reader, None)
        if not readers:
            self._readers.pop(name, None)

    def tell(self, name: str, make: Make) -> None:
        """Send an event to all who listen; it is made and encoded once per form."""
        readers = self._readers.get(name)
        if readers is None:
            return
        frames: dict[tuple[bool, int], bytes] = {}
        for reader in tuple(readers):
            form = (reader.combined, reader.scale)
            frame = frames.get(form)
            if frame is None:
                frame = frames[form] = event_frame(name, make, *form)
            reader.send(frame)


def event_frame(name: str, make: Make, combined: bool, scale: int) -> bytes:
    """Return the frame of an event, bare or with the name of its stream around it."""
    event = msgspec.json.encode(make(scale))
    if combined:
        event = b'{"stream":%b,"data":%b}' % (msgspec.json.encode(name), event)
    return websocket_frames.text(event)
