"""When a connection is read from: not while frames of it wait for a turn of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

ROOM_CHECK_S = 0.005
"""Interval at which it is looked whether the frames before have been handled."""


class Flow:
    """Stops and resumes reading from a connection, beside aiohttp, which does so for its queue."""

    def __init__(self, connection: web.RequestHandler) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()

    def hold(self, go_on: Callable[[], None]) -> None:
        """Stop reading; call `go_on` in a later turn, once the queue has room.

        That the queue has room again is no reason to read: what is held would grow and grow.
        """
        self._connection._pause_reading_for_buffer()
        self._loop.call_soon(self._try, go_on)

    def _try(self, go_on: Callable[[], None]) -> None:
        if self._connection.transport is not None and self._connection._reading_paused:
            self._loop.call_later(ROOM_CHECK_S, self._try, go_on)
        else:
            go_on()

    def release(self) -> None:
        """Read again, unless the queue is full."""
        self._connection._resume_reading_for_buffer()

    def end(self) -> None:
        """Take no more of what arrives."""
        self._connection.close()
