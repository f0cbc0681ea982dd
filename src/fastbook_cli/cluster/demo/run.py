"""``fastbook cluster demo``: a database, NATS, a cluster and a market, each a process to kill."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shlex
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from fastbook_cli.cluster import local
from fastbook_cli.cluster.demo.lookout import Lookout
from fastbook_cli.cluster.demo.parts import DemoPart, Keeper, NatsPart, PostgresPart, ProgramPart
from fastbook_cli.cluster.demo.story import Story
from fastbook_cli.cluster.demo.view import Advice, ClusterLines, ClusterScreen, ClusterView, Shown
from fastbook_cli.cluster.local import DemoState, LocalPart
from fastbook_cli.demo.views import own_command
from fastbook_cli.errors import CommandError, first_failure
from fastbook_cli.output import log_to_stderr
from fastbook_cli.signals import stop_signals
from fastbook_cli.sim.settings import SimSettings
from fastbook_server.cluster.free_ports import HOST, free_ports
from fastbook_server.cluster.log import LogUnavailable
from fastbook_server.cluster.nats_nodes import NatsNodes, NatsNodesError, find_nats_server
from fastbook_server.cluster.settings import ClusterSettings
from fastbook_server.cluster.standby import TAKEOVER_S
from fastbook_server.embedded.supervisor import EmbeddedPostgres

SHARDS, GATEWAYS, MATCHERS, NODES = 2, 2, 2, 3
"""How many there are, of matchers in each shard."""
INSTRUMENTS = ("BTC-USD:0.01:0.0001", "ETH-USD:0.01:0.001")
"""What is traded unless it is said."""
READY_S = 90.0
LOOK_S = 0.05
OWN_MARK = "cluster demo"
STOPS = (
    ("market", signal.SIGINT),  # its agents cancel their orders
    ("gateway", signal.SIGTERM),
    ("matcher", signal.SIGTERM),
    ("recorder", signal.SIGTERM),
)


class ClusterDemoError(CommandError):
    """The demo cannot start."""


class ClusterDemoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a demo is made of; the first gateway listens on `port`, the other on the next one.

    Its market has `instruments`, and as many `shards`; None: two, if it has two securities.
    """

    sim: SimSettings
    folder: Path
    port: int = 8080
    instruments: tuple[str, ...] = ()
    shards: int | None = None
    takeover_s: float = TAKEOVER_S
    plain: bool = False


async def run(options: ClusterDemoOptions) -> int:
    """Run a demo until a signal or a failure; return the exit code of the process.

    Raises:
        CommandError: it cannot start, or the reader of stdout has gone.
        EmbeddedError: its database cannot start.
        LogUnavailable: its log does not answer.
    """
    ports = _ports(options.port, GATEWAYS)
    with _as_demo_error():
        find_nats_server()  # or the database would be started for nothing
    screen = sys.stdout.isatty() and not options.plain
    view: ClusterView = ClusterScreen() if screen else ClusterLines()
    if screen:
        logging.basicConfig(level=logging.WARNING, handlers=[_Told(view)])
    else:
        log_to_stderr("warning")
    demo = asyncio.create_task(_ClusterDemo(options, ports, view).live(), name="demo")
    with stop_signals() as stop:
        try:
            await asyncio.wait((demo, stop), return_when=asyncio.FIRST_COMPLETED)
            demo.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await demo
        finally:
            view.close()
        return stop.result()


class _ClusterDemo:
    """The processes of a demo, from the first start to the last stop."""

    def __init__(self, options: ClusterDemoOptions, ports: list[int], view: ClusterView) -> None:
        self._options = options
        self._folder = options.folder.absolute()
        self._view = view
        self._pages = [f"http://{HOST}:{port}" for port in ports]
        self._story = Story(view.tell)
        self._keeper = Keeper(self._ended, self._began)
        self._log_urls: tuple[str, ...] = ()
        self._written: tuple[LocalPart, ...] = ()
        self._is_ready = False
        self._failure = ""
        self._ended_once: set[str] = set()
        self._instruments = options.instruments or INSTRUMENTS
        self._count = options.shards or min(SHARDS, len(self._instruments))
        self._shards = str(self._count) if self._count > 1 else ""
        if self._count > len(self._instruments):
            raise ClusterDemoError(
                f"shards: expected at most {len(self._instruments)}, one for each --instrument, "
                f"got {self._count}"
            )

    async def live(self) -> None:
        """Run until cancelled.

        Raises:
            ClusterDemoError: a process has ended before all were ready.
        """
        async with contextlib.AsyncExitStack() as ending:
            postgres = EmbeddedPostgres(self._folder)
            dsn = await postgres.start()
            ending.push_async_callback(postgres.stop)
            nodes = NatsNodes(self._folder / "nats", NODES)
            ending.callback(nodes.stop)
            with _as_demo_error():
                await nodes.start()
            self._log_urls = tuple(nodes.urls)
            servers = [NatsPart(nodes, number) for number in range(NODES)]
            parts = self._programs(dsn)
            ending.push_async_callback(self._stop)
            self._keeper.add(*parts.values(), *servers, PostgresPart(postgres))
            names = {url: part.name for url, part in parts.items()}
            lookout = Lookout(names, {s.server: s.name for s in servers}, self._story)
            settings = ClusterSettings(log_urls=self._log_urls, shards=self._shards)
            with first_failure(CommandError, LogUnavailable):
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._keeper.run(), name="keeper")
                    tasks.create_task(lookout.run(settings), name="lookout")
                    await self._until_ready(lookout, list(parts.values()))
                    self._keeper.add(self._market())
                    self._publish()
                    self._view.open(self._pages, self._advice())
                    while True:
                        self._publish()
                        parts_shown = sorted(self._keeper.parts, key=_row)
                        self._view.show(Shown(lookout.sight, parts_shown, self._story))
                        await asyncio.sleep(self._view.interval_s)

    # ---- the processes --------------------------------------------------------------------------

    def _programs(self, dsn: str) -> dict[str, ProgramPart]:
        """Return the processes of the cluster by the URL of each, in the order of their start."""
        output = self._folder / "output"
        output.mkdir(exist_ok=True)
        log = ",".join(self._log_urls)
        securities = [word for each in self._instruments for word in ("--instrument", each)]
        divided = ("--shards", self._shards) if self._shards else ()
        takeover = ("--takeover-s", str(self._options.takeover_s))
        matchers = []
        for n in range(MATCHERS * self._count):
            of_shard = ("--shard", str(n // MATCHERS + 1)) if self._shards else ()
            matchers.append((f"matcher {n + 1}", "matcher", (*divided, *of_shard, *takeover)))
        gateways = [(f"gateway {n + 1}", "gateway", divided) for n in range(GATEWAYS)]
        healths = [f"http://{HOST}:{port}" for port in _ports(0, 1 + len(matchers))]
        kinds = [("recorder", "recorder", divided), *matchers, *gateways]
        programs = {}
        for url, (name, kind, also) in zip((*healths, *self._pages), kinds, strict=True):
            words = [kind, "--log", log, "--database-url", dsn, "--host", HOST]
            words += ["--port", url.rpartition(":")[2], *securities, *also]
            file = output / f"{name.replace(' ', '-')}.log"
            programs[url] = ProgramPart(name, kind, words, mark=f"{kind} --log {log}", output=file)
        return programs

    def _market(self) -> ProgramPart:
        settings = msgspec.structs.asdict(self._options.sim)
        flags = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
        words = ["sim", "--url", ",".join(self._pages), *flags]
        return ProgramPart(
            "market",
            "market",
            words,
            mark=" ".join(words[:3]),
            output=self._folder / "output" / "market.log",
        )

    async def _until_ready(self, lookout: Lookout, parts: list[ProgramPart]) -> None:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + READY_S
        while True:
            states = {n: a.state for n, a in lookout.sight.answers.items()}
            well = [part for part in parts if states.get(part.name) in ("ready", "standby")]
            owners = sum(state == "owner" for state in states.values())
            if owners == self._count and len(well) == len(parts) - owners:
                self._is_ready = True
                return
            if self._failure:
                raise ClusterDemoError(self._failure)
            if loop.time() > deadline_s:
                late = [part for part in parts if part not in well]
                said = "; ".join(f"{part.name}: {part.last_words()}" for part in late)
                raise ClusterDemoError(f"not ready in {READY_S:g} s: {said}")
            await asyncio.sleep(LOOK_S)

    def _ended(self, part: DemoPart, pid: int, how: str) -> None:
        self._story.ended(part.name, pid, how, asyncio.get_running_loop().time())
        lost_first_claim = part.kind == "matcher" and part.name not in self._ended_once
        self._ended_once.add(part.name)
        if not self._is_ready and isinstance(part, ProgramPart) and not lost_first_claim:
            self._failure = f"{part.name} {how}: {part.last_words()}"

    def _began(self, part: DemoPart, pid: int) -> None:
        self._story.began(part.name, pid, asyncio.get_running_loop().time())
        self._publish()

    async def _stop(self) -> None:
        """Stop what uses another before the other."""
        local.remove(self._folder)
        for part in self._keeper.parts:
            if (pid := part.pid) is not None:
                os.kill(pid, signal.SIGCONT)  # the frozen would not hear
        for kind, sign in STOPS:
            await asyncio.gather(
                *(
                    part.stop(sign)
                    for part in self._keeper.parts
                    if isinstance(part, ProgramPart) and part.kind == kind
                )
            )

    # ---- what others are told -------------------------------------------------------------------

    def _publish(self) -> None:
        """Write who runs where ``cluster kill`` looks, if it has changed."""
        listed = self._keeper.listed()
        if listed != self._written:
            own = LocalPart(name="demo", kind="demo", pid=os.getpid(), mark=OWN_MARK)
            state = DemoState(
                log_urls=self._log_urls, shard="main", shards=self._shards, own=own, parts=listed
            )
            local.write(self._folder, state)
            self._written = listed

    def _advice(self) -> list[Advice]:
        own_folder = self._folder == local.default_folder()
        folder = "" if own_folder else f" --data-dir {shlex.quote(str(self._folder))}"
        called = f"{own_command()} cluster"
        takeover_s = f"{self._options.takeover_s:g}"
        told = [
            ("kill matcher", f"the standby takes over {takeover_s} s after its last word"),
            ("kill matcher --signal TERM", "a handover: no order is refused"),
            ("kill matcher --signal STOP", "frozen; woken with CONT, it finds that it is deposed"),
            ("kill standby", "nobody notices"),
            ("kill gateway 2", "its users come back at the other one"),
            ("kill recorder", "trading goes on; the database waits, then catches up"),
            ("kill nats 1", "one of three: a pause, of some seconds if it led the log"),
            ("kill postgres", "trading goes on"),
            ("status --watch", "what any operator sees"),
        ]
        return [Advice(f"{called} {words}{folder}", effect) for words, effect in told]


class _Told(logging.Handler):
    """Warnings as events of a view, which has the screen."""

    def __init__(self, view: ClusterView) -> None:
        super().__init__()
        self._view = view

    def emit(self, record: logging.LogRecord) -> None:
        """Tell a record."""
        self._view.tell(record.getMessage())


def _row(part: DemoPart) -> tuple[int, str]:
    order = ("gateway", "matcher", "recorder", "nats", "postgres", "market")
    return order.index(part.kind), part.name


def _ports(first: int, count: int) -> list[int]:
    """Return `first` and those that follow; of 0, free ones of this machine.

    Raises:
        ClusterDemoError: one of them is taken.
    """
    if first == 0:
        return free_ports(count)
    wanted = list(range(first, first + count))
    for port in wanted:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                raise ClusterDemoError(
                    f"port {port}: {error.strerror}: choose another with --port, or any with "
                    "--port 0"
                ) from None
    return wanted


@contextlib.contextmanager
def _as_demo_error() -> Iterator[None]:
    try:
        yield
    except NatsNodesError as error:
        raise ClusterDemoError(str(error)) from None
