"""Ports for processes that find them free whenever they are started again."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

HOST = "127.0.0.1"
PORTS_FROM = 20_000
PORTS_TRIED = 1_000
RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")

_given: set[int] = set()


def free_ports(count: int) -> list[int]:
    """Return ports of this machine that nobody has now, and nobody takes by chance.

    They are none of those that the system gives to connections and to whoever asks for any port:
    a process that is down for a moment would not get such a one back. Nor does this process get
    one twice, as nobody may listen on the first yet.
    """
    free: list[int] = []
    for port in random.sample(range(PORTS_FROM, _first_of_the_system()), PORTS_TRIED):
        if len(free) == count:
            break
        if port in _given:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            free.append(port)
    _given.update(free)
    return free


def _first_of_the_system() -> int:
    """Return the first of the ports that the system gives away."""
    with contextlib.suppress(OSError, ValueError):
        first = int(RANGE_FILE.read_text().split()[0])
        if first >= PORTS_FROM + PORTS_TRIED:
            return first
    return 32_768
