"""One snapshot for as many transactions as it takes to read a long history.

A transaction keeps a lock on every table and index that its queries could have used until it ends,
on TimescaleDB on those of each chunk, and there is room for some thousands. So each stretch is read
in a transaction of its own; a second connection, which reads nothing, keeps the snapshot.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from fastbook_server.store.connection import dial

if TYPE_CHECKING:
    from fastbook_server.store.connection import Connection

CONNECT_TIMEOUT_S = 10.0
# It does nothing for as long as others read.
STAY = "SET idle_in_transaction_session_timeout = 0"


class SharedSnapshot:
    """A moment of a database, which stays readable while it is `shared`.

    Without a `name` it is what the transaction sees that is open on `connection`.
    """

    def __init__(self, connection: Connection, name: str | None = None) -> None:
        self._connection = connection
        self._name = name

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lend the connection in a transaction that sees that moment; one at a time."""
        connection = self._connection
        if self._name is None:
            async with connection.transaction():
                yield connection
            return
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute(f"SET TRANSACTION SNAPSHOT '{self._name}'")
            yield connection


@contextlib.asynccontextmanager
async def shared(dsn: str, *, name: str, settings: str) -> AsyncIterator[SharedSnapshot]:
    """Take a snapshot of what is committed now; later commits do not show in it.

    `name` is what ``pg_stat_activity`` says of who reads, `settings` are statements that set how.

    Raises:
        StoreRefused: `dsn` is no URL.
        Exception: whatever asyncpg or the network raises; `store_error` classifies it.
    """
    async with contextlib.AsyncExitStack() as stack:
        reader, keeper = [await _connected(stack, dsn, name) for _ in range(2)]
        await reader.execute(settings)
        await keeper.execute(STAY)
        await keeper.transaction(isolation="repeatable_read", readonly=True).start()
        yield SharedSnapshot(reader, await keeper.fetchval("SELECT pg_export_snapshot()"))


async def _connected(stack: contextlib.AsyncExitStack, dsn: str, name: str) -> Connection:
    connection = await dial(
        dsn, timeout=CONNECT_TIMEOUT_S, server_settings={"application_name": name}
    )
    stack.callback(connection.terminate)
    return connection
