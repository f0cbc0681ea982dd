"""Which of several servers has the database: a lock that PostgreSQL frees when its holder dies.

The lock only says when a standby may start. What keeps the books right is the epoch: whoever is
replaced, and only was slow, can commit nothing more.
"""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Self

import asyncpg

from fastbook_server.store.connection import Connection, connect

log = logging.getLogger(__name__)

LEADER_KEY = 0x6C65616465
"""The advisory lock of the server that has the database: "leade" in ASCII."""
CHECK_S = 0.25
"""Interval at which a standby looks, and at which a server that lacks the lock tries again."""
STALE_S = 20.0
"""A server that commits nothing for so long counts as dead: an idle one does every 5 s."""
TIMEOUT_S = 5.0

READ_PROGRESS = "SELECT max(epoch) AS epoch, sum(batch_no)::bigint AS batch_no FROM engine_state"

_AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


class Leadership:
    """Waits for the lock, if it must, and keeps it from `keep` on until it is left."""

    def __init__(self, dsn: str, *, check_s: float = CHECK_S, stale_s: float = STALE_S) -> None:
        self._dsn = dsn
        self._check_s = check_s
        self._stale_s = stale_s
        self._connection: Connection | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._connection is not None:
            self._connection.terminate()

    @property
    def is_held(self) -> bool:
        """Whether this server has the lock."""
        return self._connection is not None and not self._connection.is_closed()

    async def stand_by(self) -> None:
        """Wait until no other server lives on the database."""
        loop = asyncio.get_running_loop()
        state, since_s = None, loop.time()
        waits = False
        while not await self._try():
            seen = await self._state()
            if not waits:
                waits = True
                has_it = "another server has the database"
                log.info(
                    "standing by: %s", "the database cannot be read" if seen is None else has_it
                )
            if seen != state or seen is None:
                state, since_s = seen, loop.time()
            elif loop.time() - since_s > self._stale_s:
                log.warning("the other server has committed nothing for %g s", self._stale_s)
                break
            await asyncio.sleep(self._check_s)
        if waits:
            log.warning("taking over")

    def keep(self) -> None:
        """Hold the lock from now on, or as soon as it is free."""
        self._keeper = asyncio.create_task(self._keep(), name="leadership")

    async def _keep(self) -> None:
        while True:
            if not self.is_held:
                await self._try()
            await asyncio.sleep(self._check_s)

    async def _try(self) -> bool:
        """Take the lock if it is free; return whether this server has it."""
        connection: Connection | None = None
        try:
            connection = await self._connected()
            if await connection.fetchval("SELECT pg_try_advisory_lock($1)", LEADER_KEY):
                self._connection = connection
                return True
        except _AWAY as error:
            log.debug("the lock cannot be had: %s", error)
        if connection is not None:
            connection.terminate()
        return False

    async def _state(self) -> tuple[int, int] | None:
        """Return epoch and number of the last batch; None if they cannot be read."""
        connection: Connection | None = None
        try:
            connection = await self._connected()
            row = await connection.fetchrow(READ_PROGRESS)
            return None if row is None or row["epoch"] is None else (row["epoch"], row["batch_no"])
        except _AWAY:
            return None
        finally:
            if connection is not None:
                connection.terminate()

    async def _connected(self) -> Connection:
        return await connect(self._dsn, connect_timeout_s=TIMEOUT_S, command_timeout_s=TIMEOUT_S)
