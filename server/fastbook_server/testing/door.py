"""The door of a test's server: it opens tapped sessions and can refuse connections."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from aiohttp import web

from fastbook_server.gateway import closing
from fastbook_server.gateway.door import Door
from fastbook_server.gateway.http.refusal import refusal
from fastbook_server.testing.faults import NoEntry
from fastbook_server.testing.tap import Company, TappedSession
from fastbook_wire.words import Code

TURNS_MAX = 200
"""Loop turns in which sessions may end; ending one needs no client's consent."""

PATIENCE_S = 0.02
"""How long a full socket may take before its session is cut off."""


class FaultyDoor(Door):
    """A door that applies the faults and waits for no client when it closes."""

    def __init__(self, company: Company, **rest: Any) -> None:
        super().__init__(**rest)
        self._company = company
        self.session_type = partial(TappedSession, company=company)

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        """Open a session, unless a fault refuses it."""
        fault = self._company.faults.take(NoEntry, "")
        if fault is not None:
            return refusal(fault.status, Code.UNAVAILABLE, "refused by an injected fault")
        return await super().websocket(request)

    async def close_all(self, timeout_s: float) -> None:
        """Close every session with 1001, then close its connection."""
        for session in tuple(self._sessions):
            session.close(closing.GOING_AWAY, "the server is stopping")
        await asyncio.sleep(0)
        for wire in tuple(self._company.wires):
            wire.close()
        for _ in range(TURNS_MAX):
            if not self._sessions:
                return
            await asyncio.sleep(0)
        await super().close_all(min(timeout_s, PATIENCE_S))  # these have not read what was sent
