"""A cluster of real processes that are killed and frozen, and started again as systemd would."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import time
from collections import Counter
from typing import Any

import aiohttp
from serving import Program

from fastbook_server.cluster.free_ports import free_ports
from fastbook_server.cluster.nats_nodes import NatsNodes

TAKEOVER_S = 2.0
FREEZE_S = 4.0
LOOK_S = 0.1
STATUS_S = 0.5
CALM_S = 0.3
SETTLES_S = 40.0


class Slot:
    """A place in the cluster where a process runs, and the next one once it has ended.

    A gateway keeps its port. ``ends`` counts the ends of its processes, by their exit codes, and
    ``log`` is what those have said.
    """

    def __init__(self, role: str, *arguments: str) -> None:
        self.role = role
        self.url = ""
        self.asleep = False
        self.ends: Counter[int] = Counter()
        self.log = ""
        self._arguments = arguments
        # A gateway's clients come back to where it was.
        self._port = str(free_ports(1)[0]) if role == "gateway" else "0"
        self._program: Program | None = None
        self._ready = asyncio.Event()
        self._stopping = False
        self._keeping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the first process, and return once it is ready."""
        self._keeping = asyncio.create_task(self._keep())
        await self.ready()

    async def ready(self) -> None:
        """Wait until a process is ready."""
        assert self._keeping is not None
        waits = asyncio.ensure_future(self._ready.wait())
        async with asyncio.timeout(SETTLES_S):
            await asyncio.wait((waits, self._keeping), return_when=asyncio.FIRST_COMPLETED)
        assert waits.done(), f"{self.role} does not start: {self.log}"

    @property
    def can_be_struck(self) -> bool:
        """Whether a process runs here that has been ready and is awake."""
        return self._ready.is_set() and not self.asleep

    async def status(self) -> dict[str, Any]:
        """Return what the process says of itself; nothing if it does not answer."""
        timeout = aiohttp.ClientTimeout(total=STATUS_S)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with http.get(f"{self.url}/status") as answer:
                    return dict(await answer.json())
        return {}

    def send(self, number: int) -> None:
        """Send the process a signal."""
        assert self._program is not None
        if number in (signal.SIGKILL, signal.SIGTERM):
            self._ready.clear()
        self._program.send_signal(number)

    async def freeze(self) -> None:
        """Let the process sleep for a while."""
        program = self._program
        assert program is not None
        self.asleep = True
        program.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(FREEZE_S)
        finally:
            program.send_signal(signal.SIGCONT)
            self.asleep = False

    async def stop(self) -> int:
        """Stop the process for good; return its exit code."""
        self._stopping = True
        assert self._program is not None
        self._program.send_signal(signal.SIGTERM)
        assert self._keeping is not None
        async with asyncio.timeout(SETTLES_S):
            await self._keeping  # which awaits its end
        code = self._program.exit_code
        assert code is not None
        return code

    async def clear_away(self) -> None:
        """Kill the process if it lives."""
        self._stopping = True
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        if self._program is not None:
            await self._program.clear_away()

    async def _keep(self) -> None:
        while not self._stopping:
            arguments = (self.role, "--port", self._port, *self._arguments)
            program = Program(*arguments)
            self._program = program
            ready = asyncio.ensure_future(program.ready())
            ended = asyncio.ensure_future(program.ended())
            await asyncio.wait((ready, ended), return_when=asyncio.FIRST_COMPLETED)
            if not ended.done() and ready.exception() is None:
                self.url = program.url
                self._ready.set()
            code = await ended
            await asyncio.gather(ready, return_exceptions=True)
            self._ready.clear()
            self.ends[code] += 1
            self.log += f"--- {self.role} has ended with {code}\n{program.log}"
            await asyncio.sleep(LOOK_S)


class Fault:
    """What was done to the cluster, and when.

    ``well_s`` is when all was well again, of a fault that met no other one.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.at_s = time.monotonic()
        self.well_s: float | None = None


class ChaosCluster:
    """Two gateways, two matchers and a recorder on `nodes` and a database."""

    def __init__(self, nodes: NatsNodes, dsn: str, draw: random.Random) -> None:
        at = ("--log", ",".join(nodes.urls), "--database-url", dsn)
        self.nodes = nodes
        self.gateways = [Slot("gateway", *at) for _ in range(2)]
        takeover = ("--takeover-s", str(TAKEOVER_S))
        self.matchers = [Slot("matcher", *at, *takeover) for _ in range(2)]
        self.recorder = Slot("recorder", *at)
        self.faults: list[Fault] = []
        self._draw = draw
        self._sleepers: set[asyncio.Task[None]] = set()
        self._mending: asyncio.Task[None] | None = None

    @property
    def slots(self) -> list[Slot]:
        return [self.recorder, *self.matchers, *self.gateways]

    async def start(self) -> None:
        """Start all; return once there is an owner, too."""
        await asyncio.gather(*(slot.start() for slot in self.slots))
        await self.settle()

    async def settle(self) -> None:
        """Wait until all processes run, awake, and a matcher owns the market."""
        if self._mending is not None:
            await self._mending
        await asyncio.gather(*self._sleepers)
        async with asyncio.timeout(SETTLES_S):
            await asyncio.gather(*(slot.ready() for slot in self.slots))
            while await self._owner() is None:  # noqa: ASYNC110 (only asking it tells)
                await asyncio.sleep(LOOK_S)

    async def clear_away(self) -> None:
        for sleeper in self._sleepers:
            sleeper.cancel()
        await asyncio.gather(*self._sleepers, return_exceptions=True)
        if self._mending is not None:
            self._mending.cancel()
        await asyncio.gather(*(slot.clear_away() for slot in self.slots))

    def pause_s(self) -> float:
        """Return how long to wait until the next fault."""
        return self._draw.uniform(0.3, 1.5)

    # ---- faults -------------------------------------------------------------------------------

    async def strike(self) -> None:
        """Do something of the kinds that the present state allows."""
        possible = await self._possible()
        if possible:
            self._do(self._draw.choice(list(possible)), possible)

    async def strike_alone(self, kind: str) -> None:
        """Do one thing to a cluster that is well, and wait until it is well again."""
        await self.settle()
        await asyncio.sleep(CALM_S)  # until what came before is answered
        fault = self._do(kind, await self._possible())
        await self.settle()
        await asyncio.sleep(CALM_S)
        fault.well_s = time.monotonic()

    async def _possible(self) -> dict[str, Slot | None]:
        """Return the kinds of faults that make sense now, and whom each would meet."""
        owner = await self._owner()
        standby = next((m for m in self.matchers if m is not owner and m.can_be_struck), None)
        awake = [gateway for gateway in self.gateways if gateway.can_be_struck]
        kinds = {
            "kill owner": owner,
            "kill standby": standby,
            "freeze owner": owner if standby is not None else None,
            "hand over": owner if standby is not None else None,
            "kill gateway": self._draw.choice(awake) if awake else None,
            "freeze gateway": self._draw.choice(awake) if len(awake) == 2 else None,
            "kill recorder": self.recorder if self.recorder.can_be_struck else None,
        }
        possible = {kind: slot for kind, slot in kinds.items() if slot is not None}
        if self._mending is None or self._mending.done():
            return possible | {"kill node": None}
        return {**possible}

    def _do(self, kind: str, possible: dict[str, Slot | None]) -> Fault:
        slot, fault = possible[kind], Fault(kind)
        self.faults.append(fault)
        if slot is None:
            self._mending = asyncio.create_task(self._without(self._draw.randrange(3)))
        elif kind.startswith("freeze"):
            sleeper = asyncio.create_task(slot.freeze())
            self._sleepers.add(sleeper)
            sleeper.add_done_callback(self._sleepers.discard)
        else:
            slot.send(signal.SIGTERM if kind == "hand over" else signal.SIGKILL)
        return fault

    async def _without(self, number: int) -> None:
        """Kill a node of NATS, and start it again; return once all are well."""
        self.nodes.kill(number)
        await asyncio.sleep(1.0)
        self.nodes.restart(number)
        await self.nodes.ready()

    async def _owner(self) -> Slot | None:
        for matcher in self.matchers:
            if matcher.can_be_struck and (await matcher.status()).get("state") == "owner":
                return matcher
        return None
