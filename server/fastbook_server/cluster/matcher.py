"""The matching server as a process of its own: it owns a shard from its claim to its farewell."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable

from fastbook_server.app import as_halted, matching_server
from fastbook_server.channels.channel import Channel
from fastbook_server.channels.deposits import Deposits
from fastbook_server.channels.order_channel import Unavailable
from fastbook_server.channels.trade_channel import CommittedBatch
from fastbook_server.cluster.absence import Absence
from fastbook_server.cluster.intake import Intake
from fastbook_server.cluster.log import LogUnavailable, OrderLine, ReplicatedLog, line_subject
from fastbook_server.cluster.log_store import LogStore
from fastbook_server.cluster.standby import LOOK_EVERY_S, TAKEOVER_S, Claimed, Standby
from fastbook_server.config import Config
from fastbook_server.matching.pipeline import Pipeline
from fastbook_server.store import AccountBook, StoreError, StoreUnavailable
from fastbook_server.values.clock import Clock
from fastbook_server.values.persisted import Recovered

log = logging.getLogger(__name__)

IDLE_BATCH_S = 1.0
"""An idle owner writes an empty batch so often: its sign of life, and the end of candles."""
DEPOSITS_EVERY_S = 1.0
SIGNS_PER_TAKEOVER = 4
"""At least so many of them in the time after which a standby thinks that the owner is gone."""
OVERHEARD_MAX = 100_000
"""Messages of the line that a standby keeps which is about to claim: gateways repeat themselves the
moment they read the claim, before the new owner is ready."""


class ClusterMatcher:
    """Stands by, then owns the shard. `past` is what SQL knows; the log has the rest.

    The owner makes the deposits of `accounts`, if there may be any.
    """

    def __init__(
        self,
        config: Config,
        log: ReplicatedLog,
        line: OrderLine,
        past: Recovered,
        clock: Clock,
        *,
        shard: str,
        takeover_s: float = TAKEOVER_S,
        accounts: AccountBook | None = None,
    ) -> None:
        self._config = config
        self._accounts = accounts
        self._log = log
        self._line = line
        self._clock = clock
        self._shard = shard
        self._idle_batch_s = min(IDLE_BATCH_S, takeover_s / SIGNS_PER_TAKEOVER)
        self._standby = Standby(log, past, clock, takeover_s=takeover_s)
        self._stop = asyncio.Event()
        self._overheard: deque[bytes] = deque(maxlen=OVERHEARD_MAX)
        self._intake: Intake | None = None
        self._pipeline: Pipeline | None = None
        self._store: LogStore | None = None
        self._owns = asyncio.Event()
        self._deposits: Deposits | None = None
        self._looking = asyncio.Lock()  # one question at a time

    @property
    def owns(self) -> bool:
        """Whether it has taken over, and still decides."""
        return self._owns.is_set() and not self._stop.is_set()

    @property
    def read(self) -> int:
        """The number of the last message of the log that it knows."""
        return self._standby.read if self._store is None else self._store.end

    @property
    def epoch(self) -> int:
        """The epoch of the owner, whoever that is."""
        return self._standby.owner_epoch

    @property
    def uncommitted_commands(self) -> int:
        """How many commands have been matched and are not durable yet."""
        return 0 if self._pipeline is None else self._pipeline.uncommitted_commands

    @property
    def state(self) -> str:
        """What it does, for the operator."""
        if self._stop.is_set():
            return "stopping"
        return "owner" if self._owns.is_set() else "standby"

    async def owning(self) -> None:
        """Wait until it has taken over."""
        await self._owns.wait()

    def stop(self) -> None:
        """Hand over: nobody is refused anything."""
        self._stop.set()

    async def run(self) -> None:
        """Stand by, own the shard, and hand it over once ``stop`` is called.

        Raises:
            StoreFenced: another has taken over.
            LogBroken: the log cannot be read.
            LogUnavailable: the log takes nothing any more.
        """
        claiming = asyncio.ensure_future(self._claim())
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((claiming, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not claiming.done():
                return
            claimed = claiming.result()
        finally:
            claiming.cancel()
            stopped.cancel()
        epoch = claimed.past.epoch
        log.info("owner of %s since message %d, epoch %d", self._shard, claimed.number, epoch)
        store = LogStore(
            self._log,
            claim=claimed.name,
            epoch=epoch,
            after=claimed.number,
            until_ms=claimed.past.time_ms,
        )
        await self._own(as_halted(claimed.past), store, claimed.deposits)

    async def _claim(self) -> Claimed:
        """Hear the line, so that nothing said to the new owner is missed, and take over."""
        while True:
            try:
                await self._line.listen(line_subject(self._shard), self._hear)
                break
            except LogUnavailable:
                await asyncio.sleep(LOOK_EVERY_S)
        return await self._standby.claim()

    def _hear(self, data: bytes) -> None:
        if self._intake is None:
            self._overheard.append(data)
        else:
            self._intake.take(data)

    async def _own(self, past: Recovered, store: LogStore, deposits: Iterable[int]) -> None:
        config, clock = self._config, self._clock
        batches: Channel[CommittedBatch] = Channel()
        pipeline = matching_server(
            config, past, store, batches, clock, idle_check_s=self._idle_batch_s
        )
        self._pipeline, self._store = pipeline, store
        absence = Absence(
            clock,
            pipeline.submit,
            past.cancel_rules,
            default_s=config.resume_grace_s if config.on_close == "cancel" else None,
            with_orders=[left.order.user_id for left in past.open_orders],
        )
        batches.subscribe(absence.on_batch)
        self._intake = intake = Intake(
            pipeline,
            self._line,
            shard=self._shard,
            epoch=past.epoch,
            timers=clock,
            commands_max=config.inbox_commands_max,
            heard=absence.heard,
            holds=absence.holds,
            accounts=self._accounts is not None,
        )
        while self._overheard:
            intake.take(self._overheard.popleft())
        committing = asyncio.ensure_future(pipeline.run())
        depositing = asyncio.ensure_future(self._deposit(Deposits(pipeline.submit, deposits)))
        stopped = asyncio.ensure_future(self._stop.wait())
        self._owns.set()
        try:
            await asyncio.wait((committing, stopped), return_when=asyncio.FIRST_COMPLETED)
            intake.stop()
            absence.stop()
            depositing.cancel()
            pipeline.stop()
            await self._ended(pipeline, committing)
            await self._release(store)
        finally:
            stopped.cancel()
            committing.cancel()
            depositing.cancel()
            intake.stop()
            absence.stop()

    async def _deposit(self, deposits: Deposits) -> None:
        """Look for deposits for ever, if there may be any."""
        self._deposits = deposits
        while self._accounts is not None:
            try:
                await self.look()
            except (StoreError, Unavailable) as error:
                log.warning("deposits cannot be made now: %s", error)
            await asyncio.sleep(DEPOSITS_EVERY_S)

    async def look(self) -> None:
        """Make the deposits that the database has now, as owner.

        Raises:
            StoreError: it cannot be read.
            Unavailable: no command is taken now.
        """
        if self._accounts is not None and self._deposits is not None:
            async with self._looking:
                self._deposits.make((await self._accounts.read()).deposits)

    async def _ended(self, pipeline: Pipeline, committing: asyncio.Future[None]) -> None:
        """Wait for the last batch, as long as the log takes any.

        Raises:
            LogUnavailable: it takes none any more; what was matched has not happened.
        """
        left = -1
        while left != (left := pipeline.uncommitted_commands):
            await asyncio.wait((committing,), timeout=self._config.shutdown_s)
            if committing.done():
                committing.result()
                return
        raise LogUnavailable(f"it takes no message: {left} commands have not happened")

    async def _release(self, store: LogStore) -> None:
        """Say farewell, so that a standby need not wait; it would take over without it, too."""
        prepared = store.release()
        try:
            async with asyncio.timeout(self._config.shutdown_s):
                while True:
                    try:
                        await store.commit(prepared)
                        break
                    except StoreUnavailable:
                        await asyncio.sleep(0.05)
        except (TimeoutError, StoreError) as error:
            log.warning("no farewell: %r", error)
