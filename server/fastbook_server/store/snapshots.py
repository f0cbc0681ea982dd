"""Read a database at one moment, for who follows what others write: nothing is claimed or written.

Orders, trades, fills and candles are those after one and the same batch: whoever goes on with the
next batch counts nothing twice, and misses nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from fastbook_server.store import Recovered
from fastbook_server.store.connection import Connection, connect, meanings
from fastbook_server.store.days import PLAN_WITH_VALUES
from fastbook_server.store.history import PostgresHistory
from fastbook_server.store.migrations import check_migrated
from fastbook_server.store.recovery import (
    Claim,
    look,
    no_search_for_garbage,
    recover_in,
    snapshot,
)
from fastbook_server.values.instruments import Instrument, InstrumentSpec
from fastbook_server.values.shards import Shards

READ_TIMEOUT_S = 900.0
"""For each query: where candles are not aggregated yet, it may read a year of fills."""

PLAN_AS_HISTORY = f"SET LOCAL enable_seqscan = off; SET LOCAL {PLAN_WITH_VALUES}"


class Moment(NamedTuple):
    """A database, each of whose shards is after batch ``batch_no`` of its part.

    ``history`` is of the same moment.
    """

    parts: dict[str, Recovered]
    history: PostgresHistory


@contextlib.asynccontextmanager
async def read(
    dsn: str,
    specs: Sequence[InstrumentSpec],
    last_trades: int,
    *,
    shards: Shards | None = None,
    connect_timeout_s: float,
) -> AsyncIterator[Moment]:
    """Lend the state of the instruments of `specs` with the newest `last_trades` of each (0: all).

    The epoch is that of the last batch. The history can be asked until the context ends.

    Raises:
        StoreUnavailable: the database is away.
        StoreUnprepared: it lacks the schema of this program, an instrument of `specs`, or `shards`.
        StoreRefused: it contradicts `specs`, or has open orders in a security beside them.
    """
    connection: Connection | None = None
    try:
        with meanings():
            connection = await connect(
                dsn, connect_timeout_s=connect_timeout_s, command_timeout_s=READ_TIMEOUT_S
            )
            await check_migrated(connection)
            await snapshot(connection).start()
            seen = await look(connection, specs, shards)
            with no_search_for_garbage():
                parts = {
                    shard: await recover_in(connection, of_shard, last_trades)
                    for shard, of_shard in seen.items()
                }
            await connection.execute(PLAN_AS_HISTORY)
        yield Moment(parts, OneConnection(connection, _instruments(next(iter(seen.values())))))
    finally:
        if connection is not None:
            connection.terminate()


def _instruments(seen: Claim) -> tuple[Instrument, ...]:
    return (*seen.instruments, *seen.unlisted)


class OneConnection(PostgresHistory):
    """A `History` that asks over one connection, in whatever transaction is open there."""

    def __init__(self, connection: Connection, instruments: Sequence[Instrument]) -> None:
        super().__init__("", instruments)
        self._only = connection

    @contextlib.asynccontextmanager
    async def _connection(
        self,
        timeout_s: float | None = None,  # noqa: ARG002 (whose transaction it is sets the bounds)
    ) -> AsyncIterator[Connection]:
        with meanings():
            yield self._only
