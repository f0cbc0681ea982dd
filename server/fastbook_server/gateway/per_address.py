"""How many TCP connections each client has: what is silent takes a place like all others."""

from __future__ import annotations

import asyncio
from collections import Counter

from fastbook_server.gateway.proxies import Proxies

SPARE_PER_ADDRESS = 16
"""Connections of one address beyond its sessions: requests, and those that are being refused."""

SPARE_FOR_OTHERS = 32
"""Connections that all addresses but one find free, however many one may have."""


class PerAddress:
    """Counts the connections of each address but those of trusted `proxies`, which bring many."""

    def __init__(self, proxies: Proxies, *, sessions_max: int, connections_max: int) -> None:
        self.proxies = proxies
        spare = connections_max - SPARE_FOR_OTHERS
        self.bound = max(1, min(sessions_max + SPARE_PER_ADDRESS, spare))
        self._counts: Counter[str] = Counter()
        self._counted: dict[object, str] = {}

    def address(self, transport: asyncio.BaseTransport) -> str:
        """Return what the peer's address counts as."""
        peer = transport.get_extra_info("peername")
        return self.proxies.counted_as(peer[0] if isinstance(peer, tuple) else "")

    def take(self, connection: object, transport: asyncio.BaseTransport) -> bool:
        """Count a connection until it leaves; return False if its address has too many."""
        address = self.address(transport)
        if self.proxies.trusts(address):
            return True
        self._counts[address] += 1
        self._counted[connection] = address
        return self._counts[address] <= self.bound

    def leave(self, connection: object) -> None:
        """Count a connection no more."""
        address = self._counted.pop(connection, None)
        if address is not None:
            self._counts[address] -= 1
            if not self._counts[address]:
                del self._counts[address]
