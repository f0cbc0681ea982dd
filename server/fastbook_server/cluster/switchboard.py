"""The gateway's matcher, whoever matches: each command goes to the shards that it concerns."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

import msgspec

from fastbook_server.channels.order_channel import (
    CancelDue,
    Command,
    Connected,
    Deposit,
    Forget,
    Operate,
    Pressure,
    Replace,
    Unavailable,
    Withdraw,
)
from fastbook_server.channels.trade_channel import CommittedBatch
from fastbook_server.cluster.answers import MARK, Answers
from fastbook_server.cluster.router import RETRY_MS, SIGN_OF_LIFE_S, Router
from fastbook_server.cluster.user_rules import UserRules
from fastbook_server.values.ids import INSTRUMENT_MAX, place
from fastbook_server.values.instruments import Instrument
from fastbook_server.values.shards import Shards
from fastbook_wire.commands import (
    Add,
    Amend,
    CancelAfter,
    Delete,
    DeleteAll,
    GetOrder,
    Orders,
)
from fastbook_wire.words import Code


class _Hold:
    """A user who is coming here, and the gateway that has said last that it holds the user."""

    def __init__(self, user_id: str) -> None:
        self.user_id = user_id
        self.holder = ""


class Switchboard:
    """The `Matcher` of a gateway, over one `Router` for each shard, by its name.

    Of what users send, ``name`` is who has said it; `progress` is set whenever a router has had an
    answer. `instruments` are all that ids may name.
    """

    def __init__(
        self,
        name: str,
        routers: Mapping[str, Router],
        shards: Shards,
        instruments: Sequence[Instrument],
        rules: UserRules,
        progress: asyncio.Event,
    ) -> None:
        self.name = name
        self.routers = dict(routers)
        self._shards = shards
        self._numbers = {i.number: shards.of(i.security) for i in instruments}
        self._rules = rules
        self._progress = progress
        self._answers = Answers(name)
        self._all = shards.names
        self._first = (shards.first,)
        self._holds: list[_Hold] = []

    async def start(self) -> None:
        """Listen to the matchers' questions.

        Raises:
            LogUnavailable: nobody answers.
        """
        for router in self.routers.values():
            await router.start()

    # ---- the matcher, as the gateway sees it ---------------------------------------------------

    @property
    def available(self) -> bool:
        """Whether a log lives, and this gateway is not stopping."""
        return any(router.available for router in self.routers.values())

    @property
    def uncommitted_commands(self) -> int:
        """How many commands have no answer yet."""
        return sum(router.uncommitted_commands for router in self.routers.values())

    @property
    def answered(self) -> int:
        """How many commands have had an answer."""
        return sum(router.answered for router in self.routers.values())

    def pressure(self, user_id: str) -> Pressure:
        """Return how much of what users send there is room for: in each shard that lives."""
        for router in self.routers.values():
            pressure = router.pressure(user_id)
            if pressure is not Pressure.NONE:
                return pressure
        return Pressure.NONE

    def retry_after_ms(self) -> int:
        """Return when there will be room for one more refused command."""
        return max(router.retry_after_ms() for router in self.routers.values())

    async def progress(self) -> None:
        """Wait until something has been answered, or long enough to ask again."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._progress.wait(), SIGN_OF_LIFE_S)

    async def stored(self) -> None:
        """Wait until all that has been submitted is answered."""
        for router in self.routers.values():
            await router.stored()

    def submit(self, user_id: str, *commands: Command) -> None:
        """Say commands to the shards that they concern; the logs answer.

        Of commands that are submitted together, those of one shard have none of others between
        them.

        Raises:
            Unavailable: none is taken: a shard has no room for its part, or this gateway stops.
        """
        places = [self._where(command) for command in commands]
        for name, router in self.routers.items():
            router.check(sum(name in where for where in places))
        parts: dict[str, list[Command]] = {}
        for where, command in zip(places, commands, strict=True):
            said = self._marked(user_id, command, where)
            for name in where:
                parts.setdefault(name, []).append(said)
        for name, part in parts.items():
            self.routers[name].submit(user_id, *part)

    async def hold(self, user_id: str, command: Connected) -> None:
        """Say everywhere that a user is connected here, and wait until that is known.

        The first shard hears of it first: of two gateways that say so at once, it decides.

        Raises:
            Unavailable: there is no room, or the user has connected to another gateway since.
        """
        hold = _Hold(user_id)
        self._holds.append(hold)
        try:
            for router in self.routers.values():
                router.submit(user_id, command)
                await router.stored()
                if hold.holder != self.name:
                    raise Unavailable(Code.UNAVAILABLE, "connected to another gateway", RETRY_MS)
        finally:
            self._holds.remove(hold)

    def _where(self, command: Command) -> tuple[str, ...]:
        """Return the shards that a command concerns."""
        match command:
            case Add():
                return (self._shards.of(command.order.security),)
            case Delete() | Amend() | GetOrder():
                return self._all if command.id is None else (self._shard_of(command.id),)
            case DeleteAll():
                return self._all if command.security is None else self._of(command.security)
            case Replace():
                return self._of(command.add.order.security)
            case Operate():
                if command.security is not None:
                    return self._of(command.security)
                return self._all if command.action == "cancel" else self._first
            case Orders() | CancelAfter() | Connected() | Withdraw() | CancelDue() | Forget():
                return self._all
            case Deposit():
                return self._first

    def _of(self, security: str | None) -> tuple[str, ...]:
        return (self._shards.of(security),)

    def _shard_of(self, order_id: str) -> str:
        """Return the shard of an order; what is no id is for the first to refuse."""
        return self._numbers.get(place(order_id) & INSTRUMENT_MAX, self._shards.first)

    def _marked(self, user_id: str, command: Command, where: tuple[str, ...]) -> Command:
        """Return a command as it is said: with a ref of ours if its answers are put together."""
        if isinstance(command, Operate):
            if len(where) > 1:
                self._answers.begin_act(command, where)
            return command
        if not isinstance(
            command, Add | Delete | Amend | GetOrder | DeleteAll | Orders | CancelAfter
        ):
            return command
        ref = command.ref
        if len(where) == 1 and not (isinstance(ref, str) and ref.startswith(MARK)):
            return command
        return msgspec.structs.replace(command, ref=self._answers.begin(user_id, command, where))

    # ---- what the logs say ----------------------------------------------------------------------

    def told(self, shard: str, batch: CommittedBatch) -> CommittedBatch:
        """Return what a batch of one shard tells this gateway's users."""
        if len(self._all) == 1:
            return batch
        return msgspec.structs.replace(
            batch,
            shard=shard,
            reports=self._answers.told(shard, batch.reports),
            cancel_rules=self._rules.follow(shard, batch.cancel_rules),
            operator_actions=self._answers.acted(shard, batch.operator_actions),
        )

    def held(self, user_id: str, holder: str) -> None:
        """Note which gateway a user has connected to; give up what one has sent who has gone."""
        for hold in self._holds:
            if hold.user_id == user_id:
                hold.holder = holder
        if holder != self.name:
            self._moved(user_id)

    def _moved(self, user_id: str) -> None:
        self._answers.drop(user_id)
        for router in self.routers.values():
            router.moved(user_id)

    def refuse_new(self) -> None:
        """Take nothing more; what has been taken is said until it is answered."""
        for router in self.routers.values():
            router.refuse_new()

    def stop(self) -> None:
        """Take nothing more, and say nothing more."""
        for router in self.routers.values():
            router.stop()
