"""Looks at a demo's processes as any operator could: by the roll call and the log's own report."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from fastbook_cli.cluster.demo.story import Story
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
    """What was seen last: the processes by name, the log, and commands answered per second."""

    answers: dict[str, Answer] = {}
    log: LogHealth | None = None
    rates: dict[str, float] = {}

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
        answer = self.answers.get(name)
        if answer is None or self.log is None:
            return None
        return max(0, self.log.last - answer.read)


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
            calls = RollCall(NatsLine(connection), settings.shard)
            await calls.open()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._ask_processes(calls), name="roll call")
                tasks.create_task(self._ask_log(NatsLog(connection, settings.shard)), name="log")
        finally:
            await connection.close()

    async def _ask_processes(self, calls: RollCall) -> None:
        loop = asyncio.get_running_loop()
        while True:
            said = await calls.ask(ANSWER_S)
            now_s = loop.time()
            answers = {self._names[a.url]: a for a in said if a.url in self._names}
            self._heard_s |= dict.fromkeys(answers, now_s)
            self.sight.answers = {
                name: answer
                for name, answer in (self.sight.answers | answers).items()
                if now_s - self._heard_s[name] < FORGET_S
                and not self._story.is_gone(name, answer.pid)
            }
            for name, answer in answers.items():
                if answer.role == "gateway":
                    self._count(name, _Count(answer.pid, answer.answered, now_s))
            self.sight.rates = {name: self._rate(name) for name in answers if name in self._counts}
            self._story.seen(answers, now_s)

    async def _ask_log(self, log: NatsLog) -> None:
        while True:
            try:
                self.sight.log = health = await log.health()
            except LogUnavailable:
                self.sight.log = None
            else:
                leader = next((r.server for r in health.replicas if r.leads), "")
                self._story.leads(self._servers.get(leader, ""))
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
