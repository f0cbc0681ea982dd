"""What a gateway reads of SQL: the past at its start, and a history that waits for the recorder."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from fastbook_server.cluster.gateway import Snapshot
from fastbook_server.config import Config
from fastbook_server.gateway.http.history_queue import recent
from fastbook_server.store import (
    Amendment,
    ClientOrder,
    FillSpan,
    History,
    OrderSpan,
    OwnFill,
    Position,
    StoredFill,
    StoreUnavailable,
    Upkeep,
)
from fastbook_server.store.postgres import PostgresStore
from fastbook_server.values.candles import Candle
from fastbook_server.values.events import Traded
from fastbook_server.values.holdings import Holding
from fastbook_wire.words import Interval

WAIT_S_MAX = 2.0
LOOK_EVERY_S = 0.02


async def read_snapshot(
    store: PostgresStore, config: Config, *, with_past: bool = True
) -> Snapshot:
    """Return what a start goes on from: all as of one message of each log. Raises like `read`.

    A matcher needs no past, and no holdings, which only a leaderboard does.
    """
    async with store.read(config.instruments, config.last_trades) as (parts, history):
        instruments = tuple(i for part in parts.values() for i in part.instruments)
        past = await recent(
            history,
            instruments if with_past else (),
            candles=config.last_candles,
            fills=config.last_trades,
        )
        ranks = with_past and config.leaderboard
        holdings = await history.holdings() if ranks else ()
    return Snapshot(parts, past, holdings)


class RecordedHistory:
    """A `History` that knows all that this gateway has published when it is asked.

    A client that mends a gap would else get too little, and believe it. `positions` asks what the
    database has recorded of each shard; `published` are the numbers of the last messages that were
    published: that of the shard of a security, or (None) all.
    """

    def __init__(
        self,
        history: History,
        positions: Callable[[], Awaitable[Mapping[str, Position]]],
        published: Callable[[str | None], Mapping[str, int]],
        *,
        wait_s_max: float = WAIT_S_MAX,
    ) -> None:
        self._history = history
        self._positions = positions
        self._published = published
        self._wait_s_max = wait_s_max
        self._recorded: dict[str, int] = {}
        self._asks = asyncio.Lock()  # one for all who wait

    async def trades(
        self, security: str, *, before_seq: int | None, limit: int
    ) -> Sequence[Traded]:
        """See `History.trades`."""
        await self._catch_up(security)
        return await self._history.trades(security, before_seq=before_seq, limit=limit)

    async def candles(
        self,
        security: str,
        interval: Interval,
        *,
        start_ms: int | None,
        end_ms: int | None,
        limit: int,
    ) -> Sequence[Candle]:
        """See `History.candles`."""
        await self._catch_up(security)
        return await self._history.candles(
            security, interval, start_ms=start_ms, end_ms=end_ms, limit=limit
        )

    async def fills(self, security: str, span: FillSpan) -> Sequence[StoredFill]:
        """See `History.fills`."""
        await self._catch_up(security)
        return await self._history.fills(security, span)

    async def own_fills(self, user_id: str, security: str, span: FillSpan) -> Sequence[OwnFill]:
        """See `History.own_fills`."""
        await self._catch_up(security)
        return await self._history.own_fills(user_id, security, span)

    async def ended_orders(
        self, user_id: str, security: str, span: OrderSpan
    ) -> Sequence[ClientOrder]:
        """See `History.ended_orders`."""
        await self._catch_up(security)
        return await self._history.ended_orders(user_id, security, span)

    async def order(self, order_id: str) -> ClientOrder | None:
        """See `History.order`."""
        await self._catch_up()
        return await self._history.order(order_id)

    async def amendments(self, order_id: str) -> Sequence[Amendment]:
        """See `History.amendments`."""
        await self._catch_up()
        return await self._history.amendments(order_id)

    async def holdings(self) -> Sequence[Holding]:
        """See `History.holdings`."""
        await self._catch_up()
        return await self._history.holdings()

    async def upkeep(self) -> Upkeep:
        """See `History.upkeep`. Of the database's own work: that waits for nothing."""
        return await self._history.upkeep()

    async def close(self) -> None:
        """See `History.close`."""
        await self._history.close()

    async def _catch_up(self, security: str | None = None) -> None:
        """Wait until all is recorded that has been published, of a security or at all.

        Raises:
            StoreUnavailable: it takes too long, or the database is away.
        """
        wanted = self._published(security)
        try:
            async with asyncio.timeout(self._wait_s_max):
                while self._lacks(wanted):
                    await self._look(wanted)
        except TimeoutError:
            lacking = ", ".join(
                f"{wanted[shard]}, got {self._recorded.get(shard, 0)}"
                for shard in self._lacks(wanted)
            )
            raise StoreUnavailable(
                "the database is behind: expected all that has been published, up to message "
                f"{lacking}"
            ) from None

    def _lacks(self, wanted: Mapping[str, int]) -> list[str]:
        """Return the shards of which not enough is known to be recorded."""
        return [shard for shard, number in wanted.items() if self._recorded.get(shard, 0) < number]

    async def _look(self, wanted: Mapping[str, int]) -> None:
        async with self._asks:
            if self._lacks(wanted):
                positions = await self._positions()
                self._recorded = {shard: position.batch_no for shard, position in positions.items()}
            if self._lacks(wanted):
                await asyncio.sleep(LOOK_EVERY_S)
