"""The whole house in simulated time: production's sessions, pipeline and gateway, one seed.

Time is that of a loop which jumps to its next timer. The store keeps what it commits in memory; it
delays, fails before or after it has committed, and outlives crashes of all the rest. Sockets are
queues. Everything random comes from one generator, so a seed always tells the same story.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import selectors
from typing import Any

import msgspec
from aiohttp import WSMessage, WSMsgType
from trading import SPECS, T0

from fastbook_server.app import gateway_settings, matching_server
from fastbook_server.channels.channel import Channel
from fastbook_server.channels.order_channel import Matcher
from fastbook_server.config import Config
from fastbook_server.gateway import encode
from fastbook_server.gateway.http.history_queue import HistoryQueue, recent
from fastbook_server.gateway.order_book_server import OrderBookServer
from fastbook_server.gateway.outbox import Turn
from fastbook_server.gateway.session import Session
from fastbook_server.store import StoreUnavailable
from fastbook_server.store.memory import MemoryDatabase, MemoryStore
from fastbook_server.values.events import OrderAccepted

CONFIG = Config(port=0, instruments=SPECS, throttle_ms=50, uncommitted_events_max=300)
START_S = 1_000.0


class _Jumps:
    """A selector that waits for nothing: time passes instead."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self.now_s = START_S
        for name in ("register", "unregister", "modify", "get_map", "get_key", "close"):
            setattr(self, name, getattr(self._real, name))

    def select(self, timeout: float | None = None) -> list[Any]:
        assert timeout is not None, "nothing will ever happen again"
        self.now_s += max(timeout, 0.0)
        return self._real.select(0)


class SimLoop(asyncio.SelectorEventLoop):
    """An event loop in simulated time."""

    def __init__(self) -> None:
        self._jumps = _Jumps()
        super().__init__(self._jumps)  # type: ignore[arg-type]
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._jumps.now_s


class SimClock:
    """The loop's time, and a time of day that somebody may set."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.time, self.call_later = loop.time, loop.call_later
        self.stepped_ms = 0

    def now_ms(self) -> int:
        return T0 + self.stepped_ms + int((self.time() - START_S) * 1_000)


class SimStore(MemoryStore):
    """A store that takes its time, and sometimes fails before or after it has committed."""

    def __init__(self, data: MemoryDatabase, draw: random.Random) -> None:
        super().__init__(data)
        self._draw = draw
        self.sick = 0.0

    async def commit(self, prepared: Any) -> None:
        await asyncio.sleep(self._draw.choice((0.0, 0.001, 0.01, 0.3)))
        fails = self._draw.random() < self.sick
        if fails and self._draw.random() < 0.5:
            raise StoreUnavailable("before")
        await super().commit(prepared)
        await asyncio.sleep(self._draw.choice((0.0, 0.001)))
        if fails:
            raise StoreUnavailable("after")


class Wire:
    """The socket of a session and its transport; what is written is the client's at once."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._arrived: list[bytes] = []
        self._wake = asyncio.Event()
        self._take: Any = None
        self.closed = False

    def write(self, data: bytes) -> None:
        while data:
            length, head = data[1], 2
            if length > 125:
                head = 4 if length == 126 else 10
                length = int.from_bytes(data[2:head], "big")
            if data[0] == 0x81:
                self._client.heard(data[head : head + length])
            data = data[head + length :]

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True
        self._wake.set()

    abort = close

    def deliver_to(self, take: Any) -> None:
        self._take = take

    def has_heard(self) -> bool:
        return True

    async def drained(self) -> None:
        await asyncio.sleep(0)

    def say(self, command: Any) -> None:
        data = msgspec.json.encode(command)
        if self._arrived or not (self._take and self._take(data)):
            self._arrived.append(data)
            self._wake.set()

    async def receive(self) -> WSMessage:
        while not self._arrived and not self.closed:
            self._wake.clear()
            await self._wake.wait()
        if self.closed:
            return WSMessage(WSMsgType.CLOSED, None, None)
        return WSMessage(WSMsgType.TEXT, self._arrived.pop(0), "")


async def attend(
    wire: Wire,
    resume: str | None,
    gateway: OrderBookServer,
    matcher: Matcher,
    history: HistoryQueue,
    clock: SimClock,
    turn: Turn,
    *,
    epoch: int,
) -> None:
    """Attend to a client as the door does, until the wire is closed."""
    users = gateway.users
    session = Session(
        wire, wire, security="COIN", matcher=matcher, feeds=gateway.feeds, users=users,
        history=history, limits=gateway_settings(CONFIG).door.limits, clock=clock, turn=turn,
    )  # fmt: skip
    try:
        user_id, resumed = users.connect(session, resume, cancel_on_disconnect_s=None)
        welcome = encode.welcome(
            user_id=user_id, resume_token=users.token(user_id), security="COIN",
            instruments=(), throttle_ms=50, epoch=epoch, time_ms=clock.now_ms(),
        )  # fmt: skip
        session.open(user_id, welcome, None)
        if resumed:
            session.list_orders()
        await session.run()
    finally:
        session.ended()


class House:
    """A server, its store, and what was told to whom."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.data = MemoryDatabase()
        self.data.token_key = bytes(32)
        self.trace = hashlib.sha256()
        self.durable: dict[str, str] = {}  # orders in the store, and their client order ids
        self.named: dict[tuple[str, str], str] = {}
        self.faults: list[AssertionError] = []
        self._seen = 0
        self._seqs: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.clock = SimClock()

    async def open(self) -> None:
        """Start a server on what the store has."""
        self.store = SimStore(self.data, self.draw)
        recovered = await self.store.open(SPECS, 50, now_ms=self.clock.now_ms())
        reader = self.store.history(recovered.instruments)
        past = await recent(reader, recovered.instruments, candles=10, fills=10)
        batches: Channel[Any] = Channel()
        self.pipeline = matching_server(CONFIG, recovered, self.store, batches, self.clock)
        history = HistoryQueue(reader, queries_max=2, waiting_max=100)
        self.history, self.epoch = history, recovered.epoch
        self.gateway = OrderBookServer(
            recovered, past, matcher=self.pipeline, history=history, clock=self.clock,
            settings=gateway_settings(CONFIG),
        )  # fmt: skip
        batches.subscribe(self.gateway.on_batch)
        self.turn = Turn()
        self._committer = asyncio.ensure_future(self.pipeline.run())
        self.wires: set[Wire] = set()

    async def crash(self) -> None:
        """Let everything but the store's data be gone."""
        for wire in self.wires:
            wire.closed = True
        for task in (self._committer, *self._tasks):
            task.cancel()
        await asyncio.gather(self._committer, *self._tasks, return_exceptions=True)
        self.gateway.feeds.stop()
        self.gateway.users.stop()
        await self.history.close()

    def connect(self, client: Any, resume: str | None) -> Wire:
        """Connect a client as the door does."""
        wire = Wire(client)
        self.wires.add(wire)
        task = asyncio.ensure_future(self._serve(wire, resume))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return wire

    async def _serve(self, wire: Wire, resume: str | None) -> None:
        try:
            await attend(
                wire, resume, self.gateway, self.pipeline, self.history, self.clock, self.turn,
                epoch=self.epoch,
            )  # fmt: skip
        finally:
            self.wires.discard(wire)

    def check(self) -> None:
        """Check what must hold after every step: of what was told, and of what the store has."""
        if self.faults:
            raise self.faults[0]
        if self._committer.done() and not self._committer.cancelled():
            self._committer.result()
            raise AssertionError("the committer has ended")
        if self._seen == len(self.data.events):
            return
        for event in self.data.events[self._seen :]:
            order = getattr(event, "order", None) or getattr(event, "taker", None)
            if order is None:
                continue
            security = order.instrument.security
            seq = order.seq if isinstance(event, OrderAccepted) else getattr(event, "seq", None)
            if seq is not None and type(event).__name__ != "OrderRested":
                last = self._seqs.get(security, 0)
                assert seq in (last, last + 1), f"{security}: seq {seq} after {last}"
                self._seqs[security] = seq
            if isinstance(event, OrderAccepted):
                assert order.id not in self.durable, f"order {order.id} twice"
                self.durable[order.id] = order.client_order_id or ""
                if order.client_order_id:
                    name = (order.user_id, order.client_order_id)
                    assert name not in self.named, f"{name} executed twice"
                    self.named[name] = order.id
        self._seen = len(self.data.events)
        for security in ("COIN", "FINE"):
            resting = [
                o.order for o in self.data.open_orders.values()
                if o.order.instrument.security == security and not o.held
            ]  # fmt: skip
            bids = [o.price for o in resting if o.side == "bid"]
            asks = [o.price for o in resting if o.side == "ask"]
            assert not (bids and asks and max(bids) >= min(asks)), f"{security} is crossed"
