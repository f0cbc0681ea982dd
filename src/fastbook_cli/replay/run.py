"""``fastbook replay``: its server, progress, signals and report."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Protocol

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fastbook_cli.replay.play import Player
from fastbook_cli.replay.recording import Action, read
from fastbook_cli.replay.server import own_server
from fastbook_cli.signals import stop_signals

TICK_S = 0.2
LINE_EVERY_S = 5.0


class ReplayOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to play, and how; without `url` into a private server."""

    file: Path
    url: str | None
    security: str
    clients: int
    window: int
    speed: float | None
    data_dir: Path | None
    durability: str


class Progression(Protocol):
    """Shows the progress of a replay."""

    def at(self, player: Player) -> None:
        """Show the progress of `player`."""

    def say(self, text: str) -> None:
        """Show a line of text."""

    def end(self) -> None:
        """Stop showing progress; the report follows."""


async def run(options: ReplayOptions, console: Console) -> int:
    """Play a recording and print the report; return the exit code of the process.

    Progress goes to `console`, the report to stdout. A signal ends the replay with the report of
    what was done so far.

    Raises:
        RecordingError: the file is not a recording.
        ReplayError: the replay cannot continue.
    """
    with stop_signals() as stop:
        actions = read(options.file)
        playing = asyncio.create_task(_run(options, actions, console), name="replay")
        await asyncio.wait((playing, stop), return_when=asyncio.FIRST_COMPLETED)
        if playing.done():
            playing.result()
            return 0
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
        return stop.result()


async def _run(options: ReplayOptions, actions: list[Action], console: Console) -> None:
    with _progression(console, len(actions)) as progression:
        try:
            async with _target(options, progression.say) as (url, server_failed):
                await _play(options, url, actions, progression, server_failed)
        except asyncio.CancelledError:
            progression.say("stopped")
            raise


async def _play(
    options: ReplayOptions,
    url: str,
    actions: list[Action],
    progression: Progression,
    server_failed: asyncio.Future[None],
) -> None:
    async with Player(
        url,
        security=options.security,
        clients=options.clients,
        window=options.window,
        speed=options.speed,
        notify=progression.say,
    ) as player:
        playing = asyncio.ensure_future(player.play(actions))
        waiting = (playing, server_failed)
        try:
            while not any(future.done() for future in waiting):
                progression.at(player)
                await asyncio.wait(waiting, timeout=TICK_S, return_when=asyncio.FIRST_COMPLETED)
            progression.at(player)
            if server_failed.done():
                server_failed.result()
            playing.result()
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
            progression.end()
            print(player.report().text(), flush=True)


@contextlib.asynccontextmanager
async def _target(
    options: ReplayOptions, notify: Callable[[str], None]
) -> AsyncIterator[tuple[str, asyncio.Future[None]]]:
    """Yield the endpoint to play into, and a future that fails when a private server ends."""
    if options.url is not None:
        never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        yield options.url, never
        return
    settings = ("--instrument", f"{options.security}:0.1:1e-8", "--durability", options.durability)
    async with own_server(options.data_dir, *settings, notify=notify) as server:
        failed = asyncio.ensure_future(server.failed())
        try:
            yield server.url, failed
        finally:
            failed.cancel()
            await asyncio.gather(failed, return_exceptions=True)


# ---- progress ---------------------------------------------------------------------------------


@contextlib.contextmanager
def _progression(console: Console, total: int) -> Iterator[Progression]:
    if not console.is_terminal:
        yield _Lines(console, total)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress:
        yield _Bar(progress, total)


class _Bar:
    """A progress bar, on a terminal."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("replaying", total=total, rate=0.0)

    def at(self, player: Player) -> None:
        self._progress.update(self._task, completed=player.answered, rate=player.rate)

    def say(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def end(self) -> None:
        self._progress.stop()


class _Lines:
    """A line every few seconds, for logs and pipes."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._next_s = 0.0

    def at(self, player: Player) -> None:
        if player.seconds >= self._next_s or player.answered == self._total:
            self._next_s = player.seconds + LINE_EVERY_S
            self.say(f"{player.answered:,} of {self._total:,} commands, {player.rate:,.0f}/s")

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def end(self) -> None:
        pass
