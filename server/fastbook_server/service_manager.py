"""What systemd is told of a server: that it is ready, that it lives, that it stops.

The protocol of sd_notify(3): datagrams to the socket that ``NOTIFY_SOCKET`` names. Without it,
nobody is told anything.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import MutableMapping

log = logging.getLogger(__name__)


class ServiceManager:
    """Tells the service manager at `address`, if there is one, how the server is doing.

    With `watchdog_s` the manager wants a sign of life within such a time; `live` gives two.
    """

    def __init__(self, address: str | None = None, watchdog_s: float | None = None) -> None:
        self._address = address
        self._watchdog_s = watchdog_s
        self._beat: asyncio.TimerHandle | None = None

    @classmethod
    def of(cls, environment: MutableMapping[str, str]) -> ServiceManager:
        """Return the manager that started this process, and take its variables out.

        A child that knew them, such as PostgreSQL, would speak for the server.
        """
        address = environment.pop("NOTIFY_SOCKET", None)
        microseconds = environment.pop("WATCHDOG_USEC", "")
        process = environment.pop("WATCHDOG_PID", str(os.getpid()))
        watched = microseconds.isdecimal() and process == str(os.getpid())
        return cls(address, int(microseconds) / 1e6 if watched else None)

    def ready(self, status: str) -> None:
        """Say that the server serves, from this process, and what it does; give signs of life.

        One that stands by is ready too: it does what it was started for.
        """
        self._tell(f"READY=1\nMAINPID={os.getpid()}\nSTATUS={status}")
        if self._beat is None and self._address is not None and self._watchdog_s is not None:
            self._live()

    def stopping(self) -> None:
        """Say that the server stops; its end takes what the database needs."""
        if self._beat is not None:
            self._beat.cancel()
        self._tell("STOPPING=1\nSTATUS=committing what was taken")

    def _live(self) -> None:
        assert self._watchdog_s is not None, "asked for"
        self._tell("WATCHDOG=1")
        self._beat = asyncio.get_running_loop().call_later(self._watchdog_s / 2, self._live)

    def _tell(self, state: str) -> None:
        if self._address is None:
            return
        address = self._address
        if address.startswith("@"):  # in Linux' abstract namespace
            address = "\0" + address[1:]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
                line.setblocking(False)
                line.sendto(state.encode(), address)
        except OSError as error:
            log.warning("the service manager cannot be told: %s", error.strerror or error)
