"""The order book server as a process of its own, over matchers that it knows by their logs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from fastbook_server.app import (
    CLOSE_TIMEOUT_S,
    as_halted,
    binance_dialect,
    gateway_settings,
    listener,
)
from fastbook_server.cluster.isolation import Isolation
from fastbook_server.cluster.log import OrderLine, ReplicatedLog
from fastbook_server.cluster.reader import LogReader
from fastbook_server.cluster.router import Router
from fastbook_server.cluster.switchboard import Switchboard
from fastbook_server.cluster.user_rules import UserRules
from fastbook_server.cluster.whole import market_parts, whole
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
from fastbook_server.values.instruments import default_security
from fastbook_server.values.persisted import Recovered
from fastbook_server.values.shards import Shards

log = logging.getLogger(__name__)

HistoryOf = Callable[[Callable[[str | None], Mapping[str, int]]], History]
"""Makes a reader of SQL that knows how far its gateway has read the logs: that of the shard of a
security, or (None) all."""

COMMANDS_PER_INBOX = 4
"""How many of a matcher's inboxes a gateway's unanswered commands may fill: they wait in the
gateway while another matcher takes over."""


class Snapshot(NamedTuple):
    """What SQL knows as of one moment, of each shard; the logs have the rest.

    A leaderboard needs ``holdings``.
    """

    parts: Mapping[str, Recovered]
    past: Past
    holdings: Sequence[Holding] = ()


class Joined(NamedTuple):
    """An order book server, and what joins it to the matchers of the shards."""

    gateway: OrderBookServer
    switchboard: Switchboard
    readers: Mapping[str, LogReader]
    history: HistoryQueue
    dialect: BinanceDialect | None


def join(
    config: Config,
    logs: Mapping[str, ReplicatedLog],
    line: OrderLine,
    snapshot: Snapshot,
    history: HistoryOf,
    clock: Clock,
    *,
    shards: Shards,
    accounts: AccountBook | None = None,
) -> Joined:
    """Return an order book server as of the snapshot; it follows once its readers run.

    With `accounts` there is a dialect for them.
    """
    parts = {name: _since_now(snapshot.parts[name], clock) for name in shards.names}
    rules = UserRules({name: part.cancel_rules for name, part in parts.items()})
    securities = [spec.security for spec in config.instruments]
    recovered = whole(parts, securities, rules.all())
    switchboard = _switchboard(config, line, parts, shards, rules, clock)
    queries_max, waiting_max = config.history_queries_max, config.history_waiting_max

    def read(security: str | None) -> dict[str, int]:
        names = shards.names if security is None else (shards.of(security),)
        return {name: switchboard.routers[name].read for name in names}

    queue = HistoryQueue(history(read), queries_max=queries_max, waiting_max=waiting_max)
    leaderboard = None
    if config.leaderboard:
        past_ranks = (recovered.instruments, snapshot.holdings, recovered.last_prices)
        leaderboard = Leaderboard(*past_ranks)
    default = shards.of(default_security(recovered.instruments))
    gateway = OrderBookServer(
        msgspec.structs.replace(recovered, epoch=parts[default].epoch),
        snapshot.past,
        matcher=switchboard,
        history=queue,
        clock=clock,
        settings=gateway_settings(config),
        leaderboard=leaderboard,
        parts=market_parts(parts),
        hold=switchboard.hold,
    )
    dialect = binance_dialect(
        config, recovered, snapshot.past, switchboard, queue, accounts, clock, shared=True
    )
    readers = {
        name: LogReader(
            name,
            logs[name],
            part,
            gateway,
            switchboard,
            dialect,
            leaderboard,
            names_epoch=name == default,
        )
        for name, part in parts.items()
    }
    return Joined(gateway, switchboard, readers, queue, dialect)


def _since_now(recovered: Recovered, clock: Clock) -> Recovered:
    """Return what was recovered; of a new database: its empty books are as of now."""
    recovered = as_halted(recovered)
    if recovered.time_ms:
        return recovered
    return msgspec.structs.replace(recovered, time_ms=clock.now_ms())


def _switchboard(
    config: Config,
    line: OrderLine,
    parts: Mapping[str, Recovered],
    shards: Shards,
    rules: UserRules,
    clock: Clock,
) -> Switchboard:
    name, progress = f"gateway#{secrets.token_hex(6)}", asyncio.Event()
    routers = {
        shard: Router(
            line,
            name=name,
            shard=shard,
            epoch=part.epoch,
            read=part.batch_no,
            timers=clock,
            commands_max=COMMANDS_PER_INBOX * config.inbox_commands_max,
            progress=progress,
        )
        for shard, part in parts.items()
    }
    instruments = [i for part in parts.values() for i in part.instruments]
    return Switchboard(name, routers, shards, instruments, rules, progress)


class GatewayServer:
    """A running gateway; ``GatewayServer.start`` makes one."""

    def __init__(
        self,
        config: Config,
        joined: Joined,
        entrance: Listener,
        port: int,
        reading: asyncio.Task[None],
        isolation: Isolation,
    ) -> None:
        self.host, self.port = config.host, port
        self.gateway, self.readers = joined.gateway, joined.readers
        self.switchboard, self.dialect = joined.switchboard, joined.dialect
        self._history = joined.history
        self._entrance = entrance
        self._reading = reading
        self._watching = asyncio.create_task(isolation.run(), name="isolation")
        self._shutdown_s = config.shutdown_s

    @classmethod
    async def start(
        cls,
        config: Config,
        logs: Mapping[str, ReplicatedLog],
        line: OrderLine,
        snapshot: Snapshot,
        history: HistoryOf,
        clock: Clock,
        *,
        shards: Shards,
        accounts: AccountBook | None = None,
        connections_max: int | None = None,
    ) -> GatewayServer:
        """Read the logs up to their ends, listen, take orders; return the running gateway.

        Raises:
            LogUnavailable: a log or the line does not answer.
            LogBroken: a log cannot be read.
            StoreUnavailable: the accounts cannot be read.
            ListenError: the address cannot be listened on.
        """
        joined = join(
            config, logs, line, snapshot, history, clock, shards=shards, accounts=accounts
        )
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(joined.history.close)
            undo.callback(joined.switchboard.stop)
            undo.push_async_callback(joined.gateway.close, 0)
            await joined.switchboard.start()
            if joined.dialect is not None:
                undo.push_async_callback(joined.dialect.stop)
                await joined.dialect.start()
            readers = joined.readers.values()
            reading = asyncio.create_task(
                together([reader.run() for reader in readers]), name="logs"
            )
            undo.callback(reading.cancel)
            ends = asyncio.create_task(together([reader.up_to_end() for reader in readers]))
            undo.callback(ends.cancel)
            await asyncio.wait((ends, reading), return_when=asyncio.FIRST_COMPLETED)
            for done in (ends, reading):
                if done.done():
                    done.result()
            entrance = listener(config, joined.gateway, joined.dialect, connections_max)
            port = await entrance.start(config.host, config.port)
            undo.pop_all()
        gone = partial(joined.gateway.door.send_away, "this gateway is cut off from the market")
        board = joined.switchboard
        isolation = Isolation(logs[shards.first], lambda: board.available, gone, clock)
        return cls(config, joined, entrance, port, reading, isolation)

    @property
    def url(self) -> str:
        """``http://HOST:PORT`` of this gateway."""
        return url_of(self.host, self.port)

    async def failed(self) -> None:
        """Wait for the end of reading.

        Raises:
            LogBroken: a log cannot be read on.
        """
        await asyncio.shield(self._reading)

    async def stop(self) -> bool:
        """Refuse orders, wait for the answers, close sockets; return whether all was answered."""
        self.gateway.door.refuse_new()
        self.switchboard.refuse_new()
        answered = True
        try:
            async with asyncio.timeout(self._shutdown_s):
                await self.switchboard.stored()
        except TimeoutError:
            answered = False
            unanswered = self.switchboard.uncommitted_commands
            log.error("stopped with %d commands that no matcher has answered", unanswered)
        self.switchboard.stop()
        await self.gateway.close(CLOSE_TIMEOUT_S)
        if self.dialect is not None:
            await self.dialect.stop()
        await self._entrance.stop()
        self._reading.cancel()
        self._watching.cancel()
        await self._history.close()
        return answered


async def together(works: Sequence[Awaitable[object]]) -> None:
    """Wait for all, or for the first that fails; the others are cancelled.

    Raises:
        Exception: one has failed.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
