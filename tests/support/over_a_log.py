"""A server of the wire in the hands of a test: one process, or a gateway over a log in memory.

``FASTBOOK_TEST_AGAINST=gateway`` runs the tests that start their server here against a gateway, a
matcher and a recorder, which know each other by the log and the line alone.
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
from fastbook_server.store.memory import MemoryStore
from fastbook_server.values.clock import Clock, LoopClock

AGAINST_A_GATEWAY = os.environ.get("FASTBOOK_TEST_AGAINST") == "gateway"
SHARD = "wire"


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
    """What a test uses of a `Server`, of a gateway and what stands behind it."""

    def __init__(
        self,
        config: Config,
        server: GatewayServer,
        matcher: ClusterMatcher,
        recorder: LogRecorder,
        store: MemoryStore,
        log: MemoryLogData,
        works: list[asyncio.Future[None]],
    ) -> None:
        self.url, self.host, self.port = server.url, server.host, server.port
        self.gateway = server.gateway
        self.matcher = matcher
        self._config = config
        self._server = server
        self._recorder = recorder
        self._store = store
        self._log = log
        self._works = works

    @classmethod
    async def start(cls, config: Config, store: MemoryStore, clock: Clock) -> LogServer:
        """Let a matcher own the market, then a gateway serve it."""
        assert config.durability == "commit", "a cluster has no other: mark it as one_process"
        await store.open_to_record(config.instruments)
        first = (await store.position()).batch_no + 1
        log, hub = MemoryLogData(first), MemoryHub()
        recovered = store.data.recovered(
            [store.data.instruments[spec.security] for spec in config.instruments],
            config.last_trades,
        )
        recorder = LogRecorder(MemoryLog(log), store, config.instruments, clock)
        line = MemoryLine(hub)
        accounts = store.account_book() if config.binance else None
        matcher = ClusterMatcher(
            config, HeldLog(log, store), line, recovered, clock, shard=SHARD, accounts=accounts
        )
        works = [asyncio.ensure_future(work) for work in (recorder.run(), matcher.run())]
        await matcher.owning()
        instruments = (*recovered.instruments, *recovered.unlisted)
        past = await recent(
            store.history(instruments),
            recovered.instruments,
            candles=config.last_candles,
            fills=config.last_trades,
        )
        server = await GatewayServer.start(
            config,
            MemoryLog(log),
            MemoryLine(hub),
            Snapshot(recovered, past, await store.history(instruments).holdings()),
            lambda read: RecordedHistory(store.history(instruments), store.position, read),
            clock,
            shard=SHARD,
            accounts=accounts,
        )
        return cls(config, server, matcher, recorder, store, log, works)

    @property
    def pipeline(self) -> Any:
        """The matcher's."""
        return self.matcher._pipeline

    @property
    def dialect(self) -> Any:
        """What lets accounts in, or None."""
        return None if self._server.dialect is None else SharedDialect(self)

    async def caught_up(self) -> None:
        """Wait until the gateway knows all that has been submitted to the matcher."""
        await self.pipeline.stored()
        await self._server.reader.until(self._log.end)

    @property
    def _listener(self) -> Any:
        return self._server._entrance

    @property
    def _history(self) -> Any:
        return self._server._history

    async def stop(self) -> bool:
        """Stop the gateway, let the matcher say farewell, and record what there is."""
        answered = await self._server.stop()
        self.matcher.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._config.shutdown_s):
                await asyncio.wait(self._works[1:])
        await self._recorder.finish(self._config.shutdown_s)
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
