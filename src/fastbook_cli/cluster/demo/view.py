"""The views of a cluster's demo: the whole terminal, or one line per second."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fastbook_cli.cluster.demo.lookout import Sight
from fastbook_cli.cluster.demo.parts import DemoPart, NatsPart
from fastbook_cli.cluster.demo.story import Story
from fastbook_cli.errors import OutputGoneError
from fastbook_cli.output import abandon_stdout
from fastbook_server.cluster.nats.stream import LogHealth, LogReplica

DIM = "bright_black"
EVENTS_KEPT = 100
ROWS_BESIDE_EVENTS = 8
"""Rows of the screen that are neither parts, nor commands, nor events."""


class Advice(NamedTuple):
    """A command, and what one sees after it."""

    command: str
    effect: str


class Shown(NamedTuple):
    """What a view shows: what was seen, of which parts, and what has happened to them."""

    sight: Sight
    parts: Sequence[DemoPart]
    story: Story


class ClusterView(Protocol):
    """Shows a cluster of one machine."""

    interval_s: float

    def open(self, pages: Sequence[str], advice: Sequence[Advice]) -> None:
        """Announce that all is ready: the gateways' URLs, and what one may do."""

    def tell(self, event: str) -> None:
        """Say what has happened."""

    def show(self, shown: Shown) -> None:
        """Show the latest state."""

    def close(self) -> None:
        """Restore the terminal."""


class ClusterLines:
    """One line per second, and one for each event: for pipes, logs and ``--plain``."""

    interval_s = 1.0

    def __init__(self) -> None:
        self._say("starting a database, three NATS servers, and the processes of a cluster …")

    def open(self, pages: Sequence[str], advice: Sequence[Advice]) -> None:
        """Print the pages and the commands, and last, that all is ready."""
        self._say("from another terminal:")
        width = max(len(each.command) for each in advice)
        for each in advice:
            self._say(f"  {each.command:{width}}   {each.effect}")
        for number, page in enumerate(pages, start=1):
            self._say(f"ready gateway {number} {page}/")

    def tell(self, event: str) -> None:
        """Print an event."""
        self._say(f"{time.strftime('%H:%M:%S')}  * {event}")

    def show(self, shown: Shown) -> None:
        """Print one line."""
        self._say(f"{time.strftime('%H:%M:%S')}  {line(shown)}")

    def close(self) -> None:
        """Do nothing: there is nothing to restore."""

    def _say(self, text: str) -> None:
        try:
            print(text, flush=True)
        except BrokenPipeError:
            abandon_stdout()
            raise OutputGoneError("the reader of the output has gone") from None


class ClusterScreen:
    """The whole terminal: a row for each process, and what has happened last."""

    interval_s = 0.25

    def __init__(self) -> None:
        self._console = Console()
        self._live: Live | None = None
        self._events: deque[str] = deque(maxlen=EVENTS_KEPT)
        self._advice: Sequence[Advice] = ()
        self._console.print("[dim]starting a database, three NATS servers, and a cluster …[/dim]")

    def open(self, pages: Sequence[str], advice: Sequence[Advice]) -> None:  # noqa: ARG002 (rows)
        """Take over the screen."""
        self._advice = advice
        self._live = Live(console=self._console, screen=True, auto_refresh=False)
        self._live.start()

    def tell(self, event: str) -> None:
        """Keep an event."""
        self._events.append(f"{time.strftime('%H:%M:%S')}  {event}")

    def show(self, shown: Shown) -> None:
        """Redraw."""
        if self._live is not None:
            room = self._console.height - ROWS_BESIDE_EVENTS - len(shown.parts) - len(self._advice)
            events = list(self._events)[-max(1, room) :]
            self._live.update(screen(shown, events, self._advice), refresh=True)

    def close(self) -> None:
        """Restore the screen, then print what has happened."""
        if self._live is not None:
            self._live.stop()
        for event in self._events:
            self._console.print(event, highlight=False)


def line(shown: Shown) -> str:
    """Return what is going on, in a line."""
    sight, owners = shown.sight, shown.story.owners
    decides = [_decides(shown, shard) for shard in sorted(owners)] or ["nobody decides"]
    logs = [_log(health, shard) for shard, health in sorted(sight.logs.items())] or ["log away"]
    lags = []
    for part in shown.parts:
        behind = sight.behind(part.name)
        if part.kind == "recorder" and behind is not None:
            lags.append(f"recorder {behind:,} behind")
    leads = [f"{part.name} {_leads(shards)}" for part, _, shards in _replicas(shown) if shards]
    words = [
        *(*decides, *logs, *lags, f"in flight {sight.in_flight:,}"),
        *(f"{sight.rate:,.0f} commands/s", *(leads or ["nobody leads the log"])),
    ]
    return "  |  ".join(words)


def _decides(shown: Shown, shard: str) -> str:
    owner = shown.story.owners[shard]
    of_shard = f"shard {shard}: " if shard else ""
    if owner.name in shown.sight.heard:
        return f"{of_shard}{owner.name} decides, epoch {owner.epoch}"
    if shown.story.is_silent(owner.name):
        return f"{of_shard}{owner.name} is silent"
    return f"{of_shard}nobody decides"


def _log(health: LogHealth, shard: str) -> str:
    return f"log {shard}: {health.last:,}" if shard else f"log {health.last:,}"


def _leads(shards: Sequence[str]) -> str:
    """Return what a server leads."""
    names = [shard for shard in shards if shard]
    return f"leads log {' and '.join(names)}" if names else "leads the log"


def screen(shown: Shown, events: Sequence[str], advice: Sequence[Advice]) -> RenderableType:
    """Return the whole screen."""
    head = Text(line(shown), style="bold", no_wrap=True, overflow="ellipsis")
    told = [Text(event, no_wrap=True, overflow="ellipsis") for event in events]
    nothing = Text("nothing yet: kill something", style=DIM)
    return Group(
        head,
        Text(),
        _rows(shown),
        Text(),
        Text("from another terminal", style=DIM),
        *_commands(advice),
        Text(),
        Text("what has happened      Ctrl-C stops the demo", style=DIM),
        *(told or [nothing]),
    )


def _commands(advice: Sequence[Advice]) -> list[Text]:
    """Return a line for each command, which is never cut off: it is there to be copied."""
    width = max((len(each.command) for each in advice), default=0)
    return [
        Text.assemble(
            (f"{each.command:{width}}", "cyan"),
            (f"   {each.effect}", DIM),
            no_wrap=True,
            overflow="ellipsis",
        )
        for each in advice
    ]


def _rows(shown: Shown) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    numbers = ("pid", "behind", "in flight", "commands/s", "sessions")
    for column in ("process", "state", *numbers, "where"):
        table.add_column(column, justify="right" if column in numbers else "left", no_wrap=True)
    replicas = {part.name: (replica, shards) for part, replica, shards in _replicas(shown)}
    for part in shown.parts:
        state, style = _state(part, shown, replicas)
        answer = shown.sight.answers.get(part.name)
        behind = shown.sight.behind(part.name)
        if part.name in replicas:
            behind = replicas[part.name][0].lag
        is_gateway = answer is not None and answer.role == "gateway"
        waits = answer is not None and answer.role != "recorder"
        table.add_row(
            part.name,
            Text(state, style=style),
            str(part.pid or ""),
            "" if behind is None else f"{behind:,}",
            f"{answer.waiting:,}" if answer is not None and waits else "",
            f"{shown.sight.rates.get(part.name, 0.0):,.0f}" if is_gateway else "",
            str(answer.sessions) if answer is not None and is_gateway else "",
            f"{answer.url}/" if answer is not None and is_gateway else "",
        )
    return table


def _state(
    part: DemoPart, shown: Shown, replicas: dict[str, tuple[LogReplica, Sequence[str]]]
) -> tuple[str, str]:
    """Return what a process does, and the style to say it in."""
    if part.pid is None:
        return "down", "bold red"
    if shown.story.is_silent(part.name):
        return "silent", "bold red"
    if isinstance(part, NatsPart):
        if part.name not in replicas:
            return "no report", "yellow"
        replica, leads = replicas[part.name]
        if leads:
            return _leads(leads), "bold green"
        return ("follows", "green") if replica.is_current else ("catches up", "yellow")
    if part.kind in ("postgres", "market"):
        return "runs", "green"
    answer = shown.sight.answers.get(part.name)
    if answer is None:
        return "starts", "yellow"
    if answer.state == "owner":
        return f"decides {answer.shard}".strip(), "bold green"
    shard = answer.shard if part.kind == "matcher" else ""
    return f"{answer.state} {shard}".strip(), "green" if answer.state in (
        "ready",
        "standby",
    ) else "yellow"


def _replicas(shown: Shown) -> list[tuple[DemoPart, LogReplica, Sequence[str]]]:
    """Return each server as the logs report it, with how far it is behind, and what it leads."""
    found: list[tuple[DemoPart, LogReplica, Sequence[str]]] = []
    for part in shown.parts:
        if not isinstance(part, NatsPart):
            continue
        of_logs = {
            shard: replica
            for shard, health in sorted(shown.sight.logs.items())
            for replica in health.replicas
            if replica.server == part.server
        }
        if of_logs:
            every = of_logs.values()
            is_current, lag = all(r.is_current for r in every), sum(r.lag for r in every)
            leads = [shard for shard, replica in of_logs.items() if replica.leads]
            found.append((part, LogReplica(part.server, bool(leads), is_current, lag), leads))
    return found
