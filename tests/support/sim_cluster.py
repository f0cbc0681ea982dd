"""A cluster in one process: matchers, gateways and a recorder over a log in memory."""

from __future__ import annotations

import asyncio
import hashlib
import random
from typing import Any

from sim_house import SimClock, Wire, attend
from trading import SPECS

from fastbook_server.channels.order_channel import Unavailable
from fastbook_server.cluster.gateway import GatewayServer, Snapshot, join
from fastbook_server.cluster.matcher import ClusterMatcher
from fastbook_server.cluster.memory import (
    Cable,
    LogFaults,
    MemoryHub,
    MemoryLine,
    MemoryLog,
    MemoryLogData,
)
from fastbook_server.cluster.message import Assembly, batch_of
from fastbook_server.cluster.recorder import LogRecorder
from fastbook_server.config import Config
from fastbook_server.gateway.http.history_queue import recent
from fastbook_server.gateway.outbox import Turn
from fastbook_server.store import StoreFenced
from fastbook_server.store.accounts import MemoryAccounts
from fastbook_server.store.memory import MemoryDatabase, MemoryStore
from fastbook_server.store.memory_history import MemoryHistory
from fastbook_server.values.clock import Clock, LoopClock
from fastbook_server.values.events import OrderAccepted
from fastbook_server.values.persisted import Batch
from fastbook_server.values.shards import Shards

CONFIG = Config(port=0, instruments=SPECS, throttle_ms=20)
SHARD = "a"
ONE = Shards.undivided([spec.security for spec in SPECS], SHARD)
TWO = Shards.dealt([spec.security for spec in SPECS], 2)


class MatcherProcess:
    """A matcher of a shard with a cable of its own; ``kill`` is a kill -9."""

    def __init__(self, cluster: Cluster, shard: str) -> None:
        self.cable = Cable()
        self.shard = shard
        self.matcher = ClusterMatcher(
            cluster.config,
            MemoryLog(cluster.logs[shard], self.cable),
            MemoryLine(cluster.hub, self.cable),
            cluster.recovered(shard),
            cluster.clock,
            shard=shard,
            takeover_s=cluster.takeover_s,
            accounts=cluster.accounts(),
        )
        self.task = asyncio.ensure_future(self.matcher.run())

    def kill(self) -> None:
        self.cable.cut()
        self.task.cancel()

    async def hand_over(self) -> None:
        self.matcher.stop()
        await self.task


class Cluster:
    """The logs, the line and SQL, all in memory; matchers and gateways are started by tests."""

    def __init__(
        self,
        config: Config = CONFIG,
        clock: Clock | None = None,
        *,
        takeover_s: float = 0.3,
        shards: Shards = ONE,
        faults: LogFaults | None = None,
    ) -> None:
        self.config = config
        self.clock = clock or LoopClock()
        self.takeover_s = takeover_s
        self.shards = shards
        self.logs = {name: MemoryLogData(faults=faults) for name in shards.names}
        self.hub = MemoryHub(faults)
        self.data = MemoryDatabase(bytes(32))
        divided = len(shards) > 1
        self.stores = {
            shard.name: MemoryStore(self.data, shard if divided else None) for shard in shards
        }
        self.cable = Cable()  # of the recorder
        self.gateways: list[GatewayServer] = []
        self._ends: list[Any] = []

    @property
    def log(self) -> MemoryLogData:
        """The log of the only shard."""
        (log,) = self.logs.values()
        return log

    async def start(self) -> None:
        await MemoryStore(self.data).open(self.config.instruments, 0)
        self.data.epoch = 0
        specs = self.config.instruments
        for name, log in self.logs.items():
            store = self.stores[name]
            recorder = LogRecorder(MemoryLog(log, self.cable), store, specs, self.clock)
            self._ends.append(asyncio.ensure_future(recorder.run()))

    def recovered(self, shard: str = SHARD) -> Any:
        if len(self.shards) > 1:
            return self.stores[shard].part(50)
        specs = self.config.instruments
        instruments = tuple(self.data.instruments[spec.security] for spec in specs)
        return self.data.recovered(instruments, 50)

    async def snapshot(self) -> Snapshot:
        parts = {name: self.recovered(name) for name in self.shards.names}
        instruments = tuple(i for part in parts.values() for i in part.instruments)
        history = MemoryHistory(self.data)
        past = await recent(history, instruments, candles=100, fills=50)
        return Snapshot(parts, past, await history.holdings())

    def accounts(self) -> MemoryAccounts | None:
        return MemoryAccounts(self.data) if self.config.binance else None

    def start_matcher(self, shard: str = SHARD) -> MatcherProcess:
        process = MatcherProcess(self, shard)
        self._ends.append(process.task)
        return process

    async def start_gateway(self, cable: Cable | None = None) -> GatewayServer:
        cable = cable or Cable()
        gateway = await GatewayServer.start(
            self.config,
            {name: MemoryLog(log, cable) for name, log in self.logs.items()},
            MemoryLine(self.hub, cable),
            await self.snapshot(),
            lambda _: MemoryHistory(self.data),
            self.clock,
            shards=self.shards,
            accounts=self.accounts(),
        )
        self.gateways.append(gateway)
        return gateway

    async def stop(self) -> None:
        for gateway in self.gateways:
            await gateway.stop()
        for task in self._ends:
            task.cancel()
        await asyncio.gather(*self._ends, return_exceptions=True)


class City(Cluster):
    """A cluster in simulated time, with faults by a seed: what a `Trader` trades on."""

    def __init__(self, seed: int, shards: Shards = ONE) -> None:
        self.draw = random.Random(seed)
        clock = SimClock()
        self.weather = LogFaults(timers=clock, chance=self.draw)
        super().__init__(clock=clock, takeover_s=3.0, shards=shards, faults=self.weather)
        self.trace = hashlib.sha256()
        self.durable: dict[str, str] = {}
        self.named: dict[tuple[str, str], str] = {}
        self.faults: list[AssertionError] = []
        self.truth = MemoryDatabase(bytes(32))  # folded from the log, whoever reads it
        self.matchers: list[MatcherProcess] = []
        self.towns: list[Town] = []
        self._read = dict.fromkeys(shards.names, 0)
        self._assemblies = {name: Assembly() for name in shards.names}

    async def open(self) -> None:
        """Start two matchers of each shard, of which one will own it, and two gateways."""
        await self.start()
        self.truth.instruments = dict(self.data.instruments)
        self.matchers = [self.start_matcher(name) for name in self.shards.names for _ in range(2)]
        self.towns = [Town(self), Town(self)]
        for town in self.towns:
            await town.open()

    def connect(self, client: Any, resume: str | None) -> Wire:
        return self.draw.choice(self.towns).connect(client, resume)

    def replace(self, n: int) -> None:
        """Let a matcher die; a new one takes its place."""
        self.matchers[n].kill()
        self.matchers[n] = self.start_matcher(self.matchers[n].shard)

    def owners(self) -> list[str]:
        """Return the shard of each matcher that decides."""
        return [process.shard for process in self.matchers if process.matcher.owns]

    def check(self) -> None:
        """Check what must hold after every step: of what was told, and of what the log has."""
        if self.faults:
            raise self.faults[0]
        for n, process in enumerate(self.matchers):
            if process.task.done() and not process.task.cancelled():
                error = process.task.exception()
                assert error is None or isinstance(error, StoreFenced), (
                    f"a matcher ended: {error!r}"
                )
                process.cable.cut()
                self.matchers[n] = self.start_matcher(process.shard)
        for name, log in self.logs.items():
            self._read_on(name, log)

    def _read_on(self, name: str, log: MemoryLogData) -> None:
        while self._read[name] < log.end:
            self._read[name] += 1
            entry = log.at(self._read[name])
            assert entry is not None, "nothing is removed here"
            numbered = self._assemblies[name].add(entry)
            if numbered is not None:
                numbers = {i.number: i for i in self.truth.instruments.values()}
                batch = batch_of(numbered, numbers)
                self.truth.apply(Batch(batch.number, batch.settled_ms, batch.stored))
                for event in batch.orders:
                    self._accepted(event)

    def _accepted(self, event: Any) -> None:
        if not isinstance(event, OrderAccepted):
            return
        order = event.order
        assert order.id not in self.durable, f"order {order.id} twice"
        self.durable[order.id] = order.client_order_id or ""
        if order.client_order_id:
            name = (order.user_id, order.client_order_id)
            assert name not in self.named, f"{name} executed twice"
            self.named[name] = order.id

    async def close(self) -> None:
        for town in self.towns:
            await town.close()
        for process in self.matchers:
            process.kill()
        await self.stop()


class Town:
    """A gateway in simulated time: sessions on sockets that are queues."""

    def __init__(self, city: City) -> None:
        self._city = city
        self.cable = Cable()
        self._wires: set[Wire] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = Turn()

    async def open(self) -> None:
        """Start on what SQL has, and read the log."""
        city = self._city
        logs = {name: MemoryLog(log, self.cable) for name, log in city.logs.items()}
        line = MemoryLine(city.hub, self.cable)
        snapshot = await city.snapshot()
        self.joined = join(
            city.config, logs, line, snapshot, lambda _: MemoryHistory(city.data), city.clock,
            shards=city.shards,
        )  # fmt: skip
        await self.joined.switchboard.start()
        reading = (reader.run() for reader in self.joined.readers.values())
        self.reading = [asyncio.ensure_future(run) for run in reading]

    def connect(self, client: Any, resume: str | None) -> Wire:
        wire = Wire(client)
        self._wires.add(wire)
        task = asyncio.ensure_future(self._serve(wire, resume))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return wire

    async def _serve(self, wire: Wire, resume: str | None) -> None:
        gateway, switchboard, readers, history, _ = self.joined
        users, clock = gateway.users, self._city.clock
        try:
            async with asyncio.timeout(10):
                await users.fetch(resume, cancel_on_disconnect_s=None)
        except (TimeoutError, Unavailable):
            wire.close()
            return
        try:
            epoch = readers[self._city.shards.of("COIN")].epoch
            await attend(
                wire, resume, gateway, switchboard, history, clock, self._turn, epoch=epoch
            )
        finally:
            wire.closed = True

    async def close(self) -> None:
        """Die."""
        self.cable.cut()
        for wire in self._wires:
            wire.closed = True
        tasks = (*self.reading, *self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.joined.switchboard.stop()
        self.joined.gateway.feeds.stop()
        self.joined.gateway.users.stop()
        await self.joined.history.close()
