"""A server of the wire in the hands of a test: one process, or a gateway over a log in memory.

``FASTBOOK_TEST_AGAINST=gateway`` runs the tests that start their server here against a gateway, a
matcher and a recorder, which know each other by the log and the line alone; with
``FASTBOOK_TEST_SHARDS=2`` the market is divided over two logs and two matchers.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Any

import pytest

from fastbook_server.app import Server
from fastbook_server.cluster.gateway import GatewayServer, Snapshot
from fastbook_server.cluster.history import RecordedHistory
from fastbook_server.cluster.matcher import ClusterMatcher
from fastbook_server.cluster.memory import MemoryHub, MemoryLine, MemoryLog, MemoryLogData
from fastbook_server.cluster.recorder import LogRecorder
from fastbook_server.config import Config
from fastbook_server.gateway.http.history_queue import recent
from fastbook_server.store import Position
from fastbook_server.store.memory import MemoryStore
from fastbook_server.values.clock import Clock, LoopClock
from fastbook_server.values.shards import Shard, Shards

AGAINST_A_GATEWAY = os.environ.get("FASTBOOK_TEST_AGAINST") == "gateway"
SHARDS = 2 if os.environ.get("FASTBOOK_TEST_SHARDS") == "2" else 1


async def start_server(config: Config, store: MemoryStore, clock: Clock | None = None) -> Any:
    """Return a running server on a store in memory: one process, or a gateway, if told so."""
    if AGAINST_A_GATEWAY:
        return await LogServer.start(config, store, clock or LoopClock())
    return await Server.start(config, store, clock=clock)


def starts_a_server(item: pytest.Item) -> bool:
    """Return whether a test starts its server with `start_server`."""
    names = set(getattr(item, "fixturenames", ()))
    imported = vars(getattr(item, "module", None) or object)
    return bool(names & {"serve", "venue"}) or "small_server" in imported


def shards_of(config: Config) -> Shards:
    """Return how the market of a test is divided: accounts have one matcher."""
    names = [spec.security for spec in config.instruments]
    count = 1 if config.binance else min(SHARDS, len(names))
    return Shards.undivided(names) if count == 1 else Shards.dealt(names, count)


def of_shard(store: MemoryStore, shard: Shard, shards: Shards) -> MemoryStore:
    """Return what records a shard in the database of a store: that store, if it is the whole."""
    data = store.data
    if len(shards) == 1:
        return store
    data.shards.setdefault(shard.name, Position(data.epoch, data.batch_no, data.time_ms))
    return MemoryStore(data, shard)


class HeldLog(MemoryLog):
    """A log whose appends wait while the test holds the commits of `store`: what makes durable."""

    def __init__(self, data: MemoryLogData, store: MemoryStore) -> None:
        super().__init__(data)
        self._store = store

    async def append(self, data: bytes, stamp: str, *, after: int) -> None:
        """See `ReplicatedLog.append`."""
        await asyncio.sleep(0)
        await self._store._free.wait()
        await super().append(data, stamp, after=after)


class LogServer:
    """What a test uses of a `Server`, of a gateway and what stands behind it, for each shard."""

    def __init__(
        self,
        config: Config,
        server: GatewayServer,
        matchers: dict[str, ClusterMatcher],
        recorders: list[LogRecorder],
        store: MemoryStore,
        works: list[asyncio.Future[None]],
    ) -> None:
        self.url, self.host, self.port = server.url, server.host, server.port
        self.gateway = server.gateway
        self.matcher = next(iter(matchers.values()))
        self._matchers = matchers
        self._config = config
        self._server = server
        self._recorders = recorders
        self._store = store
        self._works = works

    @classmethod
    async def start(cls, config: Config, store: MemoryStore, clock: Clock) -> LogServer:
        """Let a matcher own each shard, then a gateway serve the market."""
        assert config.durability == "commit", "a cluster has no other: mark it as one_process"
        await store.open_to_record(config.instruments)
        shards = shards_of(config)
        stores = {shard.name: of_shard(store, shard, shards) for shard in shards}
        hub = MemoryHub()
        logs: dict[str, MemoryLogData] = {}
        parts = {}
        for name, each in stores.items():
            logs[name] = MemoryLogData((await each.position()).batch_no + 1)
            parts[name] = each.part(config.last_trades)
        accounts = store.account_book() if config.binance else None
        recorders = [
            LogRecorder(MemoryLog(logs[name]), each, config.instruments, clock)
            for name, each in stores.items()
        ]
        matchers = {
            name: ClusterMatcher(
                config, HeldLog(logs[name], store), MemoryLine(hub), part, clock, shard=name,
                accounts=accounts,
            )
            for name, part in parts.items()
        }  # fmt: skip
        works = [asyncio.ensure_future(each.run()) for each in (*recorders, *matchers.values())]
        for matcher in matchers.values():
            await matcher.owning()
        instruments = tuple(i for part in parts.values() for i in part.instruments)
        history = store.history(instruments)
        past = await recent(
            history, instruments, candles=config.last_candles, fills=config.last_trades
        )

        async def positions() -> dict[str, Position]:
            return {name: await each.position() for name, each in stores.items()}

        server = await GatewayServer.start(
            config,
            {name: MemoryLog(log) for name, log in logs.items()},
            MemoryLine(hub),
            Snapshot(parts, past, await history.holdings()),
            lambda read: RecordedHistory(store.history(instruments), positions, read),
            clock,
            shards=shards,
            accounts=accounts,
        )
        return cls(config, server, matchers, recorders, store, works)

    @property
    def pipeline(self) -> Any:
        """The first matcher's."""
        return self.matcher._pipeline

    @property
    def dialect(self) -> Any:
        """What lets accounts in, or None."""
        return None if self._server.dialect is None else SharedDialect(self)

    async def caught_up(self) -> None:
        """Wait until the gateway knows all that has been submitted to the matcher."""
        for matcher in self._matchers.values():
            assert matcher._pipeline is not None
            await matcher._pipeline.stored()
        for reader in self._server.readers.values():
            await reader.up_to_end()

    @property
    def _listener(self) -> Any:
        return self._server._entrance

    @property
    def _history(self) -> Any:
        return self._server._history

    async def stop(self) -> bool:
        """Stop the gateway, let the matcher say farewell, and record what there is."""
        answered = await self._server.stop()
        for matcher in self._matchers.values():
            matcher.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._config.shutdown_s):
                await asyncio.wait(self._works[len(self._recorders) :])
        for recorder in self._recorders:
            await recorder.finish(self._config.shutdown_s)
        for work in self._works:
            work.cancel()
        await asyncio.gather(*self._works, return_exceptions=True)
        return answered


class SharedDialect:
    """The dialect of a gateway, and the matcher, which makes the deposits."""

    def __init__(self, house: LogServer) -> None:
        self._house = house

    async def look(self) -> None:
        """Let accounts in, with what has been paid in."""
        await self._house._server.dialect.look()
        await self._house.matcher.look()
        await self._house.caught_up()
