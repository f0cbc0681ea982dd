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

READ_TIMEOUT_S = 900.0
"""For each query: where candles are not aggregated yet, it may read a year of fills."""

PLAN_AS_HISTORY = f"SET LOCAL enable_seqscan = off; SET LOCAL {PLAN_WITH_VALUES}"


class Moment(NamedTuple):
    """A database after batch ``recovered.batch_no``; ``history`` is of the same moment."""

    recovered: Recovered
    history: PostgresHistory


@contextlib.asynccontextmanager
async def read(
    dsn: str, specs: Sequence[InstrumentSpec], last_trades: int, *, connect_timeout_s: float
) -> AsyncIterator[Moment]:
    """Lend the state of the instruments of `specs` with the newest `last_trades` of each (0: all).

    The epoch is that of the last batch. The history can be asked until the context ends.

    Raises:
        StoreUnavailable: the database is away.
        StoreUnprepared: it lacks the schema of this program, or an instrument of `specs`.
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
            seen = await look(connection, specs)
            with no_search_for_garbage():
                recovered = await recover_in(connection, seen, last_trades)
            await connection.execute(PLAN_AS_HISTORY)
        yield Moment(recovered, OneConnection(connection, _instruments(seen)))
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
