"""The processes of a demo: each is started, watched, and started again when it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from fastbook_cli import program
from fastbook_cli.cluster.local import LocalPart
from fastbook_server.child_process import start_child
from fastbook_server.cluster.nats_nodes import NatsNodes
from fastbook_server.embedded.supervisor import EmbeddedPostgres

AGAIN_S = 2.0
"""How long a process that has ended stays away: long enough to see what that means."""
LOOK_S = 0.02
STOP_PATIENCE_S = 12.0
WOULD_MISLEAD = ("FASTBOOK_IN_MEMORY", "FASTBOOK_DATA_DIR", "FASTBOOK_NATS_USER")
"""Settings of the environment that are meant for other servers than those of the demo."""


class DemoPart(Protocol):
    """A process with a name that it keeps when it is started again."""

    name: str
    kind: str
    mark: str
    """What stands in its command line, and in no other program's."""

    @property
    def pid(self) -> int | None:
        """Its process id, or None while it does not run."""

    def start(self) -> None:
        """Start it, if it does not run."""

    def ending(self) -> str:
        """Return how it has ended, such as ``was killed``."""


class ProgramPart:
    """A process of this program: ``fastbook`` with `arguments`; what it prints goes to `output`."""

    def __init__(
        self, name: str, kind: str, arguments: Sequence[str], *, mark: str, output: Path
    ) -> None:
        self.name, self.kind, self.mark = name, kind, mark
        self.output = output
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        output.unlink(missing_ok=True)

    @property
    def pid(self) -> int | None:
        """See `DemoPart.pid`."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """See `DemoPart.start`."""
        if self.pid is not None:
            return
        environment = {k: v for k, v in os.environ.items() if k not in WOULD_MISLEAD}
        with self.output.open("ab") as output:
            self._process = start_child(
                [*program.command(), *self._arguments],
                at_our_end=signal.SIGKILL,  # the one signal that also ends a frozen process
                stdout=output,
                stderr=output,
                env=environment,
            )

    def ending(self) -> str:
        """See `DemoPart.ending`."""
        return said_of(self._process.returncode if self._process is not None else None)

    def last_words(self) -> str:
        """Return the last line that it has printed."""
        lines = self.output.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    async def stop(self, sign: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to stop, even if it is frozen; kill it if it does not."""
        process = self._process
        if process is None:
            return
        for number in (sign, signal.SIGCONT):
            process.send_signal(number)
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + STOP_PATIENCE_S
        while process.poll() is None and loop.time() < deadline_s:  # noqa: ASYNC110 (no event tells of its end)
            await asyncio.sleep(LOOK_S)
        if process.poll() is None:
            process.kill()
            process.wait()


class NatsPart:
    """One of the servers that keep the log."""

    kind = "nats"

    def __init__(self, nodes: NatsNodes, number: int) -> None:
        self.name = f"nats {number + 1}"
        self.mark = str(nodes.configuration(number))
        self.server = nodes.names[number]
        self._nodes, self._number = nodes, number

    @property
    def pid(self) -> int | None:
        """See `DemoPart.pid`."""
        return self._nodes.pid(self._number)

    def start(self) -> None:
        """See `DemoPart.start`."""
        self._nodes.restart(self._number)

    def ending(self) -> str:
        """See `DemoPart.ending`."""
        return said_of(self._nodes.exit_code(self._number))


class PostgresPart:
    """The private PostgreSQL, which is started again by itself."""

    name = kind = "postgres"

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self.mark = str(postgres.data_dir)
        self._postgres = postgres

    @property
    def pid(self) -> int | None:
        """See `DemoPart.pid`."""
        return self._postgres.pid

    def start(self) -> None:
        """Do nothing: it is on its way."""

    def ending(self) -> str:
        """See `DemoPart.ending`."""
        return "was killed, or has ended"


def said_of(exit_code: int | None) -> str:
    """Return what an exit code says; those of signals are negative, or of a launcher 128 more."""
    if exit_code in (-signal.SIGKILL, 128 + signal.SIGKILL):
        return "was killed"
    if exit_code == 0:
        return "has stopped"
    return f"has ended with exit code {exit_code}"


class Keeper:
    """Starts parts again, `AGAIN_S` after their end, and tells of each end and new start."""

    def __init__(
        self,
        ended: Callable[[DemoPart, int, str], None],
        began: Callable[[DemoPart, int], None],
    ) -> None:
        self.parts: list[DemoPart] = []
        self._ended, self._began = ended, began
        self._pids: dict[str, int] = {}

    def add(self, *parts: DemoPart) -> None:
        """Start parts, and keep them from now on."""
        for part in parts:
            part.start()
            self.parts.append(part)
            if part.pid is not None:
                self._pids[part.name] = part.pid

    def listed(self) -> tuple[LocalPart, ...]:
        """Return the parts that run."""
        return tuple(
            LocalPart(name=part.name, kind=part.kind, pid=pid, mark=part.mark)
            for part in self.parts
            if (pid := part.pid) is not None
        )

    async def run(self) -> None:
        """Keep the parts; never returns."""
        loop = asyncio.get_running_loop()
        due_s: dict[str, float] = {}
        while True:
            for part in self.parts:
                pid, known = part.pid, self._pids.get(part.name)
                if known is not None and pid != known:
                    del self._pids[part.name]
                    due_s[part.name] = loop.time() + AGAIN_S
                    self._ended(part, known, part.ending())
                elif pid is not None and known is None:
                    self._pids[part.name] = pid
                    self._began(part, pid)
                elif pid is None and loop.time() >= due_s.get(part.name, 0.0):
                    part.start()
            await asyncio.sleep(LOOK_S)
