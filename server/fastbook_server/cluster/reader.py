"""Reads the log of one shard for a gateway: what others have caused reaches its users."""

from __future__ import annotations

import asyncio
import contextlib

import msgspec

from fastbook_server.channels.order_channel import Connected, Unavailable
from fastbook_server.channels.trade_channel import CommittedBatch
from fastbook_server.cluster.log import LogEntry, ReplicatedLog
from fastbook_server.cluster.message import Assembly, MessageKind, Numbering, batch_of
from fastbook_server.cluster.switchboard import Switchboard
from fastbook_server.dialects.binance.dialect import BinanceDialect
from fastbook_server.gateway.leaderboard import Leaderboard
from fastbook_server.gateway.order_book_server import OrderBookServer
from fastbook_server.values.persisted import Recovered


class LogReader:
    """Reads a shard's log: batches reach the `gateway`, answers the router of the `switchboard`.

    ``number`` is that of the last whole message, ``epoch`` that of its owner. With `names_epoch` it
    is what the gateway's clients are told.
    """

    def __init__(
        self,
        shard: str,
        log: ReplicatedLog,
        recovered: Recovered,
        gateway: OrderBookServer,
        switchboard: Switchboard,
        dialect: BinanceDialect | None,
        leaderboard: Leaderboard | None,
        *,
        names_epoch: bool,
    ) -> None:
        self.number = recovered.batch_no
        self.epoch = recovered.epoch
        self.router = switchboard.routers[shard]
        self._shard = shard
        self._settled_ms = recovered.time_ms
        self._log = log
        self._gateway = gateway
        self._switchboard = switchboard
        self._dialect = dialect
        self._leaderboard = leaderboard
        self._names_epoch = names_epoch
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

    async def up_to_end(self) -> None:
        """Wait until all is read that the log has now.

        Raises:
            LogUnavailable: the log does not answer.
        """
        await self.until(await self._log.end())

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
            self._switchboard.held(user_id, holder)
            if holder != self._switchboard.name:
                self._gateway.users.moved(user_id)
        self.router.on_batch(batch)
        batch = self._switchboard.told(self._shard, batch)
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
        if self._names_epoch:
            self._gateway.claimed(epoch)
        if given_up := self.router.claimed(epoch):
            refusals = msgspec.structs.replace(batch, reports=tuple(given_up))
            refusals = self._switchboard.told(self._shard, refusals)
            self._gateway.users.on_batch(refusals)
            if self._dialect is not None:
                self._dialect.answer(refusals)
        for user_id, after_s in self._gateway.users.held():
            if after_s is not None:
                with contextlib.suppress(Unavailable):  # then nothing else finds room either
                    self.router.submit(user_id, Connected(after_s))
