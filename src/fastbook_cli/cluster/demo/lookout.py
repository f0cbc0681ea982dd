"""Looks at a demo's processes as any operator could: by the roll call and the log's own report."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from fastbook_cli.cluster.demo.story import Story
from fastbook_cli.cluster.status import asked, opened
from fastbook_server.cluster.log import LogUnavailable
from fastbook_server.cluster.nats.line import NatsLine
from fastbook_server.cluster.nats.stream import LogHealth, NatsLog
from fastbook_server.cluster.process import connect
from fastbook_server.cluster.roll_call import Answer, RollCall
from fastbook_server.cluster.settings import ClusterSettings

ANSWER_S = 0.2
LOG_EVERY_S = 0.5
FORGET_S = 1.0
"""For how long the last answer of a process is shown."""
RATE_OVER_S = 2.0


class Sight(msgspec.Struct):
    """What was seen last: the processes by name, the logs, and commands answered per second.

    A process that knows several shards has an answer for each; ``logs`` are by shard, too.
    """

    heard: dict[str, dict[str, Answer]] = {}
    logs: dict[str, LogHealth] = {}
    rates: dict[str, float] = {}

    @property
    def answers(self) -> dict[str, Answer]:
        """What each process has said, of all its shards together."""
        return {name: together(of_shards) for name, of_shards in self.heard.items() if of_shards}

    @property
    def rate(self) -> float:
        """Commands answered per second, by all gateways."""
        return sum(self.rates.values())

    @property
    def in_flight(self) -> int:
        """Commands without an answer, at all gateways."""
        return sum(a.waiting for a in self.answers.values() if a.role == "gateway")

    def behind(self, name: str) -> int | None:
        """Return how many messages a process has not read; None if that is not known."""
        heard = self.heard.get(name, {})
        if not heard or not all(shard in self.logs for shard in heard):
            return None
        return sum(max(0, self.logs[shard].last - a.read) for shard, a in heard.items())


def together(of_shards: Mapping[str, Answer]) -> Answer:
    """Return what a process has said of several shards as one answer."""
    every = tuple(of_shards.values())
    return msgspec.structs.replace(
        every[0],
        waiting=sum(a.waiting for a in every),
        answered=sum(a.answered for a in every),
        state=next(
            (a.state for a in every if a.state in ("unavailable", "behind")), every[0].state
        ),
    )


class _Count(NamedTuple):
    pid: int
    answered: int
    at_s: float


class Lookout:
    """Watches processes, by the URL of each its name; ``sight`` is what was seen last."""

    def __init__(self, names: Mapping[str, str], servers: Mapping[str, str], story: Story) -> None:
        """`servers` are the names of the log's servers, by what they call themselves."""
        self.sight = Sight()
        self._names = names
        self._servers = servers
        self._story = story
        self._heard_s: dict[str, float] = {}
        self._counts: dict[str, list[_Count]] = {}

    async def run(self, settings: ClusterSettings) -> None:
        """Look for ever.

        Raises:
            LogUnavailable: the log's servers do not answer at first.
        """
        connection = await connect(settings, "fastbook cluster demo")
        try:
            calls = await opened(settings, NatsLine(connection))
            several = len(calls) > 1
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._ask_processes(calls), name="roll call")
                for name in calls:
                    log, shard = NatsLog(connection, name), name if several else ""
                    tasks.create_task(self._ask_log(log, shard), name=f"log {name}")
        finally:
            await connection.close()

    async def _ask_processes(self, calls: dict[str, RollCall]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            said = await asked(calls, ANSWER_S)
            now_s = loop.time()
            heard: dict[str, dict[str, Answer]] = {}
            for a in (answer for of_shard in said.values() for answer in of_shard):
                if a.url in self._names:
                    heard.setdefault(self._names[a.url], {})[a.shard] = a
            answers = {name: together(of_shards) for name, of_shards in heard.items()}
            self._heard_s |= dict.fromkeys(heard, now_s)
            self.sight.heard = {
                name: of_shards
                for name, of_shards in (self.sight.heard | heard).items()
                if now_s - self._heard_s[name] < FORGET_S
                and not self._story.is_gone(name, together(of_shards).pid)
            }
            for name, answer in answers.items():
                if answer.role == "gateway":
                    self._count(name, _Count(answer.pid, answer.answered, now_s))
            self.sight.rates = {name: self._rate(name) for name in answers if name in self._counts}
            self._story.seen(answers, now_s)

    async def _ask_log(self, log: NatsLog, shard: str) -> None:
        while True:
            try:
                self.sight.logs[shard] = health = await log.health()
            except LogUnavailable:
                self.sight.logs.pop(shard, None)
            else:
                leader = next((r.server for r in health.replicas if r.leads), "")
                self._story.leads(self._servers.get(leader, ""), shard)
            await asyncio.sleep(LOG_EVERY_S)

    def _count(self, name: str, count: _Count) -> None:
        counts = self._counts.setdefault(name, [])
        if counts and counts[-1].pid != count.pid:
            counts.clear()
        counts.append(count)
        while len(counts) > 2 and count.at_s - counts[1].at_s > RATE_OVER_S:
            del counts[0]

    def _rate(self, name: str) -> float:
        first, last = self._counts[name][0], self._counts[name][-1]
        if last.at_s == first.at_s:
            return 0.0
        return (last.answered - first.answered) / (last.at_s - first.at_s)
