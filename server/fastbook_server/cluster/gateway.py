"""The order book server as a process of its own, over a matcher that it knows by the log alone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from fastbook_server.app import (
    CLOSE_TIMEOUT_S,
    as_halted,
    binance_dialect,
    gateway_settings,
    listener,
)
from fastbook_server.channels.order_channel import Connected, Unavailable
from fastbook_server.channels.trade_channel import CommittedBatch
from fastbook_server.cluster.log import LogEntry, OrderLine, ReplicatedLog
from fastbook_server.cluster.message import Assembly, MessageKind, Numbering, batch_of
from fastbook_server.cluster.router import Router
from fastbook_server.config import Config
from fastbook_server.dialects.binance.dialect import BinanceDialect
from fastbook_server.gateway.http.history_queue import HistoryQueue
from fastbook_server.gateway.leaderboard import Leaderboard
from fastbook_server.gateway.listener import Listener, url_of
from fastbook_server.gateway.market_views import Past
from fastbook_server.gateway.order_book_server import OrderBookServer
from fastbook_server.store import AccountBook, History
from fastbook_server.values.clock import Clock
from fastbook_server.values.holdings import Holding
from fastbook_server.values.persisted import Recovered

log = logging.getLogger(__name__)

HistoryOf = Callable[[Callable[[], int]], History]
"""Makes a reader of SQL that knows how far its gateway has read the log."""

COMMANDS_PER_INBOX = 4
"""How many of a matcher's inboxes a gateway's unanswered commands may fill: they wait in the
gateway while another matcher takes over."""


class Snapshot(NamedTuple):
    """What SQL knows as of one moment; the log has the rest. A leaderboard needs ``holdings``."""

    recovered: Recovered
    past: Past
    holdings: Sequence[Holding] = ()


class LogReader:
    """Reads the log for one gateway: batches reach the `gateway`, answers its `router`.

    ``number`` is that of the last whole message, ``epoch`` that of its owner.
    """

    def __init__(
        self,
        log: ReplicatedLog,
        recovered: Recovered,
        gateway: OrderBookServer,
        router: Router,
        dialect: BinanceDialect | None,
        leaderboard: Leaderboard | None,
    ) -> None:
        self.number = recovered.batch_no
        self.epoch = recovered.epoch
        self._settled_ms = recovered.time_ms
        self._log = log
        self._gateway = gateway
        self._router = router
        self._dialect = dialect
        self._leaderboard = leaderboard
        self._instruments = {i.number: i for i in (*recovered.instruments, *recovered.unlisted)}
        self._assembly = Assembly()
        self._moved = asyncio.Event()

    async def run(self) -> None:
        """Follow the log for ever.

        Raises:
            LogBroken: it cannot be read on.
        """
        async for entry in self._log.follow(self.number):
            self._take(entry)

    async def until(self, number: int) -> None:
        """Wait until a message has been read, or what follows it."""
        while self.number < number:
            await self._moved.wait()

    def _take(self, entry: LogEntry) -> None:
        numbered = self._assembly.add(entry)
        if numbered is not None:
            self._follow(numbered)
            self.number = numbered.number
            self._moved.set()
            self._moved.clear()

    def _follow(self, numbered: Numbering) -> None:
        batch = self._settled(batch_of(numbered, self._instruments))
        for user_id, holder in batch.held.items():
            if holder != self._router.name:
                self._router.moved(user_id)
                self._gateway.users.moved(user_id)
        self._router.on_batch(batch)
        self._gateway.on_batch(batch)
        if self._leaderboard is not None:
            self._leaderboard.on_batch(batch)
        if self._dialect is not None:
            self._dialect.on_batch(batch)
        if numbered.message.kind is MessageKind.CLAIM:
            self._claimed(numbered.message.epoch, batch)

    def _settled(self, batch: CommittedBatch) -> CommittedBatch:
        """Let time stand still for a new market whose owner's clock is behind ours."""
        if batch.settled_ms >= self._settled_ms:
            self._settled_ms = batch.settled_ms
            return batch
        marks = {"settled_ms": self._settled_ms, "stored_ms": self._settled_ms}
        return msgspec.structs.replace(batch, **marks)

    def _claimed(self, epoch: int, batch: CommittedBatch) -> None:
        """Begin anew with another owner, who must know whom this gateway holds."""
        self.epoch = epoch
        self._gateway.claimed(epoch)
        if given_up := self._router.claimed(epoch):
            refusals = msgspec.structs.replace(batch, reports=tuple(given_up))
            self._gateway.users.on_batch(refusals)
            if self._dialect is not None:
                self._dialect.answer(refusals)
        for user_id, after_s in self._gateway.users.held():
            if after_s is not None:
                with contextlib.suppress(Unavailable):  # then nothing else finds room either
                    self._router.submit(user_id, Connected(after_s))


class Joined(NamedTuple):
    """An order book server, and what joins it to the matcher."""

    gateway: OrderBookServer
    router: Router
    reader: LogReader
    history: HistoryQueue
    dialect: BinanceDialect | None


def join(
    config: Config,
    log: ReplicatedLog,
    line: OrderLine,
    snapshot: Snapshot,
    history: HistoryOf,
    clock: Clock,
    *,
    shard: str,
    accounts: AccountBook | None = None,
) -> Joined:
    """Return an order book server as of the snapshot; it follows once its reader runs.

    With `accounts` there is a dialect for them.
    """
    recovered = as_halted(snapshot.recovered)
    if not recovered.time_ms:  # a new database: its empty books are as of now
        recovered = msgspec.structs.replace(recovered, time_ms=clock.now_ms())
    router = Router(
        line,
        name=f"gateway#{secrets.token_hex(6)}",
        shard=shard,
        epoch=recovered.epoch,
        read=recovered.batch_no,
        timers=clock,
        commands_max=COMMANDS_PER_INBOX * config.inbox_commands_max,
    )
    queries_max, waiting_max = config.history_queries_max, config.history_waiting_max
    queue = HistoryQueue(
        history(lambda: router.read), queries_max=queries_max, waiting_max=waiting_max
    )
    leaderboard = None
    if config.leaderboard:
        past_ranks = (recovered.instruments, snapshot.holdings, recovered.last_prices)
        leaderboard = Leaderboard(*past_ranks)
    gateway = OrderBookServer(
        recovered,
        snapshot.past,
        matcher=router,
        history=queue,
        clock=clock,
        settings=msgspec.structs.replace(gateway_settings(config), shared=True),
        leaderboard=leaderboard,
    )
    dialect = binance_dialect(
        config, recovered, snapshot.past, router, queue, accounts, clock, shared=True
    )
    reader = LogReader(log, recovered, gateway, router, dialect, leaderboard)
    return Joined(gateway, router, reader, queue, dialect)


class GatewayServer:
    """A running gateway; ``GatewayServer.start`` makes one."""

    def __init__(
        self,
        config: Config,
        joined: Joined,
        entrance: Listener,
        port: int,
        reading: asyncio.Task[None],
    ) -> None:
        self.host, self.port = config.host, port
        self.gateway, self.reader = joined.gateway, joined.reader
        self.router, self.dialect = joined.router, joined.dialect
        self._history = joined.history
        self._entrance = entrance
        self._reading = reading
        self._shutdown_s = config.shutdown_s

    @classmethod
    async def start(
        cls,
        config: Config,
        log: ReplicatedLog,
        line: OrderLine,
        snapshot: Snapshot,
        history: HistoryOf,
        clock: Clock,
        *,
        shard: str,
        accounts: AccountBook | None = None,
        connections_max: int | None = None,
    ) -> GatewayServer:
        """Read the log up to its end, listen, take orders; return the running gateway.

        Raises:
            LogUnavailable: the log or the line does not answer.
            LogBroken: the log cannot be read.
            StoreUnavailable: the accounts cannot be read.
            ListenError: the address cannot be listened on.
        """
        joined = join(config, log, line, snapshot, history, clock, shard=shard, accounts=accounts)
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(joined.history.close)
            undo.callback(joined.router.stop)
            undo.push_async_callback(joined.gateway.close, 0)
            await joined.router.start()
            if joined.dialect is not None:
                undo.push_async_callback(joined.dialect.stop)
                await joined.dialect.start()
            reading = asyncio.create_task(joined.reader.run(), name="log")
            undo.callback(reading.cancel)
            until = asyncio.ensure_future(joined.reader.until(await log.end()))
            undo.callback(until.cancel)
            await asyncio.wait((until, reading), return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
            entrance = listener(config, joined.gateway, joined.dialect, connections_max)
            port = await entrance.start(config.host, config.port)
            undo.pop_all()
        return cls(config, joined, entrance, port, reading)

    @property
    def url(self) -> str:
        """``http://HOST:PORT`` of this gateway."""
        return url_of(self.host, self.port)

    async def failed(self) -> None:
        """Wait for the end of reading.

        Raises:
            LogBroken: the log cannot be read on.
        """
        await asyncio.shield(self._reading)

    async def stop(self) -> bool:
        """Refuse orders, wait for the answers, close sockets; return whether all was answered."""
        self.gateway.door.refuse_new()
        self.router.refuse_new()
        answered = True
        try:
            async with asyncio.timeout(self._shutdown_s):
                await self.router.stored()
        except TimeoutError:
            answered = False
            unanswered = self.router.uncommitted_commands
            log.error("stopped with %d commands that no matcher has answered", unanswered)
        self.router.stop()
        await self.gateway.close(CLOSE_TIMEOUT_S)
        if self.dialect is not None:
            await self.dialect.stop()
        await self._entrance.stop()
        self._reading.cancel()
        await self._history.close()
        return answered
